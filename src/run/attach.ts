import { chmodSync, copyFileSync, lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { spans } from '../spec/inline.ts';

const IMAGE = /\.(png|jpe?g|gif|webp|bmp)$/i;
const TEXT = /\.(log|txt|out)$/i;
const MOST = 10;
const LARGEST = 10 * 1024 * 1024;

export interface Attached {
  /** Where Kimi reads them. */
  readonly given: readonly string[];
  /** What was not handed over, each with the reason. */
  readonly refused: readonly string[];
}

/**
 * Copies what a plan shows and git does not hold (a mockup, a log) to where Kimi reads its brief, read-only. Images come from
 * anywhere, text only from the checkout and the folder for temporary files: a plan is no way to a private file.
 */
export function attach(plan: string, from: { checkout: string; worktree: string; to: string }): Attached {
  const given: string[] = [];
  const refused: string[] = [];
  for (const [name, shown] of namesIn(plan)) {
    const file = resolve(from.checkout, name);
    const inside = file.startsWith(`${from.checkout}/`);
    if (inside && sizeOf(join(from.worktree, file.slice(from.checkout.length + 1))) !== undefined) continue;
    const size = sizeOf(file);
    // What a plan only speaks of may be something to be made.
    if (size === undefined && !shown) continue;
    const open = IMAGE.test(file) || inside || file.startsWith(`${tmpdir()}/`);
    const why =
      size === undefined
        ? 'no such file here'
        : !open
          ? 'outside the checkout'
          : size > LARGEST
            ? 'larger than 10 MB'
            : '';
    if (why !== '' || given.length >= MOST) {
      refused.push(`${name} (${why === '' ? `more than ${MOST} files` : why})`);
      continue;
    }
    mkdirSync(from.to, { recursive: true, mode: 0o700 });
    const copy = join(from.to, `${given.length + 1}-${basename(file)}`);
    copyFileSync(file, copy);
    chmodSync(copy, 0o400);
    given.push(copy);
  }
  return { given, refused };
}

/** The images and logs that a plan names; true for those that it shows as an image or a link. */
function namesIn(plan: string): Map<string, boolean> {
  const found = new Map<string, boolean>();
  const add = (name: string, shown: boolean): void => {
    const named = IMAGE.test(name) || (TEXT.test(name) && name.includes('/'));
    if (named && !/^\w+:\/\/|\s/.test(name)) found.set(name, shown || found.get(name) === true);
  };
  for (const line of plan.split('\n')) {
    for (const match of line.slice(0, 4096).matchAll(/!\[[^\]]{0,300}\]\(([^)\s]{1,500})\)/g))
      add(match[1] ?? '', true);
    for (const { kind, text } of spans(line)) if (kind !== 'text') add(text.trim(), kind === 'link');
  }
  return found;
}

/** Bytes of a plain file; undefined for what is none, a link included. */
function sizeOf(file: string): number | undefined {
  const stats = lstatSync(file, { throwIfNoEntry: false });
  return stats?.isFile() === true ? stats.size : undefined;
}
