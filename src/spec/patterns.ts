import picomatch from 'picomatch';
import type { Spec } from './model.ts';

/** Whether a path falls under one of the patterns of a section (Protected, Allow generated). A folder means its contents. */
export function matcher(lines: Spec['protected']): (path: string) => boolean {
  const patterns = lines.flatMap(({ text }) => {
    const pattern = text
      .replace(/^`+|`+$/g, '')
      .replace(/^(\.?\/)+/, '')
      .replace(/\/+$/, '');
    return pattern === '' ? [] : [pattern, `${pattern}/**`];
  });
  return patterns.length === 0 ? () => false : picomatch(patterns, { dot: true });
}

const key = (path: string): string => `${path.toLowerCase()}/`;

/** Two paths in each other's way on some machine: the same, different only in case, or one a folder of the other. */
export const samePlace = (left: string, right: string): boolean =>
  key(left).startsWith(key(right)) || key(right).startsWith(key(left));

/** Finds, among many paths, those in the way of one; in steps that grow with its depth, not with their number. */
export class Places<T> {
  readonly #at = new Map<string, T[]>();
  readonly #below = new Map<string, T[]>();

  /** All that were added and are in the way of this path. */
  find(path: string): T[] {
    const above = folders(path).flatMap((folder) => this.#at.get(folder) ?? []);
    return [...above, ...(this.#at.get(key(path)) ?? []), ...(this.#below.get(key(path)) ?? [])];
  }

  add(path: string, item: T): void {
    put(this.#at, key(path), item);
    for (const folder of folders(path)) put(this.#below, folder, item);
  }
}

/** The folders that a path lies in, from the top. */
function folders(path: string): string[] {
  const parts = path.toLowerCase().split('/');
  return parts.slice(1).map((_, index) => `${parts.slice(0, index + 1).join('/')}/`);
}

const put = <T>(map: Map<string, T[]>, name: string, item: T): void => {
  const items = map.get(name);
  if (items === undefined) map.set(name, [item]);
  else items.push(item);
};
