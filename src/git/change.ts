import { fields, type GitPlace, git, gitAnswer } from './git.ts';

/** Who makes the commits that no person keeps. */
export const IDENTITY = {
  GIT_AUTHOR_NAME: 'kimi-dispatch',
  GIT_AUTHOR_EMAIL: 'kimi-dispatch@localhost',
  GIT_COMMITTER_NAME: 'kimi-dispatch',
  GIT_COMMITTER_EMAIL: 'kimi-dispatch@localhost',
};

export interface Change {
  readonly status: 'A' | 'M' | 'D' | 'T';
  readonly path: string;
  readonly added: number;
  readonly removed: number;
  readonly binary: boolean;
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

/** Files that git sees as renamed between two commits, as [from, to]. */
export async function renamesBetween(place: GitPlace, from: string, to: string): Promise<[string, string][]> {
  const args = ['diff-tree', '-r', '-z', '-M', '--diff-filter=R', '--name-status', from, to];
  const rows = fields(await git(place, args));
  const renames: [string, string][] = [];
  for (let index = 0; index + 2 < rows.length; index += 3) renames.push([rows[index + 1] ?? '', rows[index + 2] ?? '']);
  return renames;
}

/**
 * Writes the whole change, binary files included, as a patch that `git apply` takes. Made by plumbing, which does not
 * read the user's settings for `git diff` (prefixes, context, order, external programs).
 */
export async function writePatch(place: GitPlace, change: { from: string; to: string; file: string }): Promise<void> {
  await git(place, [
    'diff-tree',
    '-r',
    '-p',
    '-M',
    '--binary',
    '--full-index',
    '--no-color',
    '--no-ext-diff',
    '--no-textconv',
    `--output=${change.file}`,
    change.from,
    change.to,
  ]);
}

/**
 * The tree of `tip` with the change from `base` to `commit` in it, made without a worktree; or the paths that conflict,
 * with the tree that marks them. Three commits without history stand for them, so nothing but that change comes in,
 * whatever the history says: a commit that was amended away, or a branch that the change was based on, stays out.
 */
export async function applyChange(
  place: GitPlace,
  { base, commit, tip }: { readonly base: string; readonly commit: string; readonly tip: string },
): Promise<{ tree: string } | { tree: string; conflicts: string[] }> {
  const bare = (of: string, parent: readonly string[]): Promise<string> =>
    git(place, ['commit-tree', `${of}^{tree}`, ...parent, '-m', 'kimi-dispatch'], { env: IDENTITY });
  const root = await bare(base, []);
  const [ours, theirs] = await Promise.all([bare(tip, ['-p', root]), bare(commit, ['-p', root])]);
  const args = ['merge-tree', '--write-tree', '--name-only', '--no-messages', '-z', ours, theirs];
  const answer = await gitAnswer(place, args, { answers: [1] });
  const [tree = '', ...conflicts] = answer.stdout.split('\0').filter((part) => part !== '');
  return answer.code === 0 ? { tree } : { tree, conflicts: [...new Set(conflicts)] };
}
