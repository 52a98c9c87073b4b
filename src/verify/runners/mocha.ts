import { count, indentOf, names, type Parser, type Summary, Tree } from './model.ts';

const PASSING = /^ {2}\d+ passing \([\d.]+(?:ms|s|m|h|d)\)$/;

/** mocha's spec reporter: the tree of tests, then `  3 passing (4ms)` between blank lines, then the failures. */
export const mocha: Parser = (lines) => {
  const ends = [...lines.keys()].filter(
    (index) =>
      PASSING.test(lines[index] ?? '') &&
      (lines[index - 1] ?? '') === '' &&
      /^(?: {2}\d+ (?:pending|failing))?$/.test(lines[index + 1] ?? ''),
  );
  return ends.map((end, run) => read(lines.slice(ends[run - 1] ?? 0, end), lines.slice(end, ends[run + 1])));
};

function read(tree: readonly string[], epilogue: readonly string[]): Summary {
  const totals = epilogue.slice(0, 3).join('\n');
  const failed = count(totals, /^ {2}(\d+) failing$/m);
  return {
    runner: 'mocha',
    passed: count(totals, /^ {2}(\d+) passing \(/m),
    failed,
    skipped: count(totals, /^ {2}(\d+) pending$/m),
    failures: failed === 0 ? [] : failuresIn(epilogue),
    ...treeOf(tree),
  };
}

/** `  1) suite`, `       test:`: a failure's name is spread over indented lines, the last of which ends with `:`. */
function failuresIn(lines: readonly string[]): string[] {
  const found: string[] = [];
  for (const [index, line] of lines.entries()) {
    const first = /^ {2}\d+\) (.*)$/.exec(line)?.[1];
    if (first === undefined) continue;
    const parts = [first];
    for (let next = index + 1; !(parts.at(-1) ?? '').endsWith(':') && /^ {3}/.test(lines[next] ?? ''); next++)
      parts.push((lines[next] ?? '').trim());
    found.push(parts.join(' > ').replace(/:$/, ''));
  }
  return found;
}

function treeOf(lines: readonly string[]): Pick<Summary, 'passes' | 'skips'> {
  const [passes, skips]: [string[], string[]] = [[], []];
  const tree = new Tree();
  for (const line of lines) {
    const indent = indentOf(line);
    if (line === '' || indent < 2) continue;
    const mark = /^ +(✔|✓|-|\d+\)) (.*?)(?: \(\d+ms\))?$/.exec(line);
    if (mark === null) tree.open(indent, line.trim());
    else if (mark[1] === '-') skips.push(tree.at(indent).path(mark[2] ?? ''));
    else if (!mark[1]?.endsWith(')')) passes.push(tree.at(indent).path(mark[2] ?? ''));
  }
  return names(passes, skips);
}
