import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Every file under a folder but its own `.git`: path → a letter for its kind, a space, its content as latin1. */
export function list(folder) {
  const found = {};
  const visit = (below) => {
    for (const name of readdirSync(join(folder, below))) {
      const path = below === '' ? name : `${below}/${name}`;
      if (path === '.git') continue;
      const full = join(folder, path);
      const stat = lstatSync(full);
      if (stat.isDirectory()) visit(path);
      else if (stat.isSymbolicLink()) found[path] = `l ${readlinkSync(full)}`;
      else if (!stat.isFile()) found[path] = 'p ';
      else found[path] = `${(stat.mode & 0o100) === 0 ? 'f' : 'x'} ${readFileSync(full, 'latin1')}`;
    }
  };
  visit('');
  return found;
}
