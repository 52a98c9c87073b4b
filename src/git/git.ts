import { execa } from 'execa';
import { bytesOf, textOf } from '../names.ts';

/** Where git runs, and the environment it sees. */
export interface GitPlace {
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
  /** Settings that keep the repository's filters from running programs (`readFilters`). */
  readonly filters: readonly string[];
  /** Settings that say what is true of this disk, whatever the config says: they hold in every call. */
  readonly disk: readonly string[];
}

export interface GitOptions {
  /** Added to the environment of this call: GIT_INDEX_FILE and the like. */
  readonly env?: Readonly<Record<string, string>>;
  /** Exit codes other than 0 that are answers, not failures. */
  readonly answers?: readonly number[];
  /** True for commits that a person keeps: their hooks and signing apply. */
  readonly honour?: boolean;
  /** Ends a call that takes longer; it counts as exit 128. */
  readonly timeoutMs?: number;
  /** What git reads as its stdin. */
  readonly input?: string;
}

export interface GitAnswer {
  readonly code: number;
  /** What is not UTF-8 in them, such as a name of a file, goes back to git as it came (`textOf`). */
  readonly stdout: string;
  readonly stderr: string;
}

/** Our own calls run nobody's program: no hook, no monitor, no filter process, no signing. */
const NEUTRAL = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.quotePath=false',
  'gc.auto=0',
  'maintenance.auto=false',
  'submodule.recurse=false',
  // An index of ours is one file that can be copied.
  'core.splitIndex=false',
  'core.untrackedCache=false',
  // It would mark what git writes as never changed.
  'core.ignoreStat=false',
  'index.sparse=false',
  'commit.gpgSign=false',
  // A repository inside a submodule is the worker's: no git is started in it.
  'diff.ignoreSubmodules=dirty',
];

const OURS = { GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' };

/** What we say and read is UTF-8, and a commit's header says so too. */
const ENCODING = ['i18n.commitEncoding=UTF-8', 'i18n.logOutputEncoding=UTF-8'];

/** Runs git once. Any exit code that is not 0 and not in `answers` rejects with a GitFailure. */
export async function gitAnswer(
  place: GitPlace,
  args: readonly string[],
  options: GitOptions = {},
): Promise<GitAnswer> {
  const { stdout, ...rest } = await start(place, args, options);
  return answered(args, options, { ...rest, stdout: textOf(stdout) });
}

/** The standard output of one git call in bytes. */
export async function gitBytes(place: GitPlace, args: readonly string[], options: GitOptions = {}): Promise<Buffer> {
  return answered(args, options, await start(place, args, options)).stdout;
}

interface Ended<Output> {
  readonly code: number;
  readonly stdout: Output;
  readonly stderr: string;
}

function answered<Output extends string | Buffer>(
  args: readonly string[],
  { answers }: GitOptions,
  ended: Ended<Output>,
): Ended<Output> {
  if (ended.code === 0 || answers?.includes(ended.code) === true) return ended;
  const name = args.find((word, at) => word !== '-c' && args[at - 1] !== '-c');
  const output = typeof ended.stdout === 'string' ? ended.stdout : textOf(ended.stdout);
  const said = ended.stderr.trim() || output.trim() || `exit ${ended.code}`;
  throw Object.assign(new Error(`git ${name}: ${said}`), { git: { ...ended, stdout: output } });
}

/** The standard output of one git call, without the last line end. */
export async function git(place: GitPlace, args: readonly string[], options: GitOptions = {}): Promise<string> {
  return (await gitAnswer(place, args, options)).stdout.replace(/\n$/, '');
}

/** Options for paths that come through `input`, each ended by a NUL: names of any bytes, and any number of them. */
export const FROM_STDIN = ['--pathspec-from-file=-', '--pathspec-file-nul'];

/** The fields of a `-z` output. */
export const fields = (output: string): string[] => output.split('\0').filter((field) => field !== '');

/** Another folder of the same repository, a worktree for example. */
export const at = ({ env, filters, disk }: GitPlace, dir: string): GitPlace => ({ dir, env, filters, disk });

async function start(
  { dir, env, filters, disk }: GitPlace,
  args: readonly string[],
  { honour = false, env: own, timeoutMs, input }: GitOptions,
): Promise<Ended<Buffer>> {
  const config = [...ENCODING, ...disk, ...(honour ? [] : [...NEUTRAL, ...filters])];
  const ended = await execa('git', [...config.flatMap((item) => ['-c', item]), ...args], {
    cwd: dir,
    env: { ...env, ...OURS, ...(honour ? {} : { GIT_LFS_SKIP_SMUDGE: '1' }), ...own },
    extendEnv: false,
    reject: false,
    stripFinalNewline: false,
    encoding: 'buffer',
    ...(input === undefined ? { stdin: 'ignore' as const } : { input: bytesOf(input) }),
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
  });
  if (ended.timedOut) return { code: 128, stdout: Buffer.alloc(0), stderr: `no answer in ${timeoutMs} ms` };
  // Half an answer is none, whatever exit code it came with.
  if (ended.isMaxBuffer) throw new Error(`git ${args[0]}: ${ended.originalMessage}`);
  const stderr =
    ended.exitCode === undefined
      ? (ended.originalMessage ?? ended.signal ?? '')
      : textOf(Buffer.from(ended.stderr ?? []));
  return { code: ended.exitCode ?? 1, stdout: Buffer.from(ended.stdout ?? []), stderr };
}

/** A path from the top as a pattern of .gitignore that matches it alone, whatever characters are in it. */
export const asPattern = (path: string): string => `/${path.replace(/[\\*?[\]]/g, '\\$&')}`;

/** Options of `git clean` for paths that stay. */
export const keeping = (paths: readonly string[]): string[] => paths.flatMap((path) => ['-e', asPattern(path)]);
