import type { RepoFacts } from '../facts.ts';
import type { Span } from '../inline.ts';
import { byName, foldersOf, isFolder } from '../tracked.ts';

/** A path as a plan writes it, with the text of its line around it. */
export interface Mention {
  readonly text: string;
  readonly before: string;
  readonly after: string;
  readonly offset: number;
  /** Written as code or as a link. */
  readonly quoted: boolean;
}

const EXTENSION = new Set(
  'ts tsx mts cts js jsx mjs cjs vue svelte astro json jsonc json5 yaml yml toml ini cfg conf env md mdx rst txt html htm css scss sass less svg png jpg ico xml graphql gql proto prisma sql py pyi ipynb rb erb rake php go rs c h cc cpp hpp cs razor csproj sln xaml java kt kts scala groovy gradle swift m mm dart arb ex exs heex erl hs lua pl r jl zig sh bash zsh fish ps1 psm1 bat tf tfvars hcl lock snap csv plist xctestplan storyboard xib fsproj resx tex clj cljs ino vim pbxproj xcconfig strings xcstrings entitlements service tpl hbs ejs j2 sol nix cmake mk template example mod sum properties'.split(
    ' ',
  ),
);
const NAMES =
  /^((Docker|Make|Gem|Rake|Proc|Just|just|Jenkins|Pod|Fast|Caddy|Brew)file|CODEOWNERS|LICENSE|VERSION|\.[a-z][\w-]*(rc|ignore|config|attributes|env)|\.env[\w.-]*)$/;
const PRODUCT = /^(node|vue|next|nuxt|express|react|d3|three|chart|socket|alpine|p5|deno|bun|ember)\.(js|io|ts)$/i;
const NO_PATH = /^(\w+:\/\/|www\.|mailto:|@[\w-]+\/[\w.-]+$|-)|[<>|"'`$\\^=;!]|\(.*\)|\.{3}|…/;

/** All paths of a block, in order: links, code, bare words. Words inside longer code are code. */
export function findPaths(runs: readonly Span[], facts: RepoFacts): Mention[] {
  const found: Mention[] = [];
  const lines = [''];
  for (const run of runs) {
    if (run.text === '\n') lines.push('');
    else lines[lines.length - 1] += run.text;
  }
  let before = '';
  for (const run of runs) {
    if (run.text === '\n') {
      before = '';
      continue;
    }
    const line = lines[run.offset] ?? '';
    for (const word of run.kind === 'text' ? run.text.matchAll(WORD) : [{ 0: run.text.trim(), index: 0 }]) {
      const start = before.length + word.index;
      for (const text of pathsIn(word[0], run.kind !== 'text', facts))
        found.push({
          text,
          before: line.slice(0, start),
          after: line.slice(start + word[0].length),
          offset: run.offset,
          quoted: run.kind !== 'text',
        });
    }
    before += run.text;
  }
  return found;
}

const WORD =
  /(?<![\w/.@~\\-])(?:~\/|\/|\.{1,2}\/)?[\w.@\u00c0-\u024f-]+(?:\/[\w.@[\]()*\u00c0-\u024f-]+)*\/?(?![\w\\])/g;

function pathsIn(token: string, quoted: boolean, facts: RepoFacts): string[] {
  const text = token
    .replace(/[.,:;]+$/, '')
    .replace(/::.*$/, '')
    .replace(/(:L?\d+([-–]L?\d+)?|#L\d+.*)(,\s*\d+([-–]\d+)?)*$/, '');
  const braces = /^(.*)\{([^{}]+,[^{}]+)\}(.*)$/.exec(text);
  if (quoted && braces !== null)
    return (braces[2] ?? '')
      .split(',')
      .flatMap((part) => pathsIn(`${braces[1]}${part.trim()}${braces[3]}`, true, facts));
  if (facts.files.has(text)) return [text];
  if (text.length < 3 || text.length > 300 || NO_PATH.test(text) || PRODUCT.test(text) || /\s/.test(text)) return [];
  const name = text.replace(/\/$/, '').split('/').at(-1) ?? '';
  if (text.endsWith('/'))
    return /^[~.]?[\w.@/-]+\/$/.test(text) && (quoted || isFolder(text.slice(0, -1), facts)) ? [text] : [];
  if (NAMES.test(name)) return [text];
  const extension = /[^.]\.([A-Za-z]\w*)$/.exec(name)?.[1]?.toLowerCase() ?? '';
  if (extension === '' && /[*]/.test(name) && text.includes('/')) return [text];
  if (name.startsWith('.') && !/^\.[a-z]\w+\.\w+$/.test(name)) return [];
  if (!EXTENSION.has(extension) && !/^\.[a-z]\w+\.\w+$/.test(name)) return [];
  // "e.g", "Mr.c": a bare word with a short ending is a file when the repository knows it.
  return quoted || text.includes('/') || extension.length > 1 || byName(text, facts).length > 0 ? [text] : [];
}

export type Resolved =
  | { readonly kind: 'tracked' | 'new'; readonly path: string }
  | { readonly kind: 'many'; readonly candidates: readonly string[] }
  | { readonly kind: 'outside' | 'unknown' };

/** What else tells where a file lies: paths that the plan writes in full, and the folder that its section speaks of. */
export interface Around {
  readonly full: readonly string[];
  readonly folder: string;
}

/** What a mentioned path means in this repository: the plan's own words first, then the tracked files, then a new file. */
export function resolvePath(text: string, { full, folder }: Around, facts: RepoFacts): Resolved {
  const path = inside(text.replace(/^(\.\/)+/, ''), facts);
  if (path === undefined) return { kind: 'outside' };
  if (facts.files.has(path)) return { kind: 'tracked', path };
  const at = folder === '' ? '' : `${folder}/${path}`;
  if (at !== '' && facts.files.has(at)) return { kind: 'tracked', path: at };
  const said = [...new Set(full.filter((other) => other.endsWith(`/${path}`)))];
  if (said.length === 1 && said[0] !== undefined)
    return { kind: facts.files.has(said[0]) ? 'tracked' : 'new', path: said[0] };
  const known = nearest(byName(path, facts), full);
  if (known.length === 1 && known[0] !== undefined) return { kind: 'tracked', path: known[0] };
  if (at !== '' && !(path.includes('/') && isFolder(path.slice(0, path.indexOf('/')), facts)))
    return { kind: 'new', path: at };
  if (known.length > 1) return { kind: 'many', candidates: known };
  if (path.includes('/')) return { kind: 'new', path: under(path, full, facts) };
  return rootPlausible(path, facts) ? { kind: 'new', path } : { kind: 'unknown' };
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
