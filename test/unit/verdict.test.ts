import { describe, expect, it } from 'vitest';
import { type Around, type Check, compare, type Verdict, verdictOfRows } from '../../src/verify/compare.ts';
import { confirmRed, settle } from '../../src/verify/settle.ts';
import type { Summary } from '../../src/verify/summary.ts';

const summary = (passes: string[], failures: string[] = [], more: Partial<Summary> = {}): Summary => ({
  runner: 'vitest',
  passed: passes.length,
  failed: failures.length,
  skipped: 0,
  failures,
  passes,
  ...more,
});
const totals = (passed: number, failed = 0): Summary => ({
  runner: 'pytest',
  passed,
  failed,
  skipped: 0,
  failures: [],
});
const check = (code: number | null, found?: Summary, more: Partial<Check> = {}): Check => {
  const plain = { command: 'npm test', expect: 0, baselineFails: false, code, timedOut: false, durationMs: 1 };
  return { ...plain, summary: found, ...more };
};
const green = (passes: string[]): Check => check(0, summary(passes));
const one = (before: Check | undefined, after: Check, around?: Around) =>
  compare(before === undefined ? undefined : [before], [after], around)[0];

describe('tests that no longer run', () => {
  const [a, b, c] = ['a.test.ts > x', 'a.test.ts > y', 'b.test.ts > z'] as const;

  it('are named with both counts', () => {
    const row = one(green([a, b, c]), green([a]));
    expect(row).toMatchObject({
      verdict: 'fewer-tests',
      why: '3 tests ran before, 1 now: a.test.ts > y, b.test.ts > z no longer run',
    });
  });

  const excused: [string, string[], string[], Around][] = [
    ['their file is declared as deleted', [a, c], [a], { deleted: ['b.test.ts'] }],
    ['their folder is declared as deleted', [a, 'old/b.test.ts > z'], [a], { deleted: ['old/'] }],
    ['the runner names the file from its package', [a, c], [a], { deleted: ['packages/one/b.test.ts'] }],
    ['they were renamed in their file', [a, b], [a, 'a.test.ts > why'], {}],
    ['their file was renamed', [a, c], [a, 'd.test.ts > z'], { renamed: [['b.test.ts', 'd.test.ts']] }],
    ['a person allowed it', [a, c], [a], { allowedTests: ['b.test.ts'] }],
    ['only a number in the name differs', ['a > port 8123', 'a > q'], ['a > port 9001', 'a > q'], {}],
    ['only a temporary path differs', ['a > in /tmp/x1'], ['a > in /tmp/zz'], {}],
  ];
  it.each(excused)('are excused when %s', (_, before, after, around) => {
    expect(one(green(before), green(after), around)?.verdict).toBe('passing');
  });

  const counted: [string, Check, Check, Around][] = [
    ['another file is declared as deleted', green([a, c]), green([a]), { deleted: ['c.test.ts'] }],
    ['they moved to a file that git does not call renamed', green([a, c]), green([a, 'd.test.ts > z']), {}],
    ['they are skipped now', green([a, b]), check(0, summary([a], [], { skipped: 1, skips: [b] })), {}],
    ['one of two with like names is gone', green(['a > case 1', 'a > case 2']), green(['a > case 1']), {}],
    ['the red one was deleted to be green', check(1, summary([a], [b])), green([a]), {}],
    ['only the total fell', check(0, totals(9)), check(0, totals(8)), {}],
    ['the runner printed nothing', green([a]), check(0), {}],
    ['the runner changed', green([a]), check(0, { ...totals(1) }), {}],
    ['none is left', green([a]), check(0, summary([])), {}],
    ['others were red before', check(1, summary([a, b], [c])), check(1, summary([a], [c])), {}],
  ];
  it.each(counted)('count when %s', (_, before, after, around) => {
    expect(one(before, after, around)?.verdict).toBe('fewer-tests');
  });

  it('are counted by file where they have no names', () => {
    const files = (found: Record<string, number>, passed: number): Check =>
      check(0, { ...totals(passed), files: found });
    const [before, after] = [files({ 'a.test.ts': 4, 'b.test.ts': 2 }, 6), files({ 'a.test.ts': 4 }, 4)];
    expect(one(before, after)?.why).toBe('6 tests ran before, 4 now: b.test.ts no longer runs');
    expect(one(before, after, { deleted: ['b.test.ts'] })?.verdict).toBe('passing');
  });

  it('are never success when none is left, also where that is allowed', () => {
    const row = one(green([a]), check(0, summary([])), { allowedTests: ['a.test.ts'] });
    expect(row?.verdict).toBe('no-witness');
  });
});

describe('one command', () => {
  const selective = { command: 'npx vitest run --changed' };
  const cases: [string, Check | undefined, Check, Verdict][] = [
    ['new failures under exit code 0', green(['a', 'b']), check(0, summary(['a'], ['b'])), 'newly-failing'],
    ['failures under exit code 0 without a baseline', undefined, check(0, summary(['a'], ['b'])), 'newly-failing'],
    [
      'a suite that does not load',
      green(['a']),
      check(1, summary(['a'], ['b.test.ts [ b.test.ts ]'])),
      'newly-failing',
    ],
    ['no program on both sides', check(127), check(127), 'not-run'],
    ['no permission on both sides', check(126), check(126), 'not-run'],
    ['no program any more', check(1), check(127), 'newly-failing'],
    ['a program that is there now and says no', check(127), check(1), 'newly-failing'],
    ['a program that is there now and says yes', check(127), check(0), 'newly-passing'],
    ['a refused host', check(0), check(1, undefined, { denied: ['h'] }), 'sandbox-denied'],
    ['a refused host where it was red', check(1), check(1, undefined, { denied: ['h'] }), 'already-failing'],
    ['a selective command', check(0, totals(9), selective), check(0, totals(2), selective), 'no-witness'],
    ['no test on both sides', check(0, totals(0)), check(0, totals(0)), 'no-witness'],
    [
      'a time-out on both sides',
      check(null, undefined, { timedOut: true }),
      check(null, undefined, { timedOut: true }),
      'already-failing',
    ],
  ];
  it.each(cases)('%s', (_, before, after, verdict) => {
    expect(one(before, after)?.verdict).toBe(verdict);
  });

  it('that was declared to fail on the base and passes there is said', () => {
    expect(one(check(0), check(0, undefined, { baselineFails: true }))?.why).toMatch(/it passed there/);
  });
});

describe('all commands', () => {
  const row = (verdict: Verdict, after = check(0)) => ({ verdict, after });
  it.each<[string, Verdict[], string]>([
    ['no command', [], 'unverified'],
    ['everything was red', ['already-failing', 'already-failing'], 'unverified'],
    ['nothing could start', ['not-run'], 'unverified'],
    ['no witness', ['no-witness'], 'unverified'],
    ['one yes beside a red one', ['already-failing', 'passing'], 'verified'],
    ['a flaky one', ['flaky'], 'verified'],
    ['fewer tests beside a yes', ['passing', 'fewer-tests'], 'failed'],
  ])('%s', (_, verdicts, all) => {
    expect(verdictOfRows(verdicts.map((verdict) => row(verdict)))).toBe(all);
  });
  it('a declared failure that is still red fails', () => {
    expect(verdictOfRows([row('already-failing', check(1, undefined, { baselineFails: true }))])).toBe('failed');
  });
});

describe('a second look', () => {
  const look = async (before: Check, after: Check, again: Partial<Record<'before' | 'after', Check>>) =>
    (await settle({ before: [before], after: [after], again: async (_, side) => again[side] }))[0];

  it('calls a failure that does not come back flaky', async () => {
    const row = await look(green(['a']), check(1, summary([], ['a'])), { after: green(['a']) });
    expect(row).toMatchObject({ verdict: 'flaky', why: 'failed once and passed when run again: a' });
  });
  it('keeps a failure that comes back', async () => {
    const red = check(1, summary([], ['a']));
    expect((await look(green(['a']), red, { after: red }))?.verdict).toBe('newly-failing');
  });
  it('keeps a failure that cannot be looked at again', async () => {
    expect((await look(green(['a']), check(1), {}))?.verdict).toBe('newly-failing');
  });
  it('keeps missing tests that are missing again', async () => {
    const [many, few] = [green(['a', 'b']), green(['a'])];
    expect((await look(many, few, { before: many, after: few }))?.verdict).toBe('fewer-tests');
  });
  it('calls a number of tests that differs from run to run flaky', async () => {
    const [many, few] = [green(['a', 'b']), green(['a'])];
    expect((await look(many, few, { before: few, after: few }))?.verdict).toBe('flaky');
  });
  it('does not run again what passed', async () => {
    const seen: string[] = [];
    const again = async (_: number, side: string) => void seen.push(side) as undefined;
    await settle({ before: [green(['a'])], after: [green(['a'])], again });
    expect(seen).toEqual([]);
  });
  it('of a red baseline takes the second answer, and none of what was declared red', async () => {
    const declared = check(1, undefined, { baselineFails: true });
    expect(await confirmRed([check(1), declared, check(127)], async () => check(0))).toEqual([
      check(0),
      declared,
      check(127),
    ]);
  });
});
