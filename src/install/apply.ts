import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { refuse } from '../errors.ts';
import type { Change } from './changes.ts';

/**
 * Carries changes out under `root`, all or none: every step knows its way back, and when one fails the steps before
 * it are taken back before the failure is told.
 */
export function applyChanges(root: string, changes: readonly Change[]): void {
  const back: (() => void)[] = [];
  try {
    for (const change of changes) {
      const file = join(root, change.path);
      if (change.do === 'write') {
        makeFolders(dirname(file), back);
        write(file, change, back);
      } else if (change.do === 'remove') remove(file, back);
    }
  } catch (error) {
    for (const undo of back.reverse()) quietly(undo);
    throw explain(error, root);
  }
}

/** The folders above the files to be written that do not exist yet, relative to the root, outermost first. */
export function missingFolders(root: string, changes: readonly Change[]): string[] {
  const missing = new Set<string>();
  for (const change of changes)
    if (change.do === 'write')
      for (const path of missingAbove(join(root, change.path))) missing.add(relative(root, path));
  return [...missing].sort();
}

function missingAbove(file: string): string[] {
  const missing: string[] = [];
  for (let at = dirname(file); !existsSync(at) && dirname(at) !== at; at = dirname(at)) missing.unshift(at);
  return missing;
}

function makeFolders(folder: string, back: (() => void)[]): void {
  for (const path of missingAbove(join(folder, 'x'))) {
    mkdirSync(path);
    back.push(() => rmdirSync(path));
  }
}

function write(path: string, change: Change & { do: 'write' }, back: (() => void)[]): void {
  // A file that is a link (somebody's dotfiles) is written through, not replaced.
  const file = existsSync(path) ? realpathSync(path) : path;
  const old = existsSync(file) ? { text: readFileSync(file), mode: statSync(file).mode } : undefined;
  const temporary = `${file}.kimi-dispatch.tmp`;
  back.push(() => rmSync(temporary, { force: true }));
  writeFileSync(temporary, change.text, { mode: change.executable ? 0o755 : 0o644 });
  renameSync(temporary, file);
  back.push(() =>
    old === undefined ? rmSync(file, { force: true }) : writeFileSync(file, old.text, { mode: old.mode }),
  );
}

function remove(file: string, back: (() => void)[]): void {
  const old = { text: readFileSync(file), mode: statSync(file).mode };
  rmSync(file);
  back.push(() => writeFileSync(file, old.text, { mode: old.mode }));
}

/** Removes the folders that an install made, innermost first, as far as they are empty. */
export function removeFolders(root: string, folders: readonly string[]): void {
  for (const folder of [...folders].sort((left, right) => right.length - left.length)) {
    const path = join(root, folder);
    if (existsSync(path) && readdirSync(path).length === 0) rmdirSync(path);
  }
}

function quietly(undo: () => void): void {
  try {
    undo();
  } catch {
    // The first failure is the one to tell.
  }
}

const WORDS: Record<string, string> = {
  ENOSPC: 'The disk is full.',
  EDQUOT: 'Your disk quota is used up.',
  EROFS: 'That place is read-only.',
  EACCES: 'You may not write there.',
  EPERM: 'You may not write there.',
  ENOTDIR: 'A file is where a folder should be.',
  EISDIR: 'A folder is where a file should be.',
};

function explain(error: unknown, root: string): Error {
  const { code = '', path = root, message } = error as NodeJS.ErrnoException;
  return refuse(
    code === 'ENOSPC' || code === 'EDQUOT' ? 'disk-full' : 'preflight',
    `${WORDS[code] ?? message} ${path} (${code}). Everything is as it was before.`,
    'Mend that, then run the same command again.',
  );
}
