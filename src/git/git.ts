import { simpleGit } from 'simple-git';

/** Where git runs, and the environment it sees. */
export interface GitPlace {
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface GitOptions {
  /** Added to the environment of this call: GIT_INDEX_FILE and the like. */
  readonly env?: Readonly<Record<string, string>>;
  /** Exit codes other than 0 that are answers, not failures. */
  readonly answers?: readonly number[];
  /** True for commits that a person keeps: their hooks and signing apply. */
  readonly honour?: boolean;
}

export interface GitAnswer {
  readonly code: number;
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
  'commit.gpgSign=false',
  'filter.lfs.smudge=',
  'filter.lfs.clean=',
  'filter.lfs.process=',
  'filter.lfs.required=false',
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
  let seen = { exitCode: 0, stdOut: [] as Buffer[], stdErr: [] as Buffer[] };
  const env = { ...place.env, GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C', ...options.env };
  const git = simpleGit({
    baseDir: place.dir,
    config: options.honour === true ? [] : NEUTRAL,
    unsafe: UNSAFE,
    allowEnvironment: Object.keys(env),
    // Its default waits 50 ms after every exit; the closed pipes say the same at once.
    completion: { onClose: true, onExit: false },
    errors: (_error, result) => {
      seen = result;
      return undefined;
    },
  });
  const stdout = await git.env(env).raw([...args]);
  const stderr = Buffer.concat(seen.stdErr).toString('utf8');
  const answer = { code: seen.exitCode, stdout, stderr };
  if (answer.code === 0 || options.answers?.includes(answer.code) === true) return answer;
  throw Object.assign(new Error(`git ${args[0]}: ${stderr.trim() || stdout.trim() || `exit ${answer.code}`}`), {
    git: answer,
  });
}

/** The standard output of one git call, without the last line end. */
export async function git(place: GitPlace, args: readonly string[], options: GitOptions = {}): Promise<string> {
  return (await gitAnswer(place, args, options)).stdout.replace(/\n$/, '');
}

/** The fields of a `-z` output. */
export const fields = (output: string): string[] => output.split('\0').filter((field) => field !== '');
