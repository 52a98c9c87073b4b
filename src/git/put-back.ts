import { lstatSync, readFileSync, readlinkSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Change, changesBetween } from './change.ts';
import { fields, type GitPlace, git, gitAnswer, gitBytes } from './git.ts';
import type { Repo } from './repo.ts';

export interface PutBack {
  /** Files that neither commit explains: somebody else wrote them since, and they are left as they are. */
  readonly strange: readonly string[];
}

/**
 * Takes back what an unfinished move from one commit to another wrote into a checkout. A file is touched only where it is
 * byte for byte what the move wrote, whole or cut off; the index keeps every entry that is not the move's.
 */
export async function putBack(repo: Repo, { from, to }: { from: string; to: string }): Promise<PutBack> {
  const changes = await changesBetween(repo, from, to);
  if (changes.length === 0) return { strange: [] };
  await resetIndex(repo, changes, { from, to });
  const differ = new Set(await differing(repo, changes));
  const strange: string[] = [];
  const restore: string[] = [];
  for (const change of changes) {
    const { path, status } = change;
    const file = join(repo.root, path);
    const stat = lstatSync(file, { throwIfNoEntry: false });
    if (status === 'A' ? stat === undefined : !differ.has(path)) continue;
    if (status !== 'A' && stat !== undefined && (await holds(repo, { commit: from, path, file }))) continue;
    if (!(await isOurs(repo, { to, change, file }))) strange.push(path);
    else if (status === 'A') removeFile(repo.root, path);
    else restore.push(path);
  }
  if (restore.length > 0) {
    const args = ['checkout-index', '-f', '-q', '-z', '--stdin'];
    const answer = await gitAnswer(repo, args, { ...list(restore), honour: true, answers: [1, 128] });
    if (answer.code !== 0) strange.push(...restore);
  }
  await gitAnswer(repo, ['update-index', '-q', '--refresh'], { quiet: true, answers: [1, 128] });
  return { strange };
}

const list = (paths: readonly string[]): { input: string } => ({ input: paths.join('\0') });
const FROM_STDIN = ['--pathspec-from-file=-', '--pathspec-file-nul'];

/** Entries that the move wrote go back to what they were. */
async function resetIndex(
  repo: Repo,
  changes: readonly Change[],
  { from, to }: { from: string; to: string },
): Promise<void> {
  const paths = new Set(changes.map((change) => change.path));
  const [index, after] = await Promise.all([
    git(repo, ['ls-files', '-s', '-z']),
    git(repo, ['ls-tree', '-r', '-z', '--full-tree', to]),
  ]);
  const entries = new Map(fields(index).map((row) => [pathOf(row), idOf(row, 1)]));
  const wanted = new Map(fields(after).map((row) => [pathOf(row), idOf(row, 2)]));
  const ours = [...paths].filter((path) => entries.get(path) === wanted.get(path));
  if (ours.length === 0) return;
  await git(repo, ['--literal-pathspecs', 'reset', '-q', from, ...FROM_STDIN], list(ours));
}

const pathOf = (row: string): string => row.slice(row.indexOf('\t') + 1);
const idOf = (row: string, at: number): string => row.slice(0, row.indexOf('\t')).split(' ')[at] ?? '';

/** Paths whose file may not be what the index says; all of them where a filter keeps git from looking. */
async function differing(repo: Repo, changes: readonly Change[]): Promise<string[]> {
  const paths = changes.map((change) => change.path);
  const answer = await gitAnswer(repo, ['diff-files', '-z', '--name-only'], { honour: true, answers: [1, 128] });
  if (answer.code !== 0) return paths;
  const rows = new Set(fields(answer.stdout));
  return paths.filter((path) => rows.has(path));
}

interface Held {
  readonly commit: string;
  readonly path: string;
  readonly file: string;
}

/** True when a file is what a commit holds. */
async function holds(repo: Repo, { commit, path, file }: Held): Promise<boolean> {
  const wanted = await contentOf(repo, commit, path);
  const stat = lstatSync(file);
  if (stat.isSymbolicLink()) return Buffer.from(readlinkSync(file)).equals(wanted);
  return stat.isFile() && stat.size === wanted.length && readFileSync(file).equals(wanted);
}

interface Written {
  readonly to: string;
  readonly change: Change;
  readonly file: string;
}

/** True when a file is what the move wrote there, or the beginning of it, or is gone. */
async function isOurs(repo: Repo, { to, change, file }: Written): Promise<boolean> {
  const stat = lstatSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return true;
  if (change.status === 'D') return false;
  const wanted = await contentOf(repo, to, change.path);
  if (stat.isSymbolicLink()) return Buffer.from(readlinkSync(file)).equals(wanted);
  if (!stat.isFile() || stat.size > wanted.length) return false;
  return wanted.subarray(0, stat.size).equals(readFileSync(file));
}

/** The bytes that git writes for a file of a commit, with the filters of the user; none where a filter fails. */
const contentOf = (place: GitPlace, commit: string, path: string): Promise<Buffer> =>
  gitBytes(place, ['cat-file', '--filters', `${commit}:${path}`], { honour: true, answers: [1, 128] });

/** Removes a file, and the folders that it leaves empty. */
function removeFile(root: string, path: string): void {
  rmSync(join(root, path), { force: true });
  for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) {
    try {
      rmdirSync(join(root, folder));
    } catch {
      return;
    }
  }
}
