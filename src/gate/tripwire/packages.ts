import { createHash } from 'node:crypto';
import { type Dirent, lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';

/** Folders in node_modules that tools write to. */
const CACHES = new Set(['.cache', '.vite', '.vitest', '.vite-temp']);

/** The packages of a node_modules folder, also those that it links to from elsewhere: name → digest of their files' places, sizes and times. */
export function readPackages(folder: string): Map<string, string> {
  const seen = new Map<string, string>();
  const real = realOf(folder);
  if (real === undefined) return seen;
  for (const name of packagesIn(folder)) {
    const path = join(folder, name);
    const target = realOf(path);
    const elsewhere = target !== undefined && !target.startsWith(real + sep);
    seen.set(name, digestOf(path) + (elsewhere ? digestOf(target) : ''));
  }
  return seen;
}

/** One by one, where they lie in a folder of a scope or of pnpm's store. */
const packagesIn = (folder: string): string[] =>
  entries(folder)
    .filter(({ name }) => !CACHES.has(name))
    .flatMap(({ name }) =>
      name.startsWith('@') || name === '.pnpm'
        ? entries(join(folder, name)).map((inner) => `${name}/${inner.name}`)
        : [name],
    );

function digestOf(path: string): string {
  const digest = createHash('sha256');
  const visit = (place: string, short: string): void => {
    const stat = lstatSync(place, { throwIfNoEntry: false });
    if (stat === undefined) return;
    if (stat.isDirectory()) {
      for (const { name } of entries(place))
        if (name !== '.git' && !CACHES.has(name)) visit(join(place, name), `${short}/${name}`);
      return;
    }
    // A link to the same file made elsewhere moves the change time, so it counts only for a file with one name.
    const { mode, size, mtimeMs, ino, nlink, ctimeMs } = stat;
    digest.update(`${short} ${mode} ${size} ${mtimeMs} ${ino} ${nlink > 1 ? 'shared' : ctimeMs}\n`);
  };
  visit(path, '');
  return digest.digest('hex');
}

function entries(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

function realOf(path: string): string | undefined {
  try {
    return statSync(path).isDirectory() ? realpathSync(path) : undefined;
  } catch {
    return undefined;
  }
}
