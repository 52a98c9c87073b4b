import { fields, type GitPlace, git, gitBytes } from './git.ts';

/** A file of a commit: its git mode (`100644`, `100755`, `120000`, `160000`) and the id of its content. */
export interface Entry {
  readonly mode: string;
  readonly id: string;
}

/** Every file of a commit, by path. */
export async function entriesOf(place: GitPlace, commit: string): Promise<Map<string, Entry>> {
  const out = await git(place, ['ls-tree', '-r', '-z', '--full-tree', commit]);
  return new Map(
    fields(out).map((entry) => {
      const tab = entry.indexOf('\t');
      const [mode = '', , id = ''] = entry.slice(0, tab).split(' ');
      return [entry.slice(tab + 1), { mode, id }];
    }),
  );
}

/** The sizes of blobs in bytes, by id; an id that names no blob is left out. */
export async function sizesOf(place: GitPlace, ids: readonly string[]): Promise<Map<string, number>> {
  if (ids.length === 0) return new Map();
  const out = await gitBytes(place, ['cat-file', '--batch-check', '--buffer'], { input: `${ids.join('\n')}\n` });
  return new Map(
    out
      .toString('latin1')
      .split('\n')
      .map((line) => line.split(' '))
      .filter(([, type]) => type === 'blob')
      .map(([id = '', , size]) => [id, Number(size)]),
  );
}

/** The bytes of blobs, by id, with one git process; an id that names no blob is left out. At most 100 MB together. */
export async function blobsOf(place: GitPlace, ids: readonly string[]): Promise<Map<string, Buffer>> {
  const blobs = new Map<string, Buffer>();
  if (ids.length === 0) return blobs;
  const out = await gitBytes(place, ['cat-file', '--batch', '--buffer'], { input: `${ids.join('\n')}\n` });
  for (let at = 0, end = out.indexOf('\n'); end >= 0; end = out.indexOf('\n', at)) {
    const [id = '', type, size] = out.toString('latin1', at, end).split(' ');
    at = end + 1;
    // `ID TYPE SIZE`, then the bytes and a line end; a missing object is a line alone.
    if (size === undefined) continue;
    if (type === 'blob') blobs.set(id, out.subarray(at, at + Number(size)));
    at += Number(size) + 1;
  }
  return blobs;
}
