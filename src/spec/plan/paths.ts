import type { RepoFacts } from '../facts.ts';

/** A path as a plan writes it. */
export interface Mention {
  readonly text: string;
  /** Offset in the text it was found in, and the end of the whole notation (backticks, link). */
  readonly start: number;
  readonly end: number;
  readonly quoted: boolean;
}

const EXTENSION = new Set(
  'ts tsx mts cts js jsx mjs cjs vue svelte astro json jsonc json5 yaml yml toml ini cfg conf env md mdx rst txt html htm css scss sass less styl svg xml graphql gql proto prisma sql py pyi ipynb rb erb rake php go rs c h cc cpp hpp cs fs java kt kts scala groovy gradle swift m mm dart ex exs erl hs lua pl pm r jl zig sh bash zsh fish ps1 bat tf tfvars hcl lock snap csv tsv pbxproj plist xcconfig storyboard xib strings entitlements service dockerfile tpl hbs ejs pug j2 sol nix cmake mk template example'.split(
    ' ',
  ),
);
const NAMES =
  /^(Dockerfile|Makefile|Gemfile|Rakefile|Procfile|Justfile|justfile|Jenkinsfile|LICENSE|CMakeLists\.txt|\.[a-z][\w.-]*(rc|ignore|config|include|example|env))$/;
/** Names of products that look like files. */
const PRODUCTS =
  /^(node|vue|next|nuxt|express|react|d3|three|chart|socket|alpine|ember|backbone|discord|p5|deno|bun)\.(js|io|ts)$/i;

function pathLike(token: string): boolean {
  if (
    token.length > 300 ||
    /^(https?|ftp|file|git|ssh|mailto):|^www\.|[<>|"'`$\\^=;,!]|\(\)|^-|^@[\w-]+\/[\w.-]+$|^\d+(\.\d+)+|^v\d+\./.test(
      token,
    )
  )
    return false;
  const bare = token.replace(/\/$/, '');
  const name = bare.split('/').at(-1) ?? '';
  if (NAMES.test(name)) return true;
  const extension = /\.([A-Za-z0-9]+)$/.exec(name)?.[1]?.toLowerCase() ?? '';
  if (PRODUCTS.test(token)) return false;
  if (EXTENSION.has(extension)) return /^[\w.@~+\-/[\](){}*?\u00c0-\uffff ]+$/.test(token);
  return false;
}

const folderLike = (token: string): boolean =>
  /^[\w.@~-]+(\/[\w.@*{},[\]-]+)*\/(\*+(\.\w+)?)?$/.test(token) && token.length > 2;

/** All paths in a piece of plan text, in order: links, code spans, bold, bare words. Pure and linear. */
export function findPaths(text: string, facts: RepoFacts): Mention[] {
  const found: Mention[] = [];
  const source = text.slice(0, 20_000);
  const taken = new Array<boolean>(source.length).fill(false);
  const take = (start: number, end: number, token: string, quoted: boolean): void => {
    if (taken[start] === true || taken[end - 1] === true) return;
    const plain = token
      .replace(/^[("'[]+(?=.*[^)\]]$)/, '')
      .replace(/:\d+(-\d+)?(,\d+(-\d+)?)*$/, '')
      .replace(/#L\d+.*$/, '');
    if (!facts.files.has(plain) && !pathLike(plain) && !(quoted && folderLike(plain))) return;
    if (
      !quoted &&
      !facts.files.has(plain) &&
      !plain.includes('/') &&
      !byName(plain, facts) &&
      /^[A-Z]?[a-z]+\.[a-z]{1,2}$/.test(plain)
    )
      return;
    found.push({ text: plain, start, end, quoted });
    taken.fill(true, start, end);
  };
  for (const match of source.matchAll(/\[([^\]\n]{1,300})\]\(([^)\s]{1,300})\)/g)) {
    const target = (match[2] ?? '').replace(/#.*$/, '');
    take(
      match.index,
      match.index + match[0].length,
      pathLike(target) ? target : (match[1] ?? '').replace(/`/g, ''),
      true,
    );
  }
  for (const match of source.matchAll(/`([^`\n]{1,300})`/g)) {
    take(match.index, match.index + match[0].length, (match[1] ?? '').trim(), true);
    // Words inside a code span are code: a path in a command is no work.
    taken.fill(true, match.index, match.index + match[0].length);
  }
  for (const match of source.matchAll(/\*\*([^*\s\n]{1,300}):?\*\*/g))
    take(match.index, match.index + match[0].length, (match[1] ?? '').replace(/:$/, ''), true);
  for (const match of source.matchAll(
    /(?<![\w/.@`~\\-])(?:~\/|\/|\.{1,2}\/)?[\w.@\u00c0-\u024f-]+(?:\/[\w.@[\]*\u00c0-\u024f-]+)*\/?(?![\w`])/g,
  )) {
    const token = match[0].replace(/[.,:;]+$/, '');
    if (token.length > 2) take(match.index, match.index + token.length, token, false);
  }
  return found.sort((left, right) => left.start - right.start);
}

const byName = (name: string, facts: RepoFacts): boolean =>
  [...facts.files.keys()].some((path) => path.endsWith(`/${name}`) || path === name);

export type Resolved =
  | { readonly kind: 'tracked'; readonly path: string }
  | { readonly kind: 'new'; readonly path: string }
  | { readonly kind: 'ambiguous'; readonly candidates: readonly string[] }
  | { readonly kind: 'folder'; readonly matches: readonly string[] }
  | { readonly kind: 'outside' };

/** What a mentioned path means in this repository. */
export function resolvePath(text: string, facts: RepoFacts): Resolved {
  let path = text.replace(/^\.\//, '');
  if (path.startsWith('/')) {
    const inside = path.startsWith(`${facts.root}/`) ? path.slice(facts.root.length + 1) : afterFolder(path, facts);
    if (inside === undefined) return { kind: 'outside' };
    path = inside;
  }
  if (/^(~|\.\.\/|[A-Za-z]:)/.test(path)) return { kind: 'outside' };
  if (facts.files.has(path)) return { kind: 'tracked', path };
  if (/\/$|[*{]/.test(path)) return { kind: 'folder', matches: matching(path, facts) };
  const inFolder = [...facts.files.keys()].filter((file) => file.startsWith(`${path}/`));
  if (inFolder.length > 0) return { kind: 'folder', matches: inFolder };
  const ends = [...facts.files.keys()].filter((file) => file.endsWith(`/${path}`));
  if (ends.length === 1 && ends[0] !== undefined) return { kind: 'tracked', path: ends[0] };
  if (ends.length > 1) return { kind: 'ambiguous', candidates: ends };
  const name = `${facts.name}/`;
  if (path.startsWith(name) && facts.files.has(path.slice(name.length)))
    return { kind: 'tracked', path: path.slice(name.length) };
  return { kind: 'new', path };
}

/** `/home/other/shop/src/a.ts` lies in the repository `shop` when the file or its folder is known there. */
function afterFolder(path: string, facts: RepoFacts): string | undefined {
  const at = path.lastIndexOf(`/${facts.name}/`);
  if (at < 0) return undefined;
  const inside = path.slice(at + facts.name.length + 2);
  const folder = inside.slice(0, inside.lastIndexOf('/') + 1);
  const known = [...facts.files.keys()].some((file) => file === inside || (folder !== '' && file.startsWith(folder)));
  return known ? inside : undefined;
}

function matching(pattern: string, facts: RepoFacts): string[] {
  const escaped = pattern
    .replace(/\/$/, '/**')
    .replace(/[.+^$()|[\]\\]/g, '\\$&')
    .replace(/\{([^{}]*)\}/g, (_, inner: string) => `(${inner.split(',').join('|')})`);
  const regex = new RegExp(
    `^(.*/)?${escaped
      .replace(/\*\*\/?/g, '\u0001')
      .replace(/\*/g, '[^/]*')
      .replace(/\?/g, '[^/]')
      .replaceAll('\u0001', '.*')}$`,
  );
  return [...facts.files.keys()].filter((path) => regex.test(path));
}
