import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Check, compare, verified } from '../../src/verify/compare.ts';
import { summarise } from '../../src/verify/summary.ts';
import { splitCommand } from '../../src/verify/words.ts';

const fixture = (name: string): string => readFileSync(new URL(`../fixtures/runners/${name}`, import.meta.url), 'utf8');

// Captured from the real runners: vitest 5.1 and 3.2, jest 30, mocha 12, node 20 to 24, pytest 7 and 9, go 1.19, cargo 1.95.
const TABLE: [string, string, number, number, number, RegExp | undefined][] = [
  ['vitest-fail.txt', 'vitest', 3, 1, 1, /rounds the quotient/],
  ['vitest-load-error.txt', 'vitest', 2, 2, 2, /^test\/broken\.test\.js/],
  ['vitest-two-runs.txt', 'vitest', 4, 0, 2, undefined],
  ['vitest-pass.txt', 'vitest', 5, 0, 0, undefined],
  ['vitest-color.txt', 'vitest', 3, 1, 1, /rounds the quotient/],
  ['vitest-verbose-fail.txt', 'vitest', 3, 1, 1, /rounds the quotient/],
  ['vitest3-fail.txt', 'vitest', 3, 1, 1, /rounds the quotient/],
  ['jest-fail.txt', 'jest', 3, 1, 1, /rounds the quotient/],
  ['jest-pass.txt', 'jest', 5, 0, 0, undefined],
  ['jest-verbose-fail.txt', 'jest', 3, 1, 1, /rounds the quotient/],
  ['mocha-fail.txt', 'mocha', 3, 1, 1, /math > divide > rounds the quotient/],
  ['mocha-pass.txt', 'mocha', 5, 0, 0, undefined],
  ['node22-test-tap-fail.txt', 'node:test', 3, 1, 1, /^math > divide > rounds the quotient$/],
  ['node22-test-tap-pass.txt', 'node:test', 5, 0, 0, undefined],
  ['node22-test-spec-fail.txt', 'node:test', 3, 1, 1, /^math > divide > rounds the quotient$/],
  ['node22-test-spec-pass.txt', 'node:test', 5, 0, 0, undefined],
  ['node-test-tap-fail.txt', 'node:test', 3, 1, 1, /^math > divide > rounds the quotient$/],
  ['node24-test-tap-odd.txt', 'node:test', 3, 1, 2, /^test\/b\.test\.mjs$/],
  ['node24-test-spec-odd.txt', 'node:test', 3, 1, 2, /^test\/b\.test\.mjs$/],
  ['pytest-fail.txt', 'pytest', 3, 1, 1, /test_math.py::TestMath::test_rounds_the_quotient/],
  ['pytest-pass.txt', 'pytest', 5, 0, 0, undefined],
  ['pytest-q-fail.txt', 'pytest', 3, 1, 1, /test_rounds_the_quotient/],
  ['pytest-v-fail.txt', 'pytest', 3, 1, 1, /test_rounds_the_quotient/],
  ['pytest-none-found.txt', 'pytest', 0, 0, 0, undefined],
  ['pytest-spaces.txt', 'pytest', 4, 2, 0, /^test_names\.py::test_word\[c - d\]$/],
  ['pytest-load-error.txt', 'pytest', 0, 1, 0, /^test_load\.py$/],
  ['go-fail.txt', 'go test', 1, 1, 0, /^TestDiv\/quotient$/],
  ['go-pass.txt', 'go test', 2, 0, 0, undefined],
  ['go-pass-cached.txt', 'go test', 2, 0, 0, undefined],
  ['go-buildfail.txt', 'go test', 1, 1, 0, /textx/],
  ['go-v-fail.txt', 'go test', 3, 1, 1, /^TestDiv\/quotient$/],
  ['cargo-fail.txt', 'cargo test', 2, 1, 1, /^tests::quotient$/],
  ['cargo-pass.txt', 'cargo test', 5, 0, 0, undefined],
  ['cargo-fail-no-fail-fast.txt', 'cargo test', 3, 1, 1, /^tests::quotient$/],
  ['cargo-q-fail.txt', 'cargo test', 2, 1, 1, /^tests::quotient$/],
  ['junit-vitest.xml', 'junit', 3, 1, 1, /rounds the quotient/],
  ['junit-pytest.xml', 'junit', 3, 1, 1, /test_rounds_the_quotient/],
  ['junit-vitest-pass.xml', 'junit', 5, 0, 0, undefined],
];

describe('summaries of real runners', () => {
  it.each(TABLE)('%s', (file, runner, passed, failed, skipped, name) => {
    const summary = summarise(fixture(file));
    expect(summary).toMatchObject({ runner, passed, failed, skipped });
    expect(summary?.failures).toHaveLength(failed);
    if (name !== undefined) expect(summary?.failures[0]).toMatch(name);
  });

  it.each(['cargo-buildfail.txt', 'vitest-none-found.txt', 'jest-none-found.txt'])(
    '%s is only an exit code',
    (file) => {
      expect(summarise(fixture(file))).toBeUndefined();
    },
  );
});

describe('names of the tests that passed', () => {
  const NAMED: [string, string][] = [
    ['vitest-verbose-fail.txt', 'test/math.test.js > math > add > adds small numbers'],
    ['jest-verbose-fail.txt', 'test/math.test.js > math › add › adds small numbers'],
    ['mocha-fail.txt', 'math > add > adds small numbers'],
    ['node22-test-tap-fail.txt', 'math > add > adds small numbers'],
    ['node22-test-spec-fail.txt', 'math > add > adds small numbers'],
    ['pytest-v-fail.txt', 'tests/test_math.py::TestMath::test_adds_small_numbers'],
    ['pytest-spaces.txt', 'test_names.py::test_word[a b]'],
    ['go-v-fail.txt', 'TestAdd/small_numbers'],
    ['cargo-fail-no-fail-fast.txt', 'tests::adding::negative_numbers'],
    ['junit-vitest.xml', 'test/math.test.js > math > add > adds small numbers'],
  ];
  it.each(NAMED)('%s lists them all', (file, name) => {
    const summary = summarise(fixture(file));
    expect(summary?.passes).toContain(name);
    expect(summary?.passes).toHaveLength(summary?.passed ?? -1);
  });

  it('are counted by file where vitest folds them', () => {
    expect(summarise(fixture('vitest-pass.txt'))?.files).toEqual({ 'test/math.test.js': 4, 'test/text.test.js': 1 });
  });
});

describe('several runs in one output', () => {
  const run = fixture('vitest-pass.txt');
  it('of packages that print in between each other are told apart by their prefix', () => {
    const [left, right] = ['a', 'b'].map((name) => run.split('\n').map((line) => `packages/${name} test: ${line}`));
    const mixed = (left ?? []).flatMap((line, index) => [line, right?.[index] ?? '']).join('\n');
    expect(summarise(mixed)).toMatchObject({ passed: 10, files: { 'test/math.test.js': 8 } });
  });
  it('of two runners are one summary with both names', () => {
    expect(summarise(run + fixture('pytest-pass.txt'))).toMatchObject({ runner: 'vitest, pytest', passed: 10 });
  });
});

describe('what merely looks like a runner', () => {
  it.each([
    'Tests  3 passed (3)',
    'Tests:       3 passed, 3 total',
    '# tests 3\n# pass 3',
    'test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured',
    '3 passed in 0.1s',
    '  3 passing (2ms) of the rows',
    'ok  all of it',
    'a page with <testsuite in it',
  ])('%j is no summary', (output) => {
    expect(summarise(`working\n${output}\ndone\n`)).toBeUndefined();
  });
});

const check = (code: number | null, failures: string[] | undefined, more: Partial<Check> = {}): Check => ({
  command: 'npm test',
  expect: 0,
  baselineFails: false,
  code,
  timedOut: false,
  durationMs: 1,
  summary:
    failures === undefined
      ? undefined
      : { runner: 'vitest', passed: 4 - failures.length, failed: failures.length, skipped: 0, failures },
  ...more,
});

describe('before and after', () => {
  const cases: [string, Check | undefined, Check, string, boolean][] = [
    ['green stays green', check(0, []), check(0, []), 'passing', true],
    ['red turns green', check(1, ['a']), check(0, []), 'newly-passing', true],
    ['green turns red', check(0, []), check(1, ['a']), 'newly-failing', false],
    ['the same test is red', check(1, ['a']), check(1, ['a']), 'already-failing', true],
    ['another test is red', check(1, ['a']), check(1, ['b']), 'newly-failing', false],
    ['the summary is lost', check(1, ['a']), check(1, undefined), 'newly-failing', false],
    ['no baseline, red', undefined, check(1, undefined), 'newly-failing', false],
    ['no exit code is never success', undefined, check(null, []), 'newly-failing', false],
    [
      'declared baseline fail, still red',
      check(1, ['a']),
      check(1, ['a'], { baselineFails: true }),
      'already-failing',
      false,
    ],
  ];
  it.each(cases)('%s', (_, before, after, verdict, success) => {
    const rows = compare(before === undefined ? undefined : [before], [after]);
    expect(rows[0]?.verdict).toBe(verdict);
    expect(verified(rows)).toBe(success);
  });
});

describe('the words of a command', () => {
  it('splits quotes and keeps variables for the program', () => {
    expect(splitCommand(`CI=1 npx vitest run 'a b.test.ts' "c d"`)).toEqual({
      env: { CI: '1' },
      argv: ['npx', 'vitest', 'run', 'a b.test.ts', 'c d'],
    });
    expect(splitCommand('go test ./...')).toEqual({ env: {}, argv: ['go', 'test', './...'] });
  });
  it.each(['a && b', 'a | b', 'a > f', 'echo $HOME', 'ls *.ts', 'echo `id`', '$(id)', 'cat ~/x', ''])(
    '%j needs a shell',
    (text) => {
      expect(splitCommand(text)).toHaveProperty('needsShell');
    },
  );
});
