import { lstatSync, readFileSync, readlinkSync, rmdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { onDisk } from '../names.ts';
import { type Entry, entriesOf } from './blobs.ts';
import { type Change, changesBetween } from './change.ts';
import { FROM_STDIN, fields, type GitPlace, git, gitAnswer, gitBytes } from './git.ts';
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
  const [before, after] = await Promise.all([entriesOf(repo, from), entriesOf(repo, to)]);
  await resetIndex(repo, changes, { from, after });
  const differ = new Set(await differing(repo, changes));
  const strange: string[] = [];
  const restore: string[] = [];
  // A folder that it made goes before the file comes back that was there.
  for (const change of [...changes].sort((left, right) => rank(left) - rank(right))) {
    const { path, status } = change;
    const file = onDisk(repo.root, path);
    const stat = lstatSync(file, { throwIfNoEntry: false });
    if (status === 'A' ? stat === undefined || holdsEntries(repo.root, path, before) : !differ.has(path)) continue;
    if (status !== 'A' && stat !== undefined && (await holds(repo, { entry: before.get(path), path, file }))) continue;
    if (!(await isOurs(repo, { entry: after.get(path), path, file }))) strange.push(path);
    else if (status === 'A') removeFile(repo.root, path);
    else restore.push(path);
  }
  if (restore.length > 0) {
    const args = ['checkout-index', '-f', '-q', '-z', '--stdin'];
    const answer = await gitAnswer(repo, args, { ...list(restore), honour: true, answers: [1, 128] });
    if (answer.code !== 0) strange.push(...restore);
  }
  await gitAnswer(repo, ['update-index', '-q', '--refresh'], { answers: [1, 128] });
  return { strange };
}

const rank = ({ status }: Change): number => (status === 'A' ? 0 : 1);

/** True for a folder that the move would have made a file: it stands as it was. */
const holdsEntries = (root: string, path: string, before: ReadonlyMap<string, Entry>): boolean =>
  lstatSync(onDisk(root, path)).isDirectory() && [...before.keys()].some((file) => file.startsWith(`${path}/`));

const list = (paths: readonly string[]): { input: string } => ({ input: paths.join('\0') });

/** Entries that the move wrote go back to what they were. */
async function resetIndex(
  repo: Repo,
  changes: readonly Change[],
  { from, after }: { from: string; after: ReadonlyMap<string, Entry> },
): Promise<void> {
  const index = fields(await git(repo, ['ls-files', '-s', '-z']));
  const known = new Map(index.map((row) => [row.slice(row.indexOf('\t') + 1), row.split(' ', 2).join(' ')]));
  const wanted = (path: string): string | undefined => {
    const entry = after.get(path);
    return entry === undefined ? undefined : `${entry.mode} ${entry.id}`;
  };
  const ours = changes.map((change) => change.path).filter((path) => known.get(path) === wanted(path));
  if (ours.length === 0) return;
  await git(repo, ['--literal-pathspecs', 'reset', '-q', from, ...FROM_STDIN], list(ours));
}

/** Paths whose file may not be what the index says; all of them where a filter keeps git from looking. */
async function differing(repo: Repo, changes: readonly Change[]): Promise<string[]> {
  const paths = changes.map((change) => change.path);
  const answer = await gitAnswer(repo, ['diff-files', '-z', '--name-only'], { honour: true, answers: [1, 128] });
  if (answer.code !== 0) return paths;
  const rows = new Set(fields(answer.stdout));
  return paths.filter((path) => rows.has(path));
}

interface Held {
  /** What a commit holds there; none where it holds nothing. */
  readonly entry: Entry | undefined;
  readonly path: string;
  readonly file: string | Buffer;
}

/** True when a file is what a commit holds. */
async function holds(repo: Repo, { entry, path, file }: Held): Promise<boolean> {
  const wanted = await contentOf(repo, entry, path);
  const stat = lstatSync(file);
  if (stat.isFile() && (entry?.mode === EXECUTABLE) !== ((stat.mode & 0o100) !== 0)) return false;
  if (stat.isSymbolicLink()) return readlinkSync(file, 'buffer').equals(wanted);
  return stat.isFile() && stat.size === wanted.length && readFileSync(file).equals(wanted);
}

/** True when a file is what the move wrote there, or the beginning of it, or is gone. */
async function isOurs(repo: Repo, { entry, path, file }: Held): Promise<boolean> {
  const stat = lstatSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return true;
  if (entry === undefined) return false;
  const wanted = await contentOf(repo, entry, path);
  if (stat.isSymbolicLink()) return readlinkSync(file, 'buffer').equals(wanted);
  if (!stat.isFile() || stat.size > wanted.length) return false;
  return wanted.subarray(0, stat.size).equals(readFileSync(file));
}

/** The bytes that git writes for a file of a commit, with the filters of the user; none where a filter fails. */
async function contentOf(place: GitPlace, entry: Entry | undefined, path: string): Promise<Buffer> {
  if (entry === undefined) return Buffer.alloc(0);
  const [how, asked] = entry.mode === LINK ? [[], entry.id] : [['--filters'], `${entry.id} ${path}`];
  const args = ['cat-file', '--batch', ...how, '-z'];
  const out = await gitBytes(place, args, { input: `${asked}\0`, answers: [1, 128], honour: true });
  // A line that says what follows, the bytes, a line end.
  return out.subarray(out.indexOf('\n') + 1, -1);
}

const LINK = '120000';
const EXECUTABLE = '100755';

/** Removes a file, and the folders that it leaves empty. */
function removeFile(root: string, path: string): void {
  rmSync(onDisk(root, path), { force: true });
  for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) {
    try {
      rmdirSync(onDisk(root, folder));
    } catch {
      return;
    }
  }
}
