import { isUtf8 } from 'node:buffer';
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';

/** A byte that belongs to no UTF-8 character stands in our strings as U+DC00 plus the byte: half a character, never text. */
const HALF = 0xdc00;
const HALVES = /[\udc80-\udcff]/u;

/** What git or a folder said, as a string that `bytesOf` turns back into the same bytes, whatever they are. */
export function textOf(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  const parts: string[] = [];
  let [from, at] = [0, 0];
  while (at < bytes.length) {
    const length = characterAt(bytes, at);
    if (length === 0) {
      parts.push(bytes.toString('utf8', from, at), String.fromCharCode(HALF + (bytes[at] ?? 0)));
      from = at + 1;
    }
    at += Math.max(1, length);
  }
  return parts.concat(bytes.toString('utf8', from)).join('');
}

/** The length in bytes of the UTF-8 character that begins here; 0 where none does. */
function characterAt(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  return at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length)) ? length : 0;
}

/** The bytes of a string that `textOf` made. */
export function bytesOf(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text);
  const parts = text.split(/([\udc80-\udcff])/u);
  return Buffer.concat(
    parts.map((part) =>
      part.length === 1 && HALVES.test(part) ? Buffer.from([part.charCodeAt(0) - HALF]) : Buffer.from(part),
    ),
  );
}

/** True for a name that is UTF-8; nobody can type another one. */
export const isNameable = (path: string): boolean => path.isWellFormed();

/** Where a path of git's lies on disk, as the functions of `node:fs` take it. */
export function onDisk(root: string, path = ''): string | Buffer {
  const whole = join(root, path);
  return whole.isWellFormed() ? whole : bytesOf(whole);
}

/** What lies in a folder, whatever its bytes are called. */
export const namesIn = (folder: string): { name: string; isFolder: boolean }[] =>
  readdirSync(onDisk(folder), { withFileTypes: true, encoding: 'buffer' }).map((entry) => ({
    name: textOf(entry.name),
    isFolder: entry.isDirectory(),
  }));

/** Copies a file, a link or a folder with all that is in it; what is none of these (a pipe, a device) stays out. */
export function copyAll(from: string, to: string): void {
  const [source, target] = [onDisk(from), onDisk(to)];
  const stat = lstatSync(source);
  if (stat.isSymbolicLink()) return symlinkSync(readlinkSync(source, 'buffer'), target);
  if (stat.isFile()) copyFileSync(source, target);
  else if (stat.isDirectory()) {
    mkdirSync(target, { recursive: true });
    for (const { name } of namesIn(from)) copyAll(join(from, name), join(to, name));
    chmodSync(target, stat.mode);
  } else return;
  utimesSync(target, stat.atime, stat.mtime);
}
