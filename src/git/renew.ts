import { lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, type Stats } from 'node:fs';
import { join } from 'node:path';

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
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const below = path === '' ? entry.name : `${path}/${entry.name}`;
    if (!entry.isDirectory() || rule.kept.has(below)) continue;
    const inner = join(folder, entry.name);
    visit(inner, below, rule, lstatSync(inner));
  }
  if (before.ctimeMs >= rule.since) renew(folder);
}

function renew(folder: string): void {
  const fresh = `${folder}.new`;
  mkdirSync(fresh);
  for (const name of readdirSync(folder)) renameSync(join(folder, name), join(fresh, name));
  rmdirSync(folder);
  renameSync(fresh, folder);
}
