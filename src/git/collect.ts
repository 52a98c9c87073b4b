import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Change, changesBetween, IDENTITY, writePatch } from './change.ts';
import { asPattern, git, gitAnswer } from './git.ts';
import { gitFolderOf, lendIndex } from './slot.ts';
import { type RunTree, restoreLink } from './worktree.ts';

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

/** The user's own global ignores and what provisioning put there, as one file. */
async function privateExcludes(tree: RunTree, options: CollectOptions): Promise<string> {
  const set = (
    await gitAnswer(tree, ['config', '--get', '--path', 'core.excludesFile'], { answers: [1], quiet: true })
  ).stdout.trim();
  const config = tree.env.XDG_CONFIG_HOME ?? join(tree.env.HOME ?? '/', '.config');
  const user = set === '' ? join(config, 'git', 'ignore') : set;
  const text = existsSync(user) ? readFileSync(user, 'utf8') : '';
  const file = join(options.scratch, 'excludes');
  writeFileSync(file, `${text}\n${options.provisioned.map((path) => `${asPattern(path)}\n`).join('')}`);
  return file;
}

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
