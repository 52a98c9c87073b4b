import { type Command, type Criterion, type Place, type SpecFile, VERBS, type Verb } from './model.ts';

/** Longer lines are kept as text and not read, so that hostile input stays cheap. */
const LONGEST = 4096;

/** `- MODIFY \`src/a.ts\` -- note (ALLOW PROTECTED)` → a file; the verb may come from the label above it. */
export function readFile(text: string, fallback: Verb | undefined, at: Place): SpecFile {
  if (text.length > LONGEST) return { path: text, note: '', allowProtected: false, at };
  const head = new RegExp(`^\\**(${VERBS.join('|')})\\**:?\\s+`).exec(text);
  const verb = (head?.[1] as Verb | undefined) ?? fallback;
  let rest = text.slice(head?.[0].length ?? 0).trim();
  const allowProtected = /\(ALLOW PROTECTED\)\s*$/.test(rest);
  rest = rest.replace(/\s*\(ALLOW PROTECTED\)\s*$/, '');
  const quoted = /^(`+)(.+?)\1(?!`)/.exec(rest);
  const { path, tail } =
    quoted === null ? splitNote(rest) : { path: unpad(quoted[2] ?? ''), tail: rest.slice(quoted[0].length) };
  const note = tail.replace(/^\s*(--|[–—-])\s+/, '').trim();
  return { ...(verb === undefined ? {} : { verb }), path, note, allowProtected, at };
}

/** A code span that begins and ends with a space loses one of each (CommonMark 6.1). */
const unpad = (span: string): string => (/^ .*[^ ].* $/.test(span) ? span.slice(1, -1) : span);

function splitNote(text: string): { path: string; tail: string } {
  const dash = /\s(?:--|[–—-])\s/.exec(text);
  const paren = /\s\(/.exec(text);
  const cut = Math.min(dash?.index ?? text.length, paren?.index ?? text.length);
  return { path: text.slice(0, cut).trim(), tail: text.slice(cut) };
}

/** Puts text into a code span, whatever backticks it holds. */
export function codeSpan(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map((run) => run[0].length));
  const fence = '`'.repeat(longest + 1);
  const pad = longest > 0 || /^ .*[^ ].* $/.test(text) ? ' ' : '';
  return `${fence}${pad}${text}${pad}${fence}`;
}

export function writeFile(file: SpecFile): string {
  const verb = file.verb === undefined ? '' : `${file.verb} `;
  const note = file.note === '' ? '' : ` -- ${file.note}`;
  const path = file.path === '' ? '' : plainPath(file.path) ? file.path : codeSpan(file.path);
  return `${verb}${path}${note}${file.allowProtected ? ' (ALLOW PROTECTED)' : ''}`;
}

const plainPath = (path: string): boolean =>
  /^[\w./@~][\w./@~+-]*$/.test(path) && !/^(CREATE|MODIFY|DELETE)$/.test(path);

const EXPECT = /^expect\s+(\d{1,3})$/;

type Options = Omit<Command, 'kind' | 'text' | 'at'>;

/** `timeout 120s, expect 0, baseline fail, shell, detected` → options, or undefined when a word is unknown. */
export function readOptions(text: string): Options | undefined {
  const options: Options = { expect: 0, baselineFails: false, shell: false, detected: false };
  for (const word of text.split(',').map((part) => part.trim())) {
    const timeout = /^timeout\s/.test(word) ? readDuration(word.slice('timeout'.length).trim()) : undefined;
    const expect = EXPECT.exec(word);
    if (timeout !== undefined) options.timeoutSeconds = timeout;
    else if (expect !== null && Number(expect[1]) <= 255) options.expect = Number(expect[1]);
    else if (word === 'baseline fail') options.baselineFails = true;
    else if (word === 'shell') options.shell = true;
    else if (word === 'detected') options.detected = true;
    else return undefined;
  }
  return options;
}

/** True for the text of an option whose number does not fit: its command must not become a remark that nobody runs. */
export const isWrongOption = (word: string): boolean =>
  readOptions(word) === undefined && /^(timeout\s+([-+.\d].*|nan|inf\w*)|expect\s+[-+.\d]\S*)$/i.test(word);

const UNIT: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600 };
/** 31 years, in seconds. */
const LONGEST_WAIT = 1e9;

/** `30m`, `90s`, `45` (seconds) → seconds, to the millisecond; undefined for what is no duration or too long. */
export function readDuration(text: string): number | undefined {
  const match = /^(\d{1,13}(?:\.\d{1,3})?)\s*(ms|s|m|h)?$/.exec(text);
  if (match === null) return undefined;
  const value = Math.round(Number(match[1]) * (UNIT[match[2] ?? 's'] ?? 1) * 1000) / 1000;
  return value > 0 && value <= LONGEST_WAIT ? value : undefined;
}

const NONE: Options = { expect: 0, baselineFails: false, shell: false, detected: false };

/** One line of a Verification list. Prose stays visible to the reviewer and is never run. */
export function readCommand(text: string, at: Place): Command {
  if (text.length > LONGEST) return { kind: 'manual', text, ...NONE, at };
  const span = /^(`+)(.+?)\1(?!`)\s*(?:\(([^()]*)\))?\s*$/.exec(text);
  if (span !== null) {
    const options = span[3] === undefined ? NONE : readOptions(span[3]);
    if (options !== undefined) return { kind: 'command', text: unpad(span[2] ?? '').trim(), ...options, at };
  }
  const tail = /\s\(([^()]*)\)$/.exec(text);
  const options = tail === null ? undefined : readOptions(tail[1] ?? '');
  const bare = options === undefined ? text : text.slice(0, tail?.index);
  if (looksLikeCommand(bare)) return { kind: 'command', text: bare.trim(), ...(options ?? NONE), at };
  return { kind: 'manual', text, ...NONE, at };
}

const PROSE =
  /^(make sure|check that|test that|test the|run the|go to|open the|find the|time to|watch for|cat is|see |look )/i;
const TOOL =
  /^(npm|npx|pnpm|yarn|bun|bunx|node|deno|tsc|vitest|jest|mocha|eslint|biome|prettier|python3?|pytest|tox|nox|uv|poetry|ruff|mypy|black|go|gofmt|cargo|make|just|cmake|ctest|mvn|gradle|dotnet|swift|xcodebuild|php|composer|phpunit|bundle|rspec|ruby|rake|mix|elixir|zig|dart|flutter|git|docker|terraform|bash|sh|test|grep|rg|diff|ls|cat|wc|find|jq|curl|env|true|false|echo|exit|rm|sleep|cd)$/;

/** True when a bare line reads as a command: a known tool, a path to a program, or `NAME=value tool`. */
export function looksLikeCommand(text: string): boolean {
  if (PROSE.test(text) || text.includes('`') || text.trim() === '') return false;
  const words = text.trim().split(/\s+/);
  const first = words.find((word) => !/^[A-Z_][A-Z0-9_]*=/.test(word)) ?? '';
  if (/^\.{0,2}\/?[\w@.-]+(\/[\w@.-]+)+$/.test(first)) return true;
  return TOOL.test(first) && !/(?<=\w)[.:!?]$/.test(text.trim());
}

export function writeCommand(command: Command): string {
  if (command.kind === 'manual') return command.text;
  const options = [
    command.timeoutSeconds === undefined ? '' : `timeout ${writeDuration(command.timeoutSeconds)}`,
    command.expect === 0 ? '' : `expect ${command.expect}`,
    command.baselineFails ? 'baseline fail' : '',
    command.shell ? 'shell' : '',
    command.detected ? 'detected' : '',
  ].filter((part) => part !== '');
  return codeSpan(command.text) + (options.length === 0 ? '' : ` (${options.join(', ')})`);
}

export function writeDuration(value: number): string {
  if (!Number.isInteger(value)) return `${Math.max(1, Math.round(value * 1000))}ms`;
  return value % 60 === 0 ? `${value / 60}m` : `${value}s`;
}

/** `C1 text <- T1, V2, path README.md, review` → a criterion. */
export function readCriterion(text: string, at: Place): Criterion {
  const cut = text.lastIndexOf('<-');
  if (cut < 0) return { text: text.trim(), targets: [], at };
  const targets = text
    .slice(cut + 2)
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  return targets.length === 0 ? { text: text.trim(), targets, at } : { text: text.slice(0, cut).trim(), targets, at };
}

export const writeCriterion = (item: Criterion): string =>
  item.targets.length === 0 ? item.text : `${item.text} <- ${item.targets.join(', ')}`.trim();
