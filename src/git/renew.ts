import { lstatSync, mkdirSync, renameSync, rmdirSync, rmSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { namesIn, onDisk } from '../names.ts';

/**
 * Makes every folder anew that changed since a moment (ms): git looks at files alone, and a folder's mode and extended
 * attributes would stay. What lies in it moves over; git writes the files among that again, for their change time moved.
 */
export function renewFolders(top: string, since: number, kept: readonly string[]): void {
  rmSync(`${top}.new`, { recursive: true, force: true });
  visit(top, '', { since, kept: new Set(kept) }, lstatSync(top));
}

interface Rule {
  readonly since: number;
  readonly kept: ReadonlySet<string>;
}

function visit(folder: string, path: string, rule: Rule, before: Stats): void {
  for (const { name, isFolder } of namesIn(folder)) {
    const below = path === '' ? name : `${path}/${name}`;
    if (!isFolder || rule.kept.has(below)) continue;
    const inner = join(folder, name);
    visit(inner, below, rule, lstatSync(onDisk(inner)));
  }
  if (before.ctimeMs >= rule.since) renew(folder);
}

function renew(folder: string): void {
  const [old, fresh] = [onDisk(folder), onDisk(`${folder}.new`)];
  mkdirSync(fresh);
  for (const { name } of namesIn(folder)) renameSync(onDisk(folder, name), onDisk(`${folder}.new`, name));
  rmdirSync(old);
  renameSync(fresh, old);
}
