import MarkdownIt from 'markdown-it';

/** The text of a piece of Markdown, without its marks. */
export const plainText = (text: string): string => plainOf(spans(text));

/** The same of runs that are split already. */
export const plainOf = (runs: readonly Span[]): string =>
  runs
    .map((run) => run.text)
    .join('')
    .trim();

/** A run of inline Markdown: code, a link (its target when that is a place), or text; `strong` when it is bold. */
export interface Span {
  readonly text: string;
  readonly kind: 'text' | 'code' | 'link';
  readonly strong: boolean;
  /** Lines below the first line of the block. */
  readonly offset: number;
}

const inline = new MarkdownIt('commonmark', { maxNesting: 20 });
inline.disable(['html_inline', 'entity', 'image', 'autolink'], true);

/** Splits the text of a block into runs. */
export function spans(text: string): Span[] {
  const simple = plainRuns(text.slice(0, 20_000));
  if (simple !== undefined) return simple;
  const found: Span[] = [];
  let strong = 0;
  let offset = 0;
  let link: { href: string; text: string } | undefined;
  for (const token of inline.parseInline(text.slice(0, 20_000), {})[0]?.children ?? []) {
    if (token.type === 'strong_open') strong += 1;
    else if (token.type === 'strong_close') strong -= 1;
    else if (token.type === 'link_open') link = { href: decode(String(token.attrGet('href') ?? '')), text: '' };
    else if (token.type === 'link_close' && link !== undefined) {
      const place = /^[\w.@/%~-]+\.\w+/.exec(link.href)?.[0] ?? link.text;
      found.push({ text: /^\w+:/.test(link.href) ? link.text : place, kind: 'link', strong: strong > 0, offset });
      link = undefined;
    } else if (token.type === 'softbreak' || token.type === 'hardbreak') {
      offset += 1;
      found.push({ text: '\n', kind: 'text', strong: false, offset });
    } else if (link !== undefined) link.text += token.content;
    else if (token.content !== '')
      found.push({
        text: token.content,
        kind: token.type === 'code_inline' ? 'code' : 'text',
        strong: strong > 0,
        offset,
      });
  }
  return found;
}

/** Text in which nothing but code is marked, which is most text, needs no parser; undefined for any other. */
function plainRuns(text: string): Span[] | undefined {
  const parts = text.split('`');
  const marked = (part: string, index: number): boolean =>
    index % 2 === 0 ? /[\\*_[\]]/.test(part) || (part === '' && index > 0 && index < parts.length - 1) : part === '';
  if (parts.length % 2 === 0 || parts.some(marked)) return undefined;
  const found: Span[] = [];
  let offset = 0;
  const add = (run: string, kind: 'text' | 'code'): void => {
    if (run !== '') found.push({ text: run, kind, strong: false, offset });
  };
  for (const [index, part] of parts.entries()) {
    if (index % 2 === 1) {
      add(part.replaceAll('\n', ' ').replace(/^ (.+) $/, '$1'), 'code');
      continue;
    }
    const lines = part.includes('\n') ? part.split('\n') : [part];
    for (const [at, line] of lines.entries()) {
      if (at > 0) {
        offset += 1;
        add('\n', 'text');
      }
      const begun = at > 0 ? line.trimStart() : line;
      add(at < lines.length - 1 ? begun.trimEnd() : begun, 'text');
    }
  }
  return found;
}

function decode(href: string): string {
  try {
    return decodeURIComponent(href);
  } catch {
    return href;
  }
}
