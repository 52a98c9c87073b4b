import { existsSync, realpathSync } from 'node:fs';
import { sep } from 'node:path';

interface Reach {
  /** Closed folders and files, by their real paths. */
  readonly closed: readonly string[];
  /** What lies in them and is open for reading, by its real path. */
  readonly open: readonly string[];
}

/**
 * Closes whole places and opens what is needed in them. Nothing that holds a closed place is opened, and `never` stays
 * closed in what is. A path that does not exist needs none of it: it is covered where its folder is.
 */
export function reach(
  places: readonly string[],
  { open, never }: { readonly open: readonly string[]; readonly never: readonly string[] },
): Reach {
  const wide = settle(places).filter((path) => path !== sep);
  const inside = settle(open).filter(
    (path) => wide.some((place) => isIn(path, place)) && !wide.some((place) => isIn(place, path)),
  );
  const secret = settle(never);
  const narrow = secret.filter(
    (path) => !wide.some((place) => isIn(path, place)) || inside.some((folder) => isIn(path, folder)),
  );
  return {
    closed: [...new Set([...outermost(wide, inside), ...narrow])],
    open: inside.filter((path) => !secret.some((place) => isIn(path, place))),
  };
}

/** A closed place inside another needs no mention, unless something between them is open. */
const outermost = (places: readonly string[], open: readonly string[]): string[] =>
  places.filter(
    (path) => !places.some((other) => other !== path && isIn(path, other)) || open.some((folder) => isIn(path, folder)),
  );

const settle = (paths: readonly string[]): string[] => [
  ...new Set(paths.filter((path) => path !== '' && existsSync(path)).map((path) => realpathSync(path))),
];

/** True for a path and everything below it. */
export const isIn = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);

const MISSED =
  /no such file|not found|cannot (open|access|find|stat)|enoent|permission denied|read-only file system|erofs/i;

/**
 * Paths that a program complained about and that exist outside in a closed place: what it was refused, as far as its
 * words show. A hint for people, since a program can say anything; three at most.
 */
export function missed(output: string, { closed, open }: Reach): string[] {
  const named = output
    .split('\n')
    .slice(-400)
    .filter((line) => line.length < 4000 && MISSED.test(line))
    .flatMap((line) => line.match(/\/[^\s'"`:,;()[\]\\]{2,300}/g) ?? []);
  const lost = (path: string): boolean =>
    closed.some((place) => isIn(path, place)) && !open.some((place) => isIn(path, place)) && existsSync(path);
  return [...new Set(named)].filter(lost).slice(0, 3);
}
