import { count, names, type Parser, runsIn, type Summary, unique } from './model.ts';

const TESTS = /^ +Tests {2}(?:no tests|\d.*\(\d+\))$/;
const FILES = /^ Test Files {2}(?:no tests|\d.*\(\d+\))$/;

/** vitest 3 to 5: `Test Files` and `Tests  1 failed | 3 passed (5)` on top of each other; failures as ` FAIL  …`. */
export const vitest: Parser = (lines) =>
  runsIn(lines, (index) => TESTS.test(lines[index] ?? '') && FILES.test(lines[index - 1] ?? '')).map(read);

function read(lines: readonly string[]): Summary {
  const tests = lines.at(-1) ?? '';
  const failed = lines.filter((line) => line.startsWith(' FAIL  ')).map((line) => unlabelled(line.slice(7)));
  const suites = count(lines.find((line) => /^⎯+ Failed Suites \d+ ⎯+$/.test(line)) ?? '', /Failed Suites (\d+)/);
  return {
    runner: 'vitest',
    passed: count(tests, /(\d+) passed/),
    failed: count(tests, /(\d+) failed/) + suites,
    skipped: count(tests, /(\d+) skipped/) + count(tests, /(\d+) todo/),
    failures: unique(failed),
    ...names(marked(lines, '✓'), marked(lines, '↓')),
    ...filesOf(lines),
  };
}

/** Without the name of the project, which stands before the file where there are several: ` unit  file` or `|unit| file`. */
const unlabelled = (text: string): string => text.replace(/^(?: \S+ {2}|\|[^|]+\| )/, '');

/** ` ✓ file > suite > test 1ms`: the verbose reporter names every test. */
const marked = (lines: readonly string[], mark: string): string[] =>
  lines
    .filter((line) => line.startsWith(` ${mark} `) && line.includes(' > '))
    .map((line) =>
      unlabelled(line.slice(3))
        .replace(/ \d+ms$/, '')
        .replace(/ \(retry x\d+\)$/, ''),
    );

/** ` ✓ file (4 tests | 1 skipped) 6ms`: the others count by file. */
function filesOf(lines: readonly string[]): Pick<Summary, 'files'> {
  const files = new Map<string, number>();
  for (const line of lines) {
    const match = /^ [✓❯↓×] (.*) \((\d+) tests?( \| [^()]*)?\)(?: \d+ms)?$/.exec(line);
    if (match === null) continue;
    const file = unlabelled(match[1] ?? '');
    files.set(file, (files.get(file) ?? 0) + Number(match[2]) - count(match[3] ?? '', /(\d+) skipped/));
  }
  return files.size === 0 ? {} : { files: Object.fromEntries(files) };
}
