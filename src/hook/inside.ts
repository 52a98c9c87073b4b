import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';

const LARGEST = 4 * 1024 * 1024;

/**
 * The text of a spec or plan in the checkout around `cwd`, links followed; undefined for a file elsewhere, in git's own
 * folder, of another kind (what is wrong in a file is shown: it must be no `.env`) or larger than 4 MB.
 */
export function textInside(cwd: string, name: string): string | undefined {
  const top = topOf(resolve(cwd));
  const file = resolve(cwd, name);
  if (top === undefined || !existsSync(file)) return undefined;
  const [root, real] = [realpathSync(top), realpathSync(file)];
  if (
    !real.startsWith(root + sep) ||
    real.startsWith(join(root, '.git') + sep) ||
    !/\.(?:md|markdown|txt)$/i.test(real)
  )
    return undefined;
  const stat = statSync(real);
  return stat.isFile() && stat.size <= LARGEST ? readFileSync(real, 'utf8') : undefined;
}

function topOf(folder: string): string | undefined {
  if (existsSync(join(folder, '.git'))) return folder;
  return dirname(folder) === folder ? undefined : topOf(dirname(folder));
}
