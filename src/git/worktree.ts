import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { readStranger } from '../files.ts';
import { namesIn, onDisk } from '../names.ts';
import { withLock } from '../process/lock.ts';
import { fields, type GitPlace, git, gitAnswer } from './git.ts';
import type { Repo } from './repo.ts';
import { gitFolderOf } from './slot.ts';

export interface RunTree extends GitPlace {
  readonly branch: string;
  readonly base: string;
}

/** A worktree at a commit: on a branch of its own, or with a detached HEAD. */
export type NewTree = Omit<RunTree, 'branch'> & { readonly branch?: string };

/** git writes many files with several processes: 100,000 of them in a fifth of the time (`checkout.workers`). */
const WORKERS = ['-c', `checkout.workers=${Math.min(8, 2 * availableParallelism())}`];

/** Makes a worktree, and its branch, at the base commit. Nothing of the user's checkout is touched. */
export async function addWorktree(repo: Repo, tree: NewTree): Promise<void> {
  mkdirSync(dirname(tree.dir), { recursive: true, mode: 0o700 });
  const head = tree.branch === undefined ? ['--detach'] : ['--no-track', '-b', tree.branch];
  const args = [...WORKERS, 'worktree', 'add', ...head, tree.dir, tree.base];
  await alone(repo, async () => {
    for (let left = 5; ; left--)
      try {
        await git(repo, args);
        return;
      } catch (error) {
        // Somebody else's git is making a worktree, or holds a lock, in this very moment.
        if (left === 0 || !/commondir|\.lock|File exists/.test(String(error))) throw error;
        if (tree.branch !== undefined) await gitAnswer(repo, ['branch', '-D', tree.branch], { answers: [1, 128] });
        await new Promise((done) => setTimeout(done, 200));
      }
  });
}

/** git reads half-made worktrees of others and fails over them: one of ours at a time makes or removes one. */
const alone = <T>(repo: Repo, work: () => Promise<T>): Promise<T> =>
  withLock(
    { file: join(repo.commonDir, 'kimi-dispatch', 'worktrees.lock'), what: 'Making worktrees', waitMs: 120_000 },
    work,
  );

/** Removes the run's worktree; the branch stays unless asked for. A tree that is already gone is no error. */
export async function removeWorktree(
  repo: Repo,
  tree: { dir: string; branch?: string },
  branchToo: boolean,
): Promise<void> {
  await alone(repo, async () => {
    const own = gitFolderOf(repo.commonDir, tree.dir);
    removeFolder(tree.dir);
    // A worktree that was locked is not pruned.
    rmSync(join(own, 'locked'), { force: true });
    await git(repo, ['worktree', 'prune']);
  });
  if (branchToo && tree.branch !== undefined)
    await gitAnswer(repo, ['update-ref', '-d', `refs/heads/${tree.branch}`], { answers: [1, 128] });
}

/** Removes a folder with all that is in it, folders that a worker closed to writing included. */
function removeFolder(dir: string): void {
  try {
    rmSync(dir, { recursive: true, force: true });
  } catch {
    openFolders(dir);
    rmSync(dir, { recursive: true, force: true });
  }
}

function openFolders(dir: string): void {
  chmodSync(onDisk(dir), 0o700);
  for (const { name, isFolder } of namesIn(dir)) if (isFolder) openFolders(join(dir, name));
}

/**
 * `.git` of a worktree is a file that says where git looks. Without the sandbox the worker could have pointed it to
 * a folder of its own, with hooks and filters in it, so it is written again before git reads it. Git's own folder of a
 * run's worktree is made again too: `git worktree prune` removes it where it found no `.git`, and the files are still there.
 */
export function restoreLink(commonDir: string, { dir, branch }: { dir: string; branch?: string }): string[] {
  const gitFolder = gitFolderOf(commonDir, dir);
  if (branch !== undefined && !existsSync(join(gitFolder, 'HEAD'))) {
    mkdirSync(gitFolder, { recursive: true });
    const files = { HEAD: `ref: refs/heads/${branch}`, commondir: '../..', gitdir: join(dir, '.git') };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(gitFolder, name), `${text}\n`);
  }
  const file = join(dir, '.git');
  const wanted = `gitdir: ${gitFolder}\n`;
  const stat = lstatSync(file, { throwIfNoEntry: false });
  if (readStranger(file, { cap: 8192, within: dir })?.toString('utf8') === wanted) return [];
  // Not left to rmSync: some releases of Node 24 leave a link whose target is not there, and would write through it.
  if (stat?.isSymbolicLink() === true) unlinkSync(file);
  rmSync(file, { recursive: true, force: true });
  writeFileSync(file, wanted);
  return ['the worktree had been pointed to another git folder'];
}

/** Whether files lie in the folder of a worktree, with or without the `.git` that ties it to git. */
export const holdsFiles = (dir: string): boolean => existsSync(dir) && readdirSync(onDisk(dir)).length > 0;

/** Where a branch (its full name) is checked out: the folders of those checkouts and worktrees. */
export async function checkoutsOf(repo: Repo, ref: string): Promise<string[]> {
  const rows = (await git(repo, ['worktree', 'list', '--porcelain', '-z'])).split('\0\0').map(fields);
  return rows.filter((row) => row.includes(`branch ${ref}`)).map((row) => row[0]?.replace('worktree ', '') ?? '');
}
