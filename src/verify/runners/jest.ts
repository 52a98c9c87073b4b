import { count, indentOf, names, type Parser, runsIn, type Summary, Tree, unique } from './model.ts';

const TESTS = /^Tests: {7}.*\d+ total$/;
const SUITES = /^Test Suites: .*\d+ total$/;

/** jest: `Test Suites:` above `Tests:       1 failed, 3 passed, 5 total`; failures as `  ● suite › test`. */
export const jest: Parser = (lines) =>
  runsIn(lines, (index) => TESTS.test(lines[index] ?? '') && SUITES.test(lines[index - 1] ?? '')).map(read);

function read(lines: readonly string[]): Summary {
  const tests = lines.at(-1) ?? '';
  const failures: string[] = [];
  const [passes, skips]: [string[], string[]] = [[], []];
  let file = '';
  let tree: Tree | undefined;
  for (const line of lines) {
    const head = /^(?:PASS|FAIL) (?:\S+ )?(\S+?)(?: \([\d.]+ m?s\))?$/.exec(line);
    if (head !== null) file = head[1] ?? '';
    if (line.startsWith('  ● ')) failures.push(`${file} > ${line.slice(4)}`);
    if (head !== null) tree = new Tree();
    else if (line === '' || line.startsWith('  ● ')) tree = undefined;
    if (head === null && tree !== undefined) branch(line, tree, { file, passes, skips });
  }
  const unloaded = failures.filter((name) => name.endsWith('Test suite failed to run'));
  return {
    runner: 'jest',
    passed: count(tests, /(\d+) passed/),
    failed: count(tests, /(\d+) failed/) + unique(unloaded).length,
    skipped: count(tests, /(\d+) skipped/) + count(tests, /(\d+) todo/),
    failures: unique(failures),
    ...names(passes, skips),
  };
}

/** One line of the tree that `--verbose` prints below a file. */
function branch(line: string, tree: Tree, to: { file: string; passes: string[]; skips: string[] }): void {
  const indent = indentOf(line);
  const mark = /^ +([✓✕○✎]) (?:skipped |todo )?(.*?)(?: \([\d.]+ m?s\))?$/.exec(line);
  if (mark === null) return tree.open(indent, line.trim());
  const name = tree
    .at(indent)
    .path(mark[2] ?? '')
    .replaceAll(' > ', ' › ');
  if (mark[1] === '✓') to.passes.push(`${to.file} > ${name}`);
  else if (mark[1] !== '✕') to.skips.push(`${to.file} > ${name}`);
}
