/** A zero-width joiner holds an emoji together; anywhere else it hides something. */
const LONE_JOINER = String.raw`(?<![\p{Extended_Pictographic}\u{1f3fb}-\u{1f3ff}]\ufe0f?)\u200d|\u200d(?!\p{Extended_Pictographic})`;
/** What a reader does not see while a model or a compiler does: bidi, tags, zero width. */
const HIDDEN = String.raw`[\u061c\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]|${LONE_JOINER}`;
/** The same, and what a terminal obeys. */
const UNSEEN = new RegExp(String.raw`[\u0000-\u0008\u000b-\u001f\u007f-\u009f]|${HIDDEN}`, 'gu');
const HIDES = new RegExp(HIDDEN, 'u');
const COLOURS = /\u001b\[[0-9;?]*[A-Za-z]/g;

/** Control characters, escape sequences and hidden characters out: worker text is data. Keeps tabs and line feeds. */
export const clean = (value: string): string => value.replace(COLOURS, '').replace(UNSEEN, '');

/** Where the first character is that a reader does not see; -1 where there is none. */
export const hiddenAt = (text: string): number => text.search(HIDES);

/** The same for a change under review: what is hidden in it is shown by its code point. */
export const reveal = (value: string): string =>
  value
    .replaceAll('\r\n', '\n')
    .replace(UNSEEN, (found) => `<U+${(found.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}>`);

/** One line of somebody else's text: no control characters, no line ends, capped. */
export const quote = (text: string, width: number): string => {
  const flat = clean(text.replace(/\s+/g, ' ')).trim();
  return flat.length > width ? `${flat.slice(0, width - 1)}…` : flat;
};

/** A number of things: `1 file`, `3 files`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

const ticks = (text: string): string =>
  '`'.repeat(Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length)) + 1);

/** One line inside Markdown, as code: mentions, references, images, links and markup in it do nothing. */
export function code(text: string, width = 200): string {
  const flat = quote(text, width);
  const edge = flat.includes('`') ? ' ' : '';
  return flat === '' ? '' : `${ticks(flat)}${edge}${flat}${edge}${ticks(flat)}`;
}

/** Lines inside Markdown, as a block of code that nothing in them can end. */
export function fenced(text: string, language = ''): string {
  const fence = ticks(`${text}\n\`\``);
  return `${fence}${language}\n${clean(text)}\n${fence}`;
}

/** The first line of a commit, or a title: it skips no CI, names nobody and refers to nothing. */
export const subject = (text: string): string =>
  quote(text, 120)
    .replaceAll('[', '(')
    .replaceAll(']', ')')
    .replace(/\*{3,}/g, '')
    .replace(/[@#](?=\w)/g, '$& ');

/** Text into HTML or XML: nothing in it is markup. */
export const markup = (text: string): string =>
  clean(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');

/** The message of a workflow command: it ends at its line. */
export const message = (text: string): string =>
  clean(text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A'));

/** A property of a workflow command: it ends at a colon or a comma too, which a message would show escaped. */
export const property = (text: string): string => message(text).replaceAll(':', '%3A').replaceAll(',', '%2C');

export interface Door {
  /** True where all that is printed is JSON: hidden characters are escaped there, and the data stays what it is. */
  readonly json: boolean;
  /** True where a CI runner reads along and obeys lines that look like its commands. */
  readonly runner: boolean;
}

/** All text on its way out of the process. What we say to the terminal or the runner itself takes `World.control`. */
export function leaving(text: string, { json, runner }: Door): string {
  if (json) return escaped(runner ? text.replaceAll('##', '#\\u0023') : text);
  const plain = text.split('\r\n').map(clean).join('\r\n');
  return runner ? plain.replace(/^([^\S\n]*):(?=:)/gm, '$1: ').replace(/##(?=\w*\[)/g, '# #') : plain;
}

const escaped = (json: string): string =>
  json.replace(UNSEEN, (found) =>
    Array.from({ length: found.length }, (_, index) => found.charCodeAt(index))
      .map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`)
      .join(''),
  );
