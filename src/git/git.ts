import { execa } from 'execa';
import { simpleGit } from 'simple-git';
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
  /** True for calls that print nothing when all is well: simple-git waits 50 ms after each of those (its completion plugin). */
  readonly quiet?: boolean;
  /** Ends a quiet call that takes longer; it counts as exit 128. */
  readonly timeoutMs?: number;
  /** What git reads as its stdin; such a call is a quiet one. */
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
  'index.sparse=false',
  'commit.gpgSign=false',
  // A repository inside a submodule is the worker's: no git is started in it.
  'diff.ignoreSubmodules=dirty',
];

/** What we say and read is UTF-8, and a commit's header says so too. */
const ENCODING = ['i18n.commitEncoding=UTF-8', 'i18n.logOutputEncoding=UTF-8'];

// The arguments are ours, never a worker's: simple-git's guards are for callers who pass strangers' words.
const UNSAFE = {
  allowAbbreviatedOptions: true,
  allowUnsafeHooksPath: true,
  allowUnsafeFsMonitor: true,
  allowUnsafeFilter: true,
  allowUnsafeConfigPaths: true,
  allowUnsafeEditor: true,
  allowUnsafePager: true,
  allowUnsafeAskPass: true,
  allowUnsafeSshCommand: true,
  allowUnsafeGpgProgram: true,
  allowUnsafePack: true,
  allowUnsafeConfigEnvCount: true,
  allowUnsafeCredentialHelper: true,
  allowUnsafeDiffExternal: true,
  allowUnsafeDiffTextConv: true,
  allowUnsafeExec: true,
  allowUnsafeGitProxy: true,
  allowUnsafeTemplateDir: true,
  allowUnsafeMergeDriver: true,
};

/**
 * Runs git once. Any exit code that is not 0 and not in `answers` rejects with a GitFailure.
 * (simple-git alone resolves when a failing git wrote nothing to stderr.)
 */
export async function gitAnswer(
  place: GitPlace,
  args: readonly string[],
  options: GitOptions = {},
): Promise<GitAnswer> {
  const quiet = options.quiet === true || options.input !== undefined;
  if (!quiet) return answered(args, options, await startNoisy(...callOf(place, args, options)));
  const { stdout, ...rest } = await startQuiet(callOf(place, args, options), options);
  return answered(args, options, { ...rest, stdout: textOf(stdout) });
}

/** The standard output of one git call in bytes. The call is a quiet one. */
export async function gitBytes(place: GitPlace, args: readonly string[], options: GitOptions = {}): Promise<Buffer> {
  return answered(args, options, await startQuiet(callOf(place, args, options), options)).stdout;
}

type Call = readonly [place: Pick<GitPlace, 'dir' | 'env'>, args: readonly string[], config: readonly string[]];

function callOf(place: GitPlace, args: readonly string[], { honour, env }: GitOptions): Call {
  const own = { GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' };
  const lfs = honour === true ? {} : { GIT_LFS_SKIP_SMUDGE: '1' };
  const config = [...ENCODING, ...place.disk, ...(honour === true ? [] : [...NEUTRAL, ...place.filters])];
  return [{ dir: place.dir, env: { ...place.env, ...own, ...lfs, ...env } }, args, config];
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

const startNoisy = async (...[place, args, config]: Call): Promise<GitAnswer> => {
  let seen = { exitCode: 0, stdOut: [] as Buffer[], stdErr: [] as Buffer[] };
  const git = simpleGit({
    baseDir: place.dir,
    config: [...config],
    unsafe: UNSAFE,
    allowEnvironment: Object.keys(place.env),
    completion: { onClose: true, onExit: false },
    errors: (_error, result) => {
      seen = result;
      return undefined;
    },
  });
  await git.env(place.env).raw([...args]);
  return {
    code: seen.exitCode,
    stdout: textOf(Buffer.concat(seen.stdOut)),
    stderr: textOf(Buffer.concat(seen.stdErr)),
  };
};

async function startQuiet(
  [place, args, config]: Call,
  { timeoutMs, input }: Pick<GitOptions, 'timeoutMs' | 'input'>,
): Promise<Ended<Buffer>> {
  const ended = await execa('git', [...config.flatMap((item) => ['-c', item]), ...args], {
    cwd: place.dir,
    env: place.env,
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
