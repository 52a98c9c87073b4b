import MarkdownIt from 'markdown-it';
import type { Place } from './model.ts';

/** One block of a Markdown document, in document order. `line` and `end` are 1-based; `end` is the last line. */
export interface Block {
  readonly kind: 'heading' | 'paragraph' | 'item' | 'code' | 'row' | 'rule';
  /** Heading depth, or list depth of an item (1 = top level), or 0. */
  readonly depth: number;
  /** True when the block lies inside a list item. */
  readonly nested: boolean;
  readonly text: string;
  readonly line: number;
  readonly end: number;
  readonly column: number;
  /** Items: the number of an ordered item. */
  readonly ordered?: number;
  /** Items: the state of a checkbox. */
  readonly checked?: boolean;
  /** Code: the info string. */
  readonly lang?: string;
  /** Code: false when the closing fence is missing. */
  readonly closed?: boolean;
  /** Rows: the cells, and the cells of the header. */
  readonly cells?: readonly string[];
  readonly header?: readonly string[];
}

export interface Document {
  readonly lines: readonly string[];
  readonly blocks: readonly Block[];
}

// Inline Markdown is read by our own rules (paths, commands); quotes and HTML are shown as text. The nesting
// limit keeps hostile input linear (docs/adr/0002).
const markdown = new MarkdownIt('commonmark', { maxNesting: 20 });
markdown.enable('table');
markdown.disable(['inline', 'text_join', 'reference', 'lheading', 'html_block', 'code', 'blockquote'], true);

/** The lines of a spec that are read one by one: they end a paragraph or a list, with or without an empty line. */
const LABEL =
  /^\**(Format|Base|Profile|Limits|Depends on|Uses|Files(?: to (?:create|modify|delete))?|Interfaces|Requirements|Verification|Done when|Protected|Allow generated)\**:/;
markdown.block.ruler.before(
  'list',
  'label',
  (state, startLine, _endLine, silent) => {
    const indent = state.sCount[startLine] ?? 0;
    const start = (state.bMarks[startLine] ?? 0) + (state.tShift[startLine] ?? 0);
    if (indent > 3 || (state.blkIndent > 0 && indent >= state.blkIndent)) return false;
    const text = state.src.slice(start, state.eMarks[startLine]);
    if (!LABEL.test(text)) return false;
    if (silent) return true;
    if (state.blkIndent > 0) return false;
    state.line = startLine + 1;
    state.push('paragraph_open', 'p', 1).map = [startLine, state.line];
    const inline = state.push('inline', '', 0);
    inline.content = text.trim();
    inline.map = [startLine, state.line];
    state.push('paragraph_close', 'p', -1);
    return true;
  },
  { alt: ['paragraph'] },
);

type Token = ReturnType<typeof markdown.parse>[number];

/** Line ends to LF, no byte order mark, no NUL: the text that places in findings refer to. */
export function normalise(source: string): string {
  return source
    .replace(/^\uFEFF/, '')
    .replace(/\r\n?/g, '\n')
    .replaceAll('\0', '\uFFFD');
}

/** Splits Markdown into blocks with their places. Linear in the size of the input; never throws. */
export function readDocument(source: string): Document {
  const text = normalise(source);
  const lines = text.split('\n');
  const reader = new Reader(lines);
  for (const token of markdown.parse(text, {})) reader.take(token);
  return { lines, blocks: reader.blocks };
}

class Reader {
  readonly blocks: Block[] = [];
  private readonly lists: { next: number | undefined }[] = [];
  /** The open items, innermost last: where their block stands, and whether its text has come. */
  private readonly items: { index: number; fresh: boolean }[] = [];
  private heading = 0;
  private header: string[] = [];
  private cells: string[] | undefined;
  private inHead = false;
  private rowLine = 1;

  constructor(private readonly lines: readonly string[]) {}

  take(token: Token): void {
    const type = token.type;
    if (type === 'bullet_list_open') this.lists.push({ next: undefined });
    else if (type === 'ordered_list_open') this.lists.push({ next: Number(token.attrGet('start') ?? 1) });
    else if (type === 'bullet_list_close' || type === 'ordered_list_close') this.lists.pop();
    else if (type === 'list_item_open') this.openItem(token);
    else if (type === 'list_item_close') this.items.pop();
    else if (type === 'heading_open') this.heading = Number(token.tag.slice(1));
    else if (type === 'heading_close') this.heading = 0;
    else if (type === 'inline') this.inline(token);
    else if (type === 'fence') this.fence(token);
    else if (type === 'hr') this.push('rule', token, '', {});
    else this.table(token);
  }

  private openItem(token: Token): void {
    const list = this.lists.at(-1);
    const ordered = list?.next;
    if (list?.next !== undefined) list.next += 1;
    this.push('item', token, '', {
      depth: this.lists.length,
      nested: this.lists.length > 1,
      ...(ordered === undefined ? {} : { ordered: token.info === '' ? ordered : Number(token.info) }),
    });
    this.items.push({ index: this.blocks.length - 1, fresh: true });
  }

  private table(token: Token): void {
    // The tokens of cells have no place: the head is one line, the rule below it another, and so is each row.
    if (token.type === 'table_open') this.rowLine = lineOf(token) + 1;
    else if (token.type === 'thead_open') this.inHead = true;
    else if (token.type === 'thead_close') this.inHead = false;
    else if (token.type === 'tr_open') this.cells = [];
    else if (token.type === 'tr_close' && this.cells !== undefined) {
      if (this.inHead) this.header = this.cells;
      else this.rowLine += 1;
      if (!this.inHead) this.push('row', token, this.cells.join(' | '), { cells: this.cells, header: this.header });
      this.cells = undefined;
    }
  }

  private inline(token: Token): void {
    if (this.cells !== undefined) {
      this.cells.push(token.content.trim());
    } else if (this.heading > 0 && this.items.length === 0) {
      this.push('heading', token, token.content.trim(), { depth: this.heading });
    } else this.text(token);
  }

  private text(token: Token): void {
    const item = this.items.at(-1);
    if (item?.fresh !== true) {
      this.push('paragraph', token, token.content, {});
      return;
    }
    item.fresh = false;
    const box = /^(?:\[([ xX])\]\s+)/.exec(token.content);
    const block = this.blocks[item.index] as Block;
    this.blocks[item.index] = {
      ...block,
      text: token.content.slice(box?.[0].length ?? 0),
      ...(box === null ? {} : { checked: box[1] !== ' ' }),
    };
  }

  private fence(token: Token): void {
    const end = token.map?.[1] ?? 1;
    const last = (this.lines[end - 1] ?? '').trim();
    const closed = end - (token.map?.[0] ?? 0) > 1 && last.startsWith(token.markup) && /^(`+|~+)$/.test(last);
    const item = this.items.at(-1);
    if (item !== undefined) item.fresh = false;
    this.push('code', token, token.content, { lang: token.info.trim(), closed });
  }

  private push(kind: Block['kind'], token: Token, text: string, extra: Partial<Block>): void {
    const line = kind === 'row' ? this.rowLine : lineOf(token);
    let end = kind === 'row' ? line : (token.map?.[1] ?? line);
    while (end > line && (this.lines[end - 1] ?? '').trim() === '') end -= 1;
    const indent = (this.lines[line - 1] ?? '').search(/\S|$/);
    this.blocks.push({ kind, depth: 0, nested: this.items.length > 0, text, line, end, column: indent + 1, ...extra });
  }
}

const lineOf = (token: Token): number => (token.map?.[0] ?? 0) + 1;

/** The place of a needle on a line of the document, or the line's first character. */
export function placeOf(lines: readonly string[], line: number, needle: string): Place {
  const found = needle === '' ? -1 : (lines[line - 1] ?? '').indexOf(needle);
  return { line, column: found < 0 ? 1 : found + 1 };
}

/** The source of a list item without its marker and indentation; nested blocks included. */
export function rawItem(lines: readonly string[], block: Block): string {
  const [first = '', ...rest] = lines.slice(block.line - 1, block.end).map(expandTabs);
  const width = markerWidth(first, block.nested ? 1 : Math.max(1, block.depth));
  const body = [first.slice(width).trim(), ...rest.map((line) => dedent(line, width))];
  return body
    .join('\n')
    .trim()
    .replace(/^(?:\[[ xX]\][ \t]+)+/, '')
    .trimStart();
}

/** Items may share a line ("- - x"): the marker is found by the item's depth. */
function markerWidth(line: string, depth: number): number {
  let width = 0;
  for (let level = 0; level < depth; level++) {
    const marker = /^\s*(?:[-*+]|\d{1,9}[.)])(?:\s|$)/.exec(line.slice(width))?.[0];
    if (marker === undefined) return 0;
    width += marker.length;
  }
  return width;
}

const expandTabs = (line: string): string =>
  line.replace(/^[ \t]+/, (space) => {
    let width = 0;
    for (const char of space) width += char === '\t' ? 4 - (width % 4) : 1;
    return ' '.repeat(width);
  });

const dedent = (line: string, width: number): string => line.slice(Math.min(width, line.search(/\S|$/)));
