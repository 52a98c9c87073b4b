import { accessSync, constants, existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';

/**
 * The common git directory of the repository around a folder, found by looking, without starting git: lists must
 * be fast. Undefined when there is none that is laid out as usual; then git is asked.
 */
export function locateCommonDir(from: string): string | undefined {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    const entry = join(folder, '.git');
    const stat = statSync(entry, { throwIfNoEntry: false });
    if (stat?.isDirectory() === true) return existsSync(join(entry, 'HEAD')) ? realpathSync(entry) : undefined;
    if (stat?.isFile() === true) return throughFile(entry);
    if (dirname(folder) === folder) return undefined;
  }
}

/** A linked worktree or submodule: `.git` is a file that names its git directory. */
function throughFile(file: string): string | undefined {
  const named = /^gitdir: (.+)$/m.exec(readFileSync(file, 'utf8'))?.[1]?.trim();
  if (named === undefined) return undefined;
  const gitDir = isAbsolute(named) ? named : join(dirname(file), named);
  if (!existsSync(join(gitDir, 'HEAD'))) return undefined;
  const common = join(gitDir, 'commondir');
  return realpathSync(existsSync(common) ? resolve(gitDir, readFileSync(common, 'utf8').trim()) : gitDir);
}

/** The branch that is checked out around a folder; undefined where none is, or where it is not laid out as usual. */
export function currentBranch(from: string): string | undefined {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    const entry = join(folder, '.git');
    const stat = statSync(entry, { throwIfNoEntry: false });
    if (stat !== undefined) {
      const named = stat.isFile() ? /^gitdir: (.+)$/m.exec(readFileSync(entry, 'utf8'))?.[1]?.trim() : entry;
      const head = named === undefined ? undefined : join(isAbsolute(named) ? named : join(folder, named), 'HEAD');
      const text = head !== undefined && existsSync(head) ? readFileSync(head, 'utf8') : '';
      return /^ref: refs\/heads\/(.+)$/m.exec(text)?.[1];
    }
    if (dirname(folder) === folder) return undefined;
  }
}

/** False on a file system that is mounted read-only too, and for root there. */
export function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
