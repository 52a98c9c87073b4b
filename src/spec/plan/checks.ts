import { splitCommand } from '../../verify/words.ts';
import { hasCommandError } from '../check-command.ts';
import type { RepoFacts } from '../facts.ts';
import { fromTop } from '../from-top.ts';
import { plainOf } from '../inline.ts';
import { codeSpan, looksLikeCommand, readCommand, readOptions } from '../lines.ts';
import type { Command } from '../model.ts';
import { commandLines, judgeCommand, withoutFolder } from '../programs.ts';
import type { Outline, PlanBlock, Section } from './outline.ts';

/** What a plan says shows that the work is right: a command, or what a person looks at. */
export interface Stated {
  readonly text: string;
  readonly line: number;
  readonly kind: 'command' | 'manual';
  readonly expect: number;
  readonly timeoutSeconds?: number | undefined;
}

const SHELL = /^(sh|bash|shell|zsh|console|terminal|shellsession|fish|)$/i;
/** Lines that only a script has: such a block is code to be written. */
const SCRIPT =
  /^\s*(local |fi\b|done\b|esac\b|;;|function |[\w-]+\(\)\s*\{|#!|if \[|for \w+ in|while |[\w-]+\)\s*$|\})/m;
const OPEN = /<[^<>|&\s][^<>|&]*>|\.\.\.|…|\bYOUR_|\bpath\/to\b|\bxxx?\b|\{\{/i;
const SAID = /\b(verif\w*|run|expect\w*|pass\w*|green|check|ensure|confirm)\b/i;
const LEADS = /\b(verif\w*|run|check|test|validat\w*|confirm)\b[^.]{0,40}[:：]\W*$/i;
const FAILS =
  /\b(should|must|will|expect\w*)\b[^.]{0,20}\b(fail|error|not exist|reject)|\berror handling\b|\bnonexist|usage error/i;
const EMPTY = /\b(no (output|match(es)?|results?|hits|lines)|nothing|empty|(zero|0) (hits|matches|results))\b/i;
/** The exit code that words state. */
const EXITS = /\bexit(?:s|ed|ing)?(?: with)?(?: (?:code|status))?[:=]?\s+(\d{1,3})\b/i;
/** Runs in a folder that is not the repository's. */
const ELSEWHERE = /\bcd\s+["']?(\/|~|\$HOME|[A-Za-z]:)/;
/** Prints a number, whatever its exit code says. */
const COUNTS = /^(git )?(grep|rg)\b[^|]* (-\w*c|--count)\b[^|]*$|\|\s*wc -\w+$/;

/** The checks that a plan states, each once, in order, from the top of the repository. Pure. */
export function statedChecks({ sections }: Outline, facts: RepoFacts): Stated[] {
  const found = sections
    .flatMap((section) =>
      section.blocks.flatMap((block, at) => inBlock(section, block, section.blocks[at - 1]?.text ?? '')),
    )
    .map((item) => ({ ...item, text: fromTop(item.text, facts) }))
    .map((item) => (ELSEWHERE.test(item.text) ? { ...item, kind: 'manual' as const, expect: 0 } : item))
    .filter(({ text }) => text !== '' && !/^cd\s+\S+$/.test(text));
  return [...new Map(found.reverse().map((item) => [item.text, item])).values()].reverse();
}

function inBlock({ role }: Section, block: PlanBlock, before: string): Stated[] {
  const checking = role === 'check' || LEADS.test(before);
  if (role === 'context' && !checking) return [];
  if (block.kind === 'code') return inCode(block, checking);
  const whole = plainOf(block.runs);
  const runs = role === 'check' || SAID.test(whole) ? block.runs : [];
  const found = runs.flatMap(({ kind, text, offset }, at) => {
    const end = whole.indexOf(text) + text.length;
    const next = runs.slice(at + 1).find((run) => run.kind === 'code' && /\s/.test(run.text))?.text ?? '\n\n';
    const note = whole.slice(end, end + 80).split(next)[0] ?? '';
    return kind === 'code' ? command(text.trim(), { line: block.line + offset, note, checking: role === 'check' }) : [];
  });
  if (found.length > 0 || role !== 'check' || /[:：]$/.test(whole) || whole.length < 8) return found;
  return [{ text: whole.replace(/\s+/g, ' ').slice(0, 300), line: block.line, kind: 'manual', expect: 0 }];
}

/** The commands of a fenced block; a script that stands where nothing is checked is code to be written. */
function inCode({ lang = '', text, line }: PlanBlock, checking: boolean): Stated[] {
  const lines = commandLines(text);
  if (!SHELL.test(lang.split(/\s/)[0] ?? '')) return [];
  if (lang === '' && !lines.some((one) => looksLikeCommand(one.text))) return [];
  if (SCRIPT.test(text)) return checking ? [unrunnable(text, line + 1)] : [];
  return lines.flatMap((one) => {
    const at = line + 1 + one.offset;
    if (one.whole) return command(one.text, { line: at, note: one.note, checking });
    return [unrunnable(one.text, at)];
  });
}

/** What stands on several lines, which no line of a spec can hold, is for a person. */
const unrunnable = (text: string, line: number): Stated => ({
  text: `${text
    .trim()
    .replace(/\s*\n\s*/g, ' ⏎ ')
    .slice(0, 200)} …`,
  line,
  kind: 'manual',
  expect: 0,
});

function command(text: string, { line, note, checking }: { line: number; note: string; checking: boolean }): Stated[] {
  const plain = withoutFolder(text);
  const judged = judgeCommand(text);
  const alone = checking && /^(\.\/\S+|pytest|make|tox|vitest|jest|mypy|tsc|rspec|ctest)$/.test(plain);
  if (!(looksLikeCommand(plain) || judged === 'check') || !(/\s/.test(plain) || alone) || OPEN.test(text)) return [];
  if (!checking && judged !== 'check') return [];
  // What a search finds says nothing until the plan says what it should find.
  const searches = /^(grep|rg|git grep)\b/.test(plain);
  const said = expectation(note);
  const expect = said?.expect ?? (searches && EMPTY.test(note) ? 1 : 0);
  const open = searches && said === undefined && expect === 0 && !/ -\w*q|[|]/.test(plain) && !SAID.test(note);
  // A search ends with 0, 1 or 2: a larger number counts what it prints, as does any number beside a count.
  const count = /\d+/.exec(note.replace(/timeout \S+/, ''))?.[0];
  const counted = count !== undefined && !EMPTY.test(note) && (COUNTS.test(plain) || (searches && expect > 2));
  const fails = said === undefined && FAILS.test(note);
  const manual = judged === 'person' || open || counted || fails || hasCommandError(text);
  if (manual && !counted && /^(cat|sed|ls|git|cd|echo|head|tail)\b/.test(plain)) return [];
  if (manual) return [{ text: counted ? `${text} (prints ${count})` : text, line, kind: 'manual', expect: 0 }];
  return [{ text, line, kind: 'command', expect, timeoutSeconds: said?.timeoutSeconds }];
}

/** What a note says of a command in the words of the grammar, `(timeout 5m)` or `expect 1`, or as an exit code. */
function expectation(note: string): { expect: number; timeoutSeconds?: number | undefined } | undefined {
  const [, words = ''] = /^\W*?\(([^()]*)\)/.exec(note) ?? /^\W*(expect \d+)\W*$/.exec(note) ?? [];
  const code = EXITS.exec(note)?.[1];
  return readOptions(words) ?? (code === undefined || Number(code) > 255 ? undefined : { expect: Number(code) });
}

/** A stated check as a line of the spec. */
export const asCommand = ({ text, line, expect, timeoutSeconds }: Omit<Stated, 'kind'>, detected = false): Command => ({
  ...readCommand(codeSpan(text), { line, column: 1 }),
  ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
  expect,
  shell: 'needsShell' in splitCommand(text),
  detected,
});
