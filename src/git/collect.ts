import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Change, changesBetween, IDENTITY, writePatch } from './change.ts';
import { unfiltered } from './filters.ts';
import { asPattern, git, gitAnswer } from './git.ts';
import { lendIndex } from './slot.ts';
import { ignoredIn, type Left, stage, writeExcludes } from './stage.ts';
import { type RunTree, restoreLink } from './worktree.ts';

export interface Collected {
  readonly commit: string;
  readonly changes: readonly Change[];
  /** What the worker did to git itself: said, not believed. */
  readonly strays: readonly string[];
  /** What git refused to take: it still lies in the worktree. */
  readonly left: readonly Left[];
  /** What git ignores and the worker made: not in the change. Folders end with a slash. */
  readonly ignored: readonly string[];
  /** Changed files whose clean filter was not run: path → filter. */
  readonly unfiltered: ReadonlyMap<string, string>;
}

export interface CollectOptions {
  readonly message: string;
  readonly commonDir: string;
  /** True when the run branch already holds an earlier collection of ours. */
  readonly known?: boolean;
  /** A folder of ours for the private index; it is made and removed. */
  readonly scratch: string;
  /** Where the change is written as a patch. */
  readonly patch: string;
  /** Paths that provisioning put there: never part of a change. */
  readonly provisioned: readonly string[];
  /** Paths that are part of the change whatever ignores them. */
  readonly declared: readonly string[];
  /** Bytes that are read into the change at most: the disk limit of the run. */
  readonly most?: number;
  /** What git ignored there before the worker began. */
  readonly ignoredBefore: readonly string[];
}

/**
 * Turns the working tree into one commit on the base, whatever HEAD and the index of the worker say.
 * Untracked, deleted, binary, executable and symlink changes are in; of the ignored files only the declared ones are.
 */
export async function collect(tree: RunTree, options: CollectOptions): Promise<Collected> {
  const { scratch, provisioned } = options;
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  try {
    const env = { GIT_INDEX_FILE: join(scratch, 'index'), ...IDENTITY };
    const replaced = restoreLink(options.commonDir, tree);
    // With the index that git wrote at the start only what changed since is read; without it, every file.
    if (!lendIndex(tree.dir, env.GIT_INDEX_FILE)) await git(tree, ['read-tree', '-m', tree.base], { env });
    const [strays, excludes] = await Promise.all([
      findStrays(tree, options.known === true),
      writeExcludes(tree, scratch, provisioned.map(asPattern)),
    ]);
    const declared = options.declared.filter((path) => !isBelow(provisioned, path));
    const left = await stage(tree, {
      base: tree.base,
      env,
      scratch,
      excludes,
      declared,
      ...(options.most === undefined ? {} : { most: options.most }),
    });
    const made = new Set([...options.ignoredBefore, ...provisioned]);
    const ignored = (await ignoredIn(tree, env)).filter(
      (path) => !made.has(path) && !made.has(path.replace(/\/$/, '')),
    );
    const written = await git(tree, ['write-tree'], { env });
    const commit = await git(tree, ['commit-tree', written, '-p', tree.base, '-m', options.message], { env });
    if (strays.length > 0) await git(tree, ['symbolic-ref', 'HEAD', `refs/heads/${tree.branch}`]);
    const [changes] = await Promise.all([
      changesBetween(tree, tree.base, commit),
      git(tree, ['update-ref', '-m', 'kimi-dispatch: collect', `refs/heads/${tree.branch}`, commit]),
      resetIndex(tree, commit),
      writePatch(tree, { from: tree.base, to: commit, file: options.patch }),
    ]);
    const paths = changes.filter((change) => change.status !== 'D').map((change) => change.path);
    const raw = await unfiltered(tree, paths);
    return { commit, changes, strays: [...replaced, ...strays], left, ignored, unfiltered: raw };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The worktree's own index, so that its status is clean. Over a sparse definition git may refuse to change an entry. */
async function resetIndex(tree: RunTree, commit: string): Promise<void> {
  const answer = await gitAnswer(tree, ['read-tree', '--reset', commit], { answers: [128] });
  if (answer.code === 0) return;
  await git(tree, ['read-tree', '--empty']);
  await git(tree, ['read-tree', '-m', commit]);
}

const isBelow = (folders: readonly string[], path: string): boolean =>
  folders.some((folder) => path === folder || path.startsWith(`${folder}/`));

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
