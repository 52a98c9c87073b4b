import type { RepoFacts } from './facts.ts';

/** True for a folder that holds a tracked file. */
export const isFolder = (path: string, facts: RepoFacts): boolean => foldersOf(facts).has(path);

interface Index {
  readonly names: ReadonlyMap<string, string[]>;
  readonly folders: ReadonlySet<string>;
}
const indexes = new WeakMap<RepoFacts, Index>();

/** Files by name and all folders, made once for each repository. */
function indexOf(facts: RepoFacts): Index {
  const known = indexes.get(facts);
  if (known !== undefined) return known;
  const names = new Map<string, string[]>();
  const folders = new Set<string>();
  for (const path of facts.files.keys()) {
    const name = path.slice(path.lastIndexOf('/') + 1);
    const same = names.get(name);
    if (same === undefined) names.set(name, [path]);
    else same.push(path);
    for (let at = path.lastIndexOf('/'); at > 0 && !folders.has(path.slice(0, at)); at = path.lastIndexOf('/', at - 1))
      folders.add(path.slice(0, at));
  }
  const made = { names, folders };
  indexes.set(facts, made);
  return made;
}

/** All folders that hold a tracked file, at any depth. */
export const foldersOf = (facts: RepoFacts): ReadonlySet<string> => indexOf(facts).folders;

/** Tracked files that a path can mean: the path is the end of theirs. */
export const byName = (path: string, facts: RepoFacts): string[] =>
  (indexOf(facts).names.get(path.slice(path.lastIndexOf('/') + 1)) ?? []).filter(
    (file) => file === path || file.endsWith(`/${path}`),
  );

/** The tracked files of a name without its extension: the file of a type, as Swift, C#, Java name them. */
export const byStem = (stem: string, facts: RepoFacts): string[] =>
  [...indexOf(facts).names].flatMap(([name, files]) => (name.replace(/\.\w+$/, '') === stem ? files : []));

/** The tracked files that a folder or a pattern stands for. */
export function matching(pattern: string, facts: RepoFacts): string[] {
  // Many stars make matching slow, and nobody writes them.
  if (pattern.split('*').length > 6) return [];
  const source = pattern
    .replace(/\/$/, '/**')
    .replace(/[.+^$()|[\]{}\\]/g, '\\$&')
    .replace(/\*\*\/?|\*|\?/g, (star) => (star.startsWith('**') ? '.*' : star === '*' ? '[^/]*' : '[^/]'));
  const regex = new RegExp(`^(.*/)?${source}$`);
  return [...facts.files.keys()].filter((path) => regex.test(path));
}
