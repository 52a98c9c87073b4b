import { userInfo } from 'node:os';

/** What a command may know of the world outside. Read once, in main.ts. */
export interface World {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder of the installed program. */
  readonly root: string;
  readonly now: () => Date;
  /** Data: text for a reader of stdout. What a terminal or a CI runner would obey is taken out at this door. */
  readonly out: (text: string) => void;
  /** People: progress and notes. The same. */
  readonly err: (text: string) => void;
  /** What we ourselves tell the terminal or the CI runner to do; others' words in it are escaped by the caller. */
  readonly control: (text: string) => void;
  /** True when stderr is a terminal and nothing asks for plain text. */
  readonly lively: boolean;
  readonly signal: AbortSignal;
  /** Asks the person at the terminal; missing where there is none. */
  readonly confirm?: (question: string) => Promise<boolean>;
}

/**
 * The environment of a process. Where HOME is missing (some CI jobs) it is the account's own: what is secret in it
 * stays closed, and nobody else's folder is taken for it.
 */
export function withHome(env: World['env']): World['env'] {
  if (env.HOME !== undefined && env.HOME !== '') return env;
  try {
    return { ...env, HOME: userInfo().homedir };
  } catch {
    // An account without an entry, in a container of its own.
    return env;
  }
}

const ELSEWHERE =
  /^GIT_(DIR|WORK_TREE|IMPLICIT_WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|QUARANTINE_PATH|COMMON_DIR|(GRAFT|SHALLOW)_FILE|REPLACE_REF_BASE|ATTR_SOURCE|DEFAULT_HASH|NAMESPACE|PREFIX|CEILING_DIRECTORIES|(LITERAL|GLOB|NOGLOB|ICASE)_PATHSPECS|EXTERNAL_DIFF|DIFF_OPTS|(AUTHOR|COMMITTER)_DATE)$/;

/**
 * The environment for git: the user's, without variables that would point it elsewhere or change what a path means, and
 * without its traces, which would stand where we look for the reason of a failure.
 */
export function gitEnvironment(env: World['env']): Record<string, string> {
  const kept = Object.entries(env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && !ELSEWHERE.test(entry[0]) && !/^GIT_TRACE/.test(entry[0]),
  );
  return Object.fromEntries(kept);
}
