import { describe, expect, it } from 'vitest';
import { exitOfOutcome } from '../../src/errors.ts';
import { type Ending, explain, type NextCall, nextCommands, outcomeOf } from '../../src/run/outcome.ts';
import type { Check, Verdict } from '../../src/verify/compare.ts';

const after: Check = { command: 'npm test', expect: 0, baselineFails: false, code: 0, timedOut: false, durationMs: 1 };
const row = (verdict: Verdict) => ({ command: 'npm test', verdict, before: undefined, after, newlyFailing: [] });
const words = 'Done.';
const ending: Ending = {
  cancelled: false,
  attempt: { outcome: undefined, words },
  review: false,
  changed: true,
  rows: [row('passing')],
  violations: 0,
};

describe('the outcome of a run', () => {
  const blocked = '{"status":"blocked","result":{},"question":"which?"}';
  it.each<[string, Partial<Ending>]>([
    ['succeeded', {}],
    ['cancelled', { cancelled: true, attempt: { outcome: 'deadline', words } }],
    ['deadline', { attempt: { outcome: 'deadline', words }, changed: false }],
    ['blocked', { attempt: { outcome: undefined, words: blocked }, changed: false }],
    ['no-changes', { changed: false, violations: 1 }],
    ['verification-failed', { rows: [row('newly-failing')], violations: 1 }],
    ['out-of-scope', { rows: [], violations: 1 }],
    ['unverified', { rows: [] }],
    ['unverified', { rows: [row('already-failing'), row('not-run')] }],
    ['succeeded', { review: true, changed: false, rows: [] }],
    ['out-of-scope', { review: true }],
    ['no-changes', { review: true, changed: false, attempt: { outcome: undefined, words: '' } }],
  ])('is %s', (outcome, more) => {
    expect(outcomeOf({ ...ending, ...more })).toBe(outcome);
  });

  it('unverified has exit code 11, and says what could not say yes', () => {
    expect(exitOfOutcome('unverified')).toBe(11);
    expect(explain('unverified', undefined, 1, [row('already-failing')])).toMatch(/npm test \(already-failing\)/);
    expect(explain('unverified', undefined, 1, [])).toMatch(/names no verification command/);
  });
});

describe('what can be done next', () => {
  const call: NextCall = {
    outcome: 'succeeded',
    run: 'r',
    branch: 'kimi/r',
    changed: true,
    failure: undefined,
    rounds: 0,
  };
  it('with an unverified run is to look and merge it as such, never by force', () => {
    const next = nextCommands({ ...call, outcome: 'unverified' });
    expect(next.slice(0, 2)).toEqual(['kimi-dispatch diff r', 'kimi-dispatch merge r --unverified']);
    expect(next.join(' ')).not.toContain('--force');
  });
  it('with paths that were not declared is to allow them', () => {
    expect(nextCommands({ ...call, outcome: 'out-of-scope' })).toContain('kimi-dispatch allow r PATH...');
  });
  it('with fewer tests is to allow their files', () => {
    const next = nextCommands({ ...call, outcome: 'verification-failed', rows: [row('fewer-tests')] });
    expect(next).toContain('kimi-dispatch allow r --tests FILE');
  });
  it('with a review is never a merge', () => {
    for (const outcome of ['succeeded', 'out-of-scope', 'verification-failed'] as const)
      expect(nextCommands({ ...call, outcome, review: true, rounds: 9 }).join(' ')).not.toContain('merge');
  });
});
