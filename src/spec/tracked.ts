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
const foldersOf = (facts: RepoFacts): ReadonlySet<string> => indexOf(facts).folders;

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

/** The files that a path means: `tracked`, `new`, `open` (none or several can be meant), or `outside` the repository. */
export interface Resolved {
  readonly kind: 'tracked' | 'new' | 'open' | 'outside' | 'context';
  readonly paths: readonly string[];
}

/** What else tells where a file lies, and what is to be done with it. */
export interface Around {
  /** Paths that are written in full beside it. */
  readonly full: readonly string[];
  /** Those of them with the name of the file. */
  readonly named: readonly string[];
  /** The folder that is spoken of, or ''. */
  readonly folder: string;
  /** True for a path that is written from the top. */
  readonly exact: boolean;
  readonly deletes: boolean;
}

/** Of files that a pattern stands for. */
const FEW = 12;

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

type Written = Omit<Around, 'full' | 'named'> & { readonly text: string };

/** Places paths beside others that are written in full: once for each way in which a path is written. */
export function placer(full: readonly string[], facts: RepoFacts): (written: Written) => Resolved {
  const known = new Map<string, Resolved>();
  const names = Map.groupBy(full, nameOf);
  return (written) => {
    const key = [written.text, written.folder, written.exact, written.deletes].join('\n');
    const found =
      known.get(key) ??
      resolvePath(written.text, { ...written, full, named: names.get(nameOf(written.text)) ?? [] }, facts);
    known.set(key, found);
    return found;
  };
}

/** What a written path means in this repository: what is written beside it first, then the tracked files, then a new file. */
function resolvePath(text: string, around: Around, facts: RepoFacts): Resolved {
  const { full, named, folder, exact, deletes } = around;
  const tracked = (path: string): Resolved => ({ kind: facts.files.has(path) ? 'tracked' : 'new', paths: [path] });
  if (/\/$|\*/.test(text)) return pattern(text, deletes, facts);
  const path = inside(text.replace(/^(\.\/)+/, ''), facts);
  if (path === undefined) return { kind: 'outside', paths: [] };
  if (exact || facts.files.has(path)) return tracked(path);
  const at = `${folder}/${path}`;
  if (folder !== '' && facts.files.has(at)) return tracked(at);
  const [said, ...others] = new Set(named.filter((other) => other.endsWith(`/${path}`)));
  if (said !== undefined && others.length === 0) return tracked(said);
  const known = nearest(byName(path, facts), full);
  if (known.length === 1) return { kind: 'tracked', paths: known };
  const below = path.includes('/') && isFolder(path.slice(0, path.indexOf('/')), facts);
  if (folder !== '' && !below) return tracked(at);
  if (known.length > 1) return { kind: 'open', paths: known };
  if (path.includes('/')) return tracked(under(path, full, facts));
  return rootPlausible(path, facts) ? tracked(path) : { kind: 'open', paths: [] };
}

/** A folder stands for its files where it is deleted; a pattern stands for the few files that it matches. */
function pattern(text: string, deletes: boolean, facts: RepoFacts): Resolved {
  const paths = matching(text, facts);
  const star = text.includes('*');
  const deep = /^[/~]|\*\*/.test(text);
  if (star ? paths.length > 0 && paths.length <= FEW && !deep : deletes) return { kind: 'tracked', paths };
  return { kind: star && !deep ? 'open' : 'context', paths };
}

/** Of several candidates those that share most folders with what the plan writes in full. */
function nearest(candidates: readonly string[], full: readonly string[]): readonly string[] {
  if (candidates.length < 2 || full.length === 0) return candidates;
  const shared = (path: string): number => Math.max(...full.map((other) => common(path, other)));
  const best = Math.max(...candidates.map(shared));
  const kept = candidates.filter((path) => shared(path) === best);
  return best === 0 ? candidates : kept;
}

const common = (left: string, right: string): number => {
  const parts = left.split('/');
  const others = right.split('/');
  let count = 0;
  while (count < parts.length - 1 && parts[count] === others[count]) count += 1;
  return count;
};

/** `utils/x.ts` where only `src/utils` is there means `src/utils/x.ts`. */
function under(path: string, full: readonly string[], facts: RepoFacts): string {
  const folder = path.slice(0, path.lastIndexOf('/'));
  const top = path.slice(0, path.indexOf('/'));
  if (isFolder(top, facts) || top.startsWith('.')) return path;
  const found = nearest(
    [...foldersOf(facts)].filter((other) => other.endsWith(`/${folder}`)),
    full,
  );
  return found.length === 1 ? `${found[0]}/${path.slice(path.lastIndexOf('/') + 1)}` : path;
}

/** The path relative to the repository; undefined when it lies outside. Another person's checkout is this one. */
function inside(path: string, facts: RepoFacts): string | undefined {
  if (path.startsWith(`${facts.root}/`)) return path.slice(facts.root.length + 1);
  if (!/^(\/|~|[A-Za-z]:[\\/]|\.\.\/)/.test(path)) {
    const rest = path.startsWith(`${facts.name}/`) ? path.slice(facts.name.length + 1) : path;
    return rest !== path && !isFolder(facts.name, facts) ? rest : path;
  }
  if (/^\/(etc|var|usr|opt|s?bin|dev|proc|sys|System|Library|Applications)\//.test(path)) return undefined;
  const parts = path.replaceAll('\\', '/').split('/');
  const name = parts.lastIndexOf(facts.name);
  const from = name > 0 ? [name + 1, ...parts.keys()] : [...parts.keys()];
  for (const start of from.filter((at) => at > 0 && at < parts.length)) {
    const rest = parts.slice(start).join('/');
    const folder = parts.slice(start, -1).join('/');
    if (facts.files.has(rest) || (folder !== '' && isFolder(folder, facts))) return rest;
  }
  return name > 0 && name < parts.length - 1 ? parts.slice(name + 1).join('/') : undefined;
}

const SOURCE =
  /\.(tsx?|jsx?|mts|cts|mjs|cjs|vue|svelte|py|rb|php|go|rs|c|h|cpp|cs|razor|java|kt|scala|swift|m|dart|exs?|erl|hs|lua)$/;

/** A bare new name goes to the top folder where files of its kind lie there, or when it is no source file. */
function rootPlausible(path: string, facts: RepoFacts): boolean {
  if (!SOURCE.test(path) || /\.config\.\w+$/.test(path) || facts.files.size === 0) return true;
  const extension = path.slice(path.lastIndexOf('.'));
  return [...facts.files.keys()].some((file) => !file.includes('/') && file.endsWith(extension));
}

/** The root of a tree is the repository, whatever it is called, when what lies below is there. */
export function rooted(path: string, facts: RepoFacts): string {
  const [root = '', ...rest] = path.split('/');
  const letters = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '');
  const below = facts.files.has(rest.join('/')) || (rest.length > 1 && isFolder(rest[0] ?? '', facts));
  return rest.length > 0 && !isFolder(root, facts) && (below || letters(root) === letters(facts.name))
    ? rest.join('/')
    : path;
}
