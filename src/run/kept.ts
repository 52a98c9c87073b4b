import { lstatSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fields, type GitPlace, git } from '../git/git.ts';
import { cachesFolder, readSlot, writeSlot } from '../git/slot.ts';
import { onDisk } from '../names.ts';
import type { Provision } from './provision.ts';

/** Folders that hold what others made: those that provisioning makes are kept with the slot. */
const KEPT = new Set(['node_modules', '.venv', 'venv', 'vendor']);
/** Folders in node_modules that tools write to: never shared. */
export const CACHES = new Set(['.cache', '.vite', '.vitest', '.vite-temp']);

/**
 * Remembers the dependency folders that provisioning made, and lends the tools a place for their caches. `linked` is a
 * folder of links to packages of the checkout: it is made each time.
 */
export async function keepFolders(place: GitPlace, plan: Provision, linked?: string): Promise<string[]> {
  if (plan.dependencies.how === 'none' && plan.setup === undefined) return [];
  const record = readSlot(place.dir);
  if (record === undefined) return [];
  const made = fields(await git(place, ['ls-files', '-z', '--others', '--directory'])).map((path) =>
    path.replace(/\/$/, ''),
  );
  const others = made.filter((path) => !plan.copies.includes(path) && path !== linked);
  const rest = fields(await git(place, ['diff-files', '-z', '--name-only']));
  const submodules = fields(await git(place, ['ls-files', '-s', '-z'])).some((entry) => entry.startsWith('160000'));
  const folders = others.filter((path) => KEPT.has(basename(path)) && lstatSync(onDisk(place.dir, path)).isDirectory());
  for (const path of folders) lendCaches(place.dir, path);
  writeSlot(place.dir, {
    ...record,
    kept: {
      key: plan.key,
      folders: folders.map((path) => ({ path, inode: lstatSync(onDisk(place.dir, path)).ino })),
      whole: folders.length === others.length && rest.length === 0 && !submodules,
    },
  });
  return folders;
}

/** Removes what an earlier run's provisioning made here. */
export function dropKept(dir: string): void {
  const record = readSlot(dir);
  if (record?.kept === undefined) return;
  for (const { path } of record.kept.folders) rmSync(onDisk(dir, path), { recursive: true, force: true });
  const { kept: _kept, ...rest } = record;
  writeSlot(dir, rest);
}

/** What tools would write into node_modules goes to a place of the run's own. */
function lendCaches(dir: string, folder: string): void {
  if (basename(folder) !== 'node_modules') return;
  for (const name of CACHES) {
    const link = join(dir, folder, name);
    rmSync(link, { recursive: true, force: true });
    symlinkSync(join(cachesFolder(dir), folder, name), link);
  }
}

/** The places that the caches of kept folders lead to; they are empty at the start of each run. */
export function makeCaches(dir: string, readOnly: readonly string[]): string[] {
  const folders = readOnly.filter((path) => basename(path) === 'node_modules');
  for (const folder of folders)
    for (const name of CACHES) mkdirSync(join(cachesFolder(dir), folder, name), { recursive: true });
  return folders.length === 0 ? [] : [cachesFolder(dir)];
}
