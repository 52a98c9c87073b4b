import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { withLock } from '../process/lock.ts';
import { fields, type GitPlace, git, gitAnswer } from './git.ts';
import type { Repo } from './repo.ts';
import { gitFolderOf, lendIndex } from './slot.ts';

export interface RunTree extends GitPlace {
  readonly branch: string;
  readonly base: string;
}

/** git writes many files with several processes: 100,000 of them in a fifth of the time (`checkout.workers`). */
const WORKERS = ['-c', `checkout.workers=${Math.min(8, 2 * availableParallelism())}`];

/** Makes the run's worktree and branch at the base commit. Nothing of the user's checkout is touched. */
export async function addWorktree(repo: Repo, tree: RunTree): Promise<void> {
  mkdirSync(dirname(tree.dir), { recursive: true, mode: 0o700 });
  const args = [...WORKERS, 'worktree', 'add', '--no-track', '-b', tree.branch, tree.dir, tree.base];
  await alone(repo, async () => {
    for (let left = 5; ; left--)
      try {
        await git(repo, args);
        return;
      } catch (error) {
        // Somebody else's git is making a worktree, or holds a lock, in this very moment.
        if (left === 0 || !/commondir|\.lock|File exists/.test(String(error))) throw error;
        await gitAnswer(repo, ['branch', '-D', tree.branch], { answers: [1, 128] });
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
  tree: { dir: string; branch: string },
  branchToo: boolean,
): Promise<void> {
  await alone(repo, async () => {
    if (existsSync(tree.dir))
      await gitAnswer(repo, ['worktree', 'remove', '--force', '--force', tree.dir], { answers: [128, 255] });
    removeFolder(tree.dir);
    await git(repo, ['worktree', 'prune'], { quiet: true });
  });
  if (branchToo)
    await gitAnswer(repo, ['update-ref', '-d', `refs/heads/${tree.branch}`], { answers: [1, 128], quiet: true });
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
  chmodSync(dir, 0o700);
  for (const entry of readdirSync(dir, { withFileTypes: true }))
    if (entry.isDirectory()) openFolders(join(dir, entry.name));
}

/** Puts the tree back to the base after a baseline: tracked files restored, new unignored files removed. */
export async function restoreTree(tree: RunTree, provisioned: readonly string[]): Promise<void> {
  await git(tree, ['reset', '--hard', '-q', tree.base], { quiet: true });
  await git(tree, ['clean', '-fdq', ...provisioned.flatMap((path) => ['-e', `/${path}`])], { quiet: true });
}

export interface Change {
  readonly status: 'A' | 'M' | 'D' | 'T';
  readonly path: string;
  readonly added: number;
  readonly removed: number;
  readonly binary: boolean;
}

export interface Collected {
  readonly commit: string;
  readonly changes: readonly Change[];
  /** What the worker did to git itself: said, not believed. */
  readonly strays: readonly string[];
}

export interface CollectOptions {
  readonly message: string;
  readonly commonDir: string;
  /** True when the run branch already holds an earlier collection of ours. */
  readonly known?: boolean;
  /** A folder of ours for the private index. */
  readonly scratch: string;
  /** Where the change is written as a patch. */
  readonly patch: string;
  /** Paths that provisioning put there: never part of a change. */
  readonly provisioned: readonly string[];
}

/**
 * Turns the working tree into one commit on the base, whatever HEAD and the index of the worker say.
 * Untracked, deleted, binary, executable and symlink changes are in; ignored files are not.
 */
export async function collect(tree: RunTree, options: CollectOptions): Promise<Collected> {
  const env = { GIT_INDEX_FILE: join(options.scratch, 'index'), ...IDENTITY };
  const replaced = restoreLink(tree.dir, gitFolderOf(options.commonDir, tree.dir));
  rmSync(env.GIT_INDEX_FILE, { force: true });
  const [strays, excludes] = await Promise.all([
    findStrays(tree, options.known === true),
    privateExcludes(tree, options),
    // With the index that git wrote at the start only what changed since is read; without it, every file.
    lendIndex(tree.dir, env.GIT_INDEX_FILE) ? undefined : git(tree, ['read-tree', tree.base], { env, quiet: true }),
  ]);
  await git(tree, ['-c', `core.excludesFile=${excludes}`, 'add', '-A'], { env, quiet: true });
  const written = await git(tree, ['write-tree'], { env });
  const commit = await git(tree, ['commit-tree', written, '-p', tree.base, '-m', options.message], { env });
  if (strays.length > 0) await git(tree, ['symbolic-ref', 'HEAD', `refs/heads/${tree.branch}`], { quiet: true });
  const [changes] = await Promise.all([
    changesBetween(tree, tree.base, commit),
    git(tree, ['update-ref', '-m', 'kimi-dispatch: collect', `refs/heads/${tree.branch}`, commit], { quiet: true }),
    git(tree, ['read-tree', '--reset', commit], { quiet: true }),
    writePatch(tree, { from: tree.base, to: commit, file: options.patch }),
  ]);
  return { commit, changes, strays: [...replaced, ...strays] };
}

/**
 * `.git` of a worktree is a file that says where git looks. Without the sandbox the worker could have pointed it to
 * a folder of its own, with hooks and filters in it, so it is written again before git reads it.
 */
export function restoreLink(dir: string, gitFolder: string): string[] {
  const file = join(dir, '.git');
  const wanted = `gitdir: ${gitFolder}\n`;
  const stat = lstatSync(file, { throwIfNoEntry: false });
  if (stat?.isFile() === true && readFileSync(file, 'utf8') === wanted) return [];
  rmSync(file, { recursive: true, force: true });
  writeFileSync(file, wanted);
  return ['the worktree had been pointed to another git folder'];
}

/** The user's own global ignores and what provisioning put there, as one file. */
async function privateExcludes(tree: RunTree, options: CollectOptions): Promise<string> {
  const set = (
    await gitAnswer(tree, ['config', '--get', '--path', 'core.excludesFile'], { answers: [1], quiet: true })
  ).stdout.trim();
  const config = tree.env.XDG_CONFIG_HOME ?? join(tree.env.HOME ?? '/', '.config');
  const user = set === '' ? join(config, 'git', 'ignore') : set;
  const text = existsSync(user) ? readFileSync(user, 'utf8') : '';
  const file = join(options.scratch, 'excludes');
  writeFileSync(file, `${text}\n${options.provisioned.map((path) => `/${path}\n`).join('')}`);
  return file;
}

/** Who makes the commits that no person keeps. */
export const IDENTITY = {
  GIT_AUTHOR_NAME: 'kimi-dispatch',
  GIT_AUTHOR_EMAIL: 'kimi-dispatch@localhost',
  GIT_COMMITTER_NAME: 'kimi-dispatch',
  GIT_COMMITTER_EMAIL: 'kimi-dispatch@localhost',
};

async function findStrays(tree: RunTree, known: boolean): Promise<string[]> {
  const strays: string[] = [];
  const [head, tip] = await Promise.all([
    gitAnswer(tree, ['symbolic-ref', '-q', 'HEAD'], { answers: [1, 128] }),
    gitAnswer(tree, ['rev-parse', '-q', '--verify', `refs/heads/${tree.branch}`], { answers: [1, 128] }),
  ]);
  if (head.stdout.trim() !== `refs/heads/${tree.branch}`)
    strays.push(`HEAD was moved to ${head.stdout.trim() || 'a detached commit'}`);
  if (!known && tip.stdout.trim() !== tree.base)
    strays.push('commits were made on the run branch; only the tree counts');
  return strays;
}

/** The files that differ between two commits, with line counts; renames are a deletion and an addition. */
export async function changesBetween(place: GitPlace, from: string, to: string): Promise<Change[]> {
  // First `:modes ids STATUS`, path, for all; then `added TAB removed TAB path` for all.
  const found = fields(await git(place, ['diff-tree', '-r', '-z', '--no-renames', '--raw', '--numstat', from, to]));
  const rows = found.findIndex((field, index) => index % 2 === 0 && !field.startsWith(':'));
  const counts = new Map<string, [string, string]>();
  for (const row of rows < 0 ? [] : found.slice(rows)) {
    const [added = '', removed = '', ...path] = row.split('\t');
    counts.set(path.join('\t'), [added, removed]);
  }
  const changes: Change[] = [];
  for (let index = 0; index + 1 < (rows < 0 ? found.length : rows); index += 2) {
    const path = found[index + 1] as string;
    const [added = '0', removed = '0'] = counts.get(path) ?? [];
    const status = found[index]?.at(-1) as Change['status'];
    changes.push({ status, path, added: Number(added) || 0, removed: Number(removed) || 0, binary: added === '-' });
  }
  return changes;
}

/** Writes the whole change, binary files included, as a patch that `git apply` takes. */
export async function writePatch(place: GitPlace, change: { from: string; to: string; file: string }): Promise<void> {
  await git(
    place,
    [
      'diff',
      '--binary',
      '--full-index',
      '--no-color',
      '--no-ext-diff',
      '--no-textconv',
      `--output=${change.file}`,
      change.from,
      change.to,
    ],
    { quiet: true },
  );
}
