import { existsSync, readdirSync, readlinkSync, realpathSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import type { GitAnswer } from './git.ts';
import type { Repo } from './repo.ts';

/** A lock of git's that is there already belongs to somebody else, alive or not. */
export function refuseLocks(repo: Repo, ref: string): void {
  const lock = locksOf(repo, ref).find(existsSync);
  if (lock === undefined) return;
  throw refuse(
    'wrong-state',
    `git is at work in this checkout, or died there: ${lock} exists.`,
    `Wait for git to end; if none runs, rm ${lock}`,
  );
}

export const locksOf = ({ gitDir, commonDir }: Pick<Repo, 'gitDir' | 'commonDir'>, ref: string): string[] => [
  join(gitDir, 'index.lock'),
  join(gitDir, 'HEAD.lock'),
  join(gitDir, 'ORIG_HEAD.lock'),
  ...(ref === 'HEAD' ? [] : [join(commonDir, `${ref}.lock`)]),
];

/** What git says when it meets a lock. */
const LOCKED = /\.lock'?: File exists|Another git process/;
const [TRIES, PAUSE_MS] = [15, 200];

/** Tries a step of git's again for three seconds while somebody else's git holds a lock; the last answer counts. */
export async function patiently(step: () => Promise<GitAnswer>): Promise<GitAnswer> {
  for (let left = TRIES; ; left--) {
    const answer = await step();
    if (answer.code === 0 || left === 0 || !LOCKED.test(answer.stderr)) return answer;
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
}

/** A lock that came after the move began and that no process holds open was git's, which died with the move. */
export function removeDeadLock(lock: string, since: number): void {
  const stat = statSync(lock, { throwIfNoEntry: false });
  if (stat === undefined || stat.mtimeMs < since - 2000 || isOpen(lock) !== false) return;
  rmSync(lock, { force: true });
}

/** Whether a process has a file open; undefined where that cannot be seen. */
function isOpen(file: string): boolean | undefined {
  if (!existsSync('/proc/self/fd')) return undefined;
  const real = realpathSync(file);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .some((pid) => {
      try {
        return readdirSync(`/proc/${pid}/fd`).some((fd) => safeLink(`/proc/${pid}/fd/${fd}`) === real);
      } catch {
        return false;
      }
    });
}

function safeLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
