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
  const own = { GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' };
  const env = {
    ...place.env,
    ...own,
    ...(options.honour === true ? {} : { GIT_LFS_SKIP_SMUDGE: '1' }),
    ...options.env,
  };
  const config = options.honour === true ? place.disk : [...NEUTRAL, ...place.filters, ...place.disk];
  const quiet = options.quiet === true || options.input !== undefined;
  const start = quiet ? startQuiet(options.timeoutMs, options.input) : startNoisy;
  const answer = await start({ dir: place.dir, env }, args, config);
  if (answer.code === 0 || options.answers?.includes(answer.code) === true) return answer;
  throw Object.assign(
    new Error(
      `git ${args.find((word, at) => word !== '-c' && args[at - 1] !== '-c')}: ${answer.stderr.trim() || answer.stdout.trim() || `exit ${answer.code}`}`,
    ),
    {
      git: answer,
    },
  );
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

type Start = (
  place: Pick<GitPlace, 'dir' | 'env'>,
  args: readonly string[],
  config: readonly string[],
) => Promise<GitAnswer>;

const startNoisy: Start = async (place, args, config) => {
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

const startQuiet =
  (timeoutMs: number | undefined, input: string | undefined): Start =>
  async (place, args, config) => {
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
    if (ended.timedOut) return { code: 128, stdout: '', stderr: `no answer in ${timeoutMs} ms` };
    const said = (bytes: Uint8Array | undefined): string => textOf(Buffer.from(bytes ?? []));
    const stderr = ended.exitCode === undefined ? (ended.originalMessage ?? ended.signal ?? '') : said(ended.stderr);
    return { code: ended.exitCode ?? 1, stdout: said(ended.stdout), stderr };
  };

/** A path from the top as a pattern of .gitignore that matches it alone, whatever characters are in it. */
export const asPattern = (path: string): string => `/${path.replace(/[\\*?[\]]/g, '\\$&')}`;

/** Options of `git clean` for paths that stay. */
export const keeping = (paths: readonly string[]): string[] => paths.flatMap((path) => ['-e', asPattern(path)]);
