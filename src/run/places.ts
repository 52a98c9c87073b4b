import { accessSync, constants, existsSync, lstatSync, statSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import type { Repo } from '../git/repo.ts';

/** Where kimi-dispatch keeps what is its own. */
export interface Places {
  readonly config: string;
  /** What is known of this repository. */
  readonly state: string;
  readonly cache: string;
  /** Where its worktrees lie. */
  readonly worktrees: string;
}

type Env = Readonly<Record<string, string | undefined>>;

export function placesOf(env: Env, repo: Repo): Places {
  const home = env.HOME ?? '/tmp';
  const state = join(env.XDG_STATE_HOME ?? join(home, '.local', 'state'), 'kimi-dispatch', repo.id);
  return {
    config: env.XDG_CONFIG_HOME ?? join(home, '.config'),
    state,
    cache: join(env.XDG_CACHE_HOME ?? join(home, '.cache'), 'kimi-dispatch'),
    worktrees: worktreesOf(repo, join(state, 'worktrees')),
  };
}

/**
 * Worktrees lie in the state folder, unless a folder on the way there begins with a dot: web servers, test runners and
 * linters pass such folders over, and a project's tests would fail there. Then they lie beside the checkout, on its file
 * system and under the same parents, in a folder that is this user's alone; where that cannot be had, in the state folder.
 */
function worktreesOf(repo: Repo, usual: string): string {
  const checkout = basename(repo.commonDir) === '.git' ? dirname(repo.commonDir) : repo.commonDir;
  const beside = `${checkout}.kimi-dispatch`;
  return isDotted(usual) && !isDotted(beside) && !isInRepository(dirname(beside)) && isOurs(beside) ? beside : usual;
}

const isDotted = (path: string): boolean => path.split(sep).some((part) => part.startsWith('.'));

/** Files of ours would show up as the user's in a repository around this one. */
const isInRepository = (folder: string): boolean =>
  existsSync(join(folder, '.git')) || (folder !== dirname(folder) && isInRepository(dirname(folder)));

/** A folder that this user alone may write, or may make where nobody else could make it first. */
function isOurs(folder: string): boolean {
  const owner = process.getuid?.();
  const there = lstatSync(folder, { throwIfNoEntry: false });
  if (there !== undefined) return there.isDirectory() && there.uid === owner && (there.mode & 0o022) === 0;
  const parent = statSync(dirname(folder));
  if ((parent.mode & 0o002) !== 0) return false;
  try {
    accessSync(dirname(folder), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
