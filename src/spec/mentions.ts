import type { RepoFacts } from './facts.ts';
import type { Span } from './inline.ts';
import { byName, isFolder } from './tracked.ts';

/** A path as text writes it, with the text of its line around it. */
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
    for (const word of run.kind === 'text' ? wordsOf(run.text) : [{ 0: run.text.trim(), index: 0 }]) {
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

/** Most prose holds no path at all, and says so at one look. */
const MAY_NAME = /[./]\w|\S\/|(file|CODEOWNERS|LICENSE|VERSION)\b/;
const wordsOf = (text: string): Iterable<RegExpExecArray> => (MAY_NAME.test(text) ? text.matchAll(WORD) : []);

const WINDOWS = /^([A-Za-z]:)?\\?([\w.@-]+\\)+[\w.@-]+$/;

function pathsIn(token: string, quoted: boolean, facts: RepoFacts): string[] {
  if (/^[\w-]+$/.test(token)) return NAMES.test(token) || (quoted && facts.files.has(token)) ? [token] : [];
  const text = (WINDOWS.test(token) ? token.replaceAll('\\', '/') : token)
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

/** The clause that a path stands in, up to the path. */
export const lastWords = (before: string): string =>
  (before.split(/[.。;；]\s|\s[—–]\s|--|[()（）]/).at(-1) ?? '').slice(-60);
/** The two words before a path. */
export const nearWords = (before: string): string => lastWords(before).trim().split(/\s+/).slice(-2).join(' ');
/** True for what stands between paths of one list: commas, "and", a remark in parentheses. */
export const joins = (between: string): boolean =>
  /^[\s`*,、/&+|]*(\([^()]*\)|and|or|et|und|y|ve|または|と)?[\s`*,、/&+]*$/i.test(between);
