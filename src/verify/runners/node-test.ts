import { count, indentOf, names, type Parser, type Summary, Tree, unique } from './model.ts';

const WORDS = ['suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo', 'duration_ms'];

/** node --test: TAP (`# pass 3`) or spec (`ℹ pass 3`). Suites that only hold a failed test are not counted. */
export const nodeTest: Parser = (lines) => {
  const ends = [...lines.keys()].filter((index) => endsRun(lines, index));
  return ends.map((end, run) =>
    read(lines.slice((ends[run - 1] ?? -1) + 1, end + 1), lines.slice(end + 1, ends[run + 1])),
  );
};

/** `duration_ms` is the last of eight counts that stand on top of each other. */
function endsRun(lines: readonly string[], index: number): boolean {
  if (!/^[#ℹ] duration_ms [\d.]+$/.test(lines[index] ?? '')) return false;
  const block = lines.slice(Math.max(0, index - 7), index + 1);
  return /^[#ℹ] tests \d+$/.test(block[0] ?? '') && WORDS.every((word, at) => block[at + 1]?.slice(2).startsWith(word));
}

function read(lines: readonly string[], after: readonly string[]): Summary {
  const totals = lines.slice(-8).join('\n');
  const number = (name: string): number => count(totals, new RegExp(`^[#ℹ] ${name} (\\d+)$`, 'm'));
  const isTap = lines.at(-1)?.startsWith('#') === true;
  const { passes, failures, skips } = isTap ? tap(lines) : spec(lines);
  return {
    runner: 'node:test',
    passed: number('pass'),
    failed: number('fail') + number('cancelled'),
    skipped: number('skipped') + number('todo'),
    failures: unique(failures.length === 0 && number('fail') > 0 ? listed(after) : failures),
    ...names(passes, skips),
  };
}

interface Found {
  readonly passes: string[];
  readonly failures: string[];
  readonly skips: string[];
}

/** `# Subtest: name` opens a test, `ok 1 - name` ends it, and the YAML block below says whether it was a suite. */
function tap(lines: readonly string[]): Found {
  const found: Found = { passes: [], failures: [], skips: [] };
  const tree = new Tree();
  for (const [index, line] of lines.entries()) {
    const indent = indentOf(line);
    const text = line.slice(indent);
    if (text.startsWith('# Subtest: ')) tree.open(indent, text.slice(11));
    const point = /^(not ok|ok) \d+ - (.*)$/.exec(text);
    if (point === null || lines[index + 1] !== `${' '.repeat(indent + 2)}---`) continue;
    const [name = '', directive = ''] = (point[2] ?? '').split(/ # (?=SKIP|TODO)/);
    if (isSuite(lines, index + 2, indent + 2)) continue;
    const list = directive !== '' ? found.skips : point[1] === 'ok' ? found.passes : found.failures;
    list.push(tree.at(indent).path(name));
  }
  return found;
}

function isSuite(lines: readonly string[], from: number, indent: number): boolean {
  const end = `${' '.repeat(indent)}...`;
  for (let at = from; at < Math.min(lines.length, from + 12) && lines[at] !== end; at++)
    if (/^ *(?:type: 'suite'|failureType: 'subtestsFailed')$/.test(lines[at] ?? '')) return true;
  return false;
}

/** `▶ suite` opens, `✔ test (1ms)` is a test unless it closes the suite of its name. */
function spec(lines: readonly string[]): Found {
  const found: Found = { passes: [], failures: [], skips: [] };
  const tree = new Tree();
  for (const line of lines) {
    const indent = indentOf(line);
    const suite = /^ *▶ (.*)$/.exec(line)?.[1];
    if (suite !== undefined) tree.open(indent, suite);
    const point = /^ *([✔✖﹣⚠]) (.*?) \([\d.]+ms\)( # .*)?$/.exec(line);
    if (point === null) continue;
    const name = point[2] ?? '';
    if (tree.at(indent + 1).holds(indent, name)) tree.at(indent);
    else if (point[1] === '﹣' || point[1] === '⚠' || point[3] !== undefined)
      found.skips.push(tree.at(indent).path(name));
    else (point[1] === '✔' ? found.passes : found.failures).push(tree.at(indent).path(name));
  }
  return found;
}

/** `✖ failing tests:` lists them once more, below the counts. */
const listed = (lines: readonly string[]): string[] => {
  const from = lines.indexOf('✖ failing tests:');
  return lines.slice(from + 1).flatMap((line) => /^✖ (.*?) \([\d.]+ms\)$/.exec(line)?.[1] ?? []);
};
