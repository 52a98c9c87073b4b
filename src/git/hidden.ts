import { copyFileSync, lstatSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { onDisk } from '../names.ts';
import type { Change } from './change.ts';
import { fields, git } from './git.ts';
import type { Repo } from './repo.ts';

/**
 * Refuses a move over files whose edits git was told not to look at: it would overwrite them. Such files that are as git
 * knows them, or that a sparse checkout leaves out, are no obstacle.
 */
export async function refuseHiddenEdits(repo: Repo, changes: readonly Change[]): Promise<void> {
  const touched = new Set(changes.map((change) => change.path));
  const rows = fields(await git(repo, ['ls-files', '-v', '-z'])).filter((row) => touched.has(row.slice(2)));
  // A small letter stands for assume-unchanged, an S for skip-worktree.
  const marked = rows.filter((row) => /^([a-z]|S)/.test(row) && isThere(repo, row.slice(2)));
  if (marked.length === 0) return;
  const edits = await editsOf(
    repo,
    marked.map((row) => row.slice(2)),
  );
  const found = marked.find((row) => edits.has(row.slice(2)));
  if (found === undefined) return;
  const [path, bit] = [found.slice(2), /^s/i.test(found) ? 'skip-worktree' : 'assume-unchanged'];
  throw refuse(
    'conflict',
    `You have edits in ${path}, which is marked ${bit}: git would overwrite them unseen.`,
    `git update-index --no-${bit} ${path}, then commit or stash them`,
  );
}

const isThere = (repo: Repo, path: string): boolean =>
  lstatSync(onDisk(repo.root, path), { throwIfNoEntry: false }) !== undefined;

/** Those of these files that differ from the index, marks aside: asked of a copy of the index that has none. */
async function editsOf(repo: Repo, paths: readonly string[]): Promise<Set<string>> {
  const folder = mkdtempSync(join(tmpdir(), 'kimi-dispatch-index-'));
  try {
    const env = { GIT_INDEX_FILE: join(folder, 'index') };
    copyFileSync(join(repo.gitDir, 'index'), env.GIT_INDEX_FILE);
    const input = paths.join('\0');
    for (const bit of ['assume-unchanged', 'skip-worktree'])
      await git(repo, ['update-index', `--no-${bit}`, '-z', '--stdin'], { env, input });
    const args = ['-c', 'core.fsmonitor=false', 'diff-files', '-z', '--name-only'];
    return new Set(fields(await git(repo, args, { env, honour: true })));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
