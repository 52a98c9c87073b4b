import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  lstatSync,
  mkdirSync,
  opendirSync,
  openSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { onDisk, textOf } from './names.ts';

/**
 * Writes a file whole, for the user alone: a reader sees the old text or the new one. A link in its place is replaced,
 * not followed; the folder that it lies in is trusted.
 */
export function writeWhole(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    writeFileSync(temporary, text, { mode: 0o600, flag: 'wx' });
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** How much of a stranger's file is taken, in bytes, and the folder that it must really lie in. */
export interface StrangerLimits {
  readonly cap: number;
  /** No folder between this one and the file may be a link. */
  readonly within?: string;
}

/** A file that a worker could write, open for reading: a regular file, reached through no link; or nothing. */
export function openStranger(file: string, within?: string): number | undefined {
  let handle: number;
  try {
    // A FIFO would be waited for, so nothing is: O_NONBLOCK.
    handle = openSync(onDisk(file), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    if (fstatSync(handle).isFile() && (within === undefined || liesIn(handle, file, within))) return handle;
  } catch {
    // Gone or moved meanwhile.
  }
  closeSync(handle);
  return undefined;
}

/** On Linux the open file itself is asked where it lies: what is put in its place meanwhile changes nothing. */
function liesIn(handle: number, file: string, folder: string): boolean {
  const real =
    process.platform === 'linux' ? textOf(readlinkSync(`/proc/self/fd/${handle}`, 'buffer')) : realpathSync(file);
  return real === join(realpathSync(folder), relative(folder, file));
}

/**
 * Reads a file that a worker could write: a regular file, through no link, without waiting. Nothing where it is not
 * one, cannot be read, or is larger than `cap`; one that grows meanwhile is read up to `cap`.
 */
export function readStranger(file: string, { cap, within }: StrangerLimits): Buffer | undefined {
  const handle = openStranger(file, within);
  if (handle === undefined) return undefined;
  try {
    return fstatSync(handle).size > cap ? undefined : readUpTo(handle, cap);
  } catch {
    return undefined;
  } finally {
    closeSync(handle);
  }
}

function readUpTo(handle: number, cap: number): Buffer {
  const pieces: Buffer[] = [];
  for (let left = cap; left > 0; ) {
    const piece = Buffer.alloc(Math.min(left, 64 * 1024));
    const size = readSync(handle, piece, 0, piece.length, null);
    if (size === 0) break;
    pieces.push(piece.subarray(0, size));
    left -= size;
  }
  return Buffer.concat(pieces);
}

/** The entries of a folder that a worker could write, `most` of them at most; none where it is a link or no folder. */
export function listStranger(folder: string, most: number): Dirent[] {
  const found: Dirent[] = [];
  try {
    if (!lstatSync(onDisk(folder)).isDirectory()) return [];
    const open = opendirSync(onDisk(folder), { encoding: 'buffer' as BufferEncoding });
    try {
      for (let entry = open.readSync(); entry !== null && found.length < most; entry = open.readSync())
        found.push(Object.assign(entry, { name: textOf(Buffer.from(entry.name)) }));
    } finally {
      open.closeSync();
    }
  } catch {
    // Gone, or closed to reading: what was seen counts.
  }
  return found;
}

/** Writes into a folder that a worker could write: whatever lies at the file's place is replaced, never followed. */
export function replaceStranger(file: string, text: string): void {
  const there = lstatSync(file, { throwIfNoEntry: false });
  if (there?.isDirectory() === true) rmSync(file, { recursive: true, force: true });
  writeWhole(file, text);
}

/** Why files were not copied, and which. */
export interface NotCopied {
  readonly why: 'too-much' | 'unreadable';
  readonly paths: readonly string[];
}

/**
 * Copies paths below a folder that a worker could write: files as they are, links as links, what is neither not at all.
 * Looks first, and copies nothing where that is more than `bytes` or `entries`, or where a part of it cannot be read.
 */
export function copyStrangers(
  from: string,
  to: string,
  what: { readonly paths: readonly string[]; readonly bytes: number; readonly entries: number },
): NotCopied | undefined {
  const found: string[] = [];
  const unreadable: string[] = [];
  const todo = [...what.paths];
  let bytes = 0;
  for (let path = todo.pop(); path !== undefined; path = todo.pop()) {
    const file = join(from, path);
    const stat = lstatSync(onDisk(file), { throwIfNoEntry: false });
    if (stat?.isDirectory() === true)
      todo.push(...listStranger(file, what.entries + 1).map(({ name }) => join(path ?? '', name)));
    else if (stat?.isFile() === true || stat?.isSymbolicLink() === true) found.push(path);
    if ((stat?.isDirectory() === true || stat?.isFile() === true) && !isReadable(file)) unreadable.push(path);
    bytes += stat?.isFile() === true ? stat.size : 0;
    if (bytes > what.bytes || found.length + todo.length > what.entries) return { why: 'too-much', paths: what.paths };
  }
  if (unreadable.length > 0) return { why: 'unreadable', paths: unreadable };
  for (const path of found) copyStranger(join(from, path), join(to, path), { cap: what.bytes, within: from });
  return undefined;
}

/** Asked of the file itself: a question about rights would be answered for the real user. */
function isReadable(file: string): boolean {
  try {
    closeSync(openSync(onDisk(file), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK));
    return true;
  } catch {
    return false;
  }
}

function copyStranger(file: string, copy: string, limits: StrangerLimits): void {
  const stat = lstatSync(onDisk(file), { throwIfNoEntry: false });
  mkdirSync(onDisk(dirname(copy)), { recursive: true });
  rmSync(onDisk(copy), { recursive: true, force: true });
  if (stat?.isSymbolicLink() === true) return symlinkSync(readlinkSync(onDisk(file), 'buffer'), onDisk(copy));
  const bytes = readStranger(file, limits);
  if (stat === undefined || bytes === undefined) return;
  writeFileSync(onDisk(copy), bytes, { mode: stat.mode & 0o777, flag: 'wx' });
  utimesSync(onDisk(copy), stat.atime, stat.mtime);
}
