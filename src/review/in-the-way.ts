import { lstatSync, readdirSync } from 'node:fs';
import type { Change } from '../git/change.ts';
import { fields, git } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import { onDisk } from '../names.ts';

/**
 * Files of the checkout that git does not track, ignored ones too, where a change adds its own: at the same path, as a
 * file where the change needs a folder, or in a folder where it needs a file.
 */
export async function inTheWay(repo: Repo, changes: readonly Change[]): Promise<string[]> {
  // A submodule that becomes a file: git would remove its folder with all that is in it.
  const folders = changes.filter(({ status, path }) => status === 'T' && holdsFiles(onDisk(repo.root, path)));
  return [...(await untracked(repo, changes)), ...folders.map(({ path }) => path)];
}

const holdsFiles = (path: string | Buffer): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true && readdirSync(path).length > 0;

async function untracked(repo: Repo, changes: readonly Change[]): Promise<string[]> {
  const added = changes.filter((change) => change.status === 'A').map((change) => change.path);
  if (added.length === 0) return [];
  const gone = new Set(changes.filter((change) => change.status === 'D').map((change) => change.path));
  const there = [...new Set(added.flatMap((path) => obstaclesOf(repo.root, path)))];
  if (there.length === 0) return [];
  const args = ['--literal-pathspecs', 'ls-files', '-z', '--'];
  const tracked = new Set(fields(await git(repo, [...args, ...there])));
  const isTracked = (path: string): boolean =>
    tracked.has(path) || [...tracked].some((file) => file.startsWith(`${path}/`) && gone.has(file));
  return there.filter((path) => !isTracked(path));
}

/** What lies at a path that will be a file: itself, or a file where one of its folders must be. */
function obstaclesOf(root: string, path: string): string[] {
  const parts = path.split('/');
  for (let length = 1; length <= parts.length; length++) {
    const part = parts.slice(0, length).join('/');
    const stat = lstatSync(onDisk(root, part), { throwIfNoEntry: false });
    if (stat === undefined) return [];
    if (length === parts.length || !stat.isDirectory()) return [part];
  }
  return [];
}
