import { lstatSync, unlinkSync } from 'node:fs';
import { relative } from 'node:path';
import { ask } from '../process/ask.ts';
import type { Left } from './stage.ts';

/** Bytes that are read into a change at most, where the caller names no other number. */
const MOST_BYTES = 4 * 1024 * 1024 * 1024;
const MB = 1024 * 1024;
/** The files that git itself opens wherever they lie. */
const CONTROL = ['.gitignore', '.gitattributes', '.gitmodules'];
const SEARCH_MS = 120_000;

/**
 * Makes a worktree safe for git to read: takes away FIFOs in the place of its control files, which git would wait for
 * without end. Returns files that are too large to be read, from the largest, until the others fit (bytes).
 */
export async function tameTree(dir: string, most = MOST_BYTES): Promise<Left[]> {
  const names = CONTROL.flatMap((name) => ['-o', '-name', name]).slice(1);
  const odd = ['-type', 'p', '(', ...names, ')'];
  const large = ['-type', 'f', '-size', '+2048'];
  const said = await ask(
    'find',
    [dir, '-name', '.git', '-prune', '-o', '(', ...odd, '-o', ...large, ')', '-print0'],
    { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
    SEARCH_MS,
  );
  const found = said.stdout.split('\0').filter(Boolean);
  const sized: { path: string; size: number }[] = [];
  for (const file of found) {
    const stat = lstatSync(file, { throwIfNoEntry: false });
    if (stat?.isFIFO() === true) unlinkSync(file);
    if (stat?.isFile() === true) sized.push({ path: relative(dir, file), size: stat.size });
  }
  return tooLarge(sized, most).map(({ path, size }) => ({ path, why: `${Math.round(size / MB)} MB: too large` }));
}

/** From the largest, what must stay out so that the sum of the others is `most` bytes at most. */
export function tooLarge<T extends { readonly size: number }>(files: readonly T[], most: number): T[] {
  const sorted = [...files].sort((left, right) => right.size - left.size);
  let sum = sorted.reduce((total, { size }) => total + size, 0);
  return sorted.filter(({ size }) => {
    if (sum <= most) return false;
    sum -= size;
    return true;
  });
}
