import { describe, expect, it } from 'vitest';
import * as pure from '../../mod/pure.ts';
import { readAnswer, withNote } from '../../src/hook/answer.ts';

const RUN = {
  run: '260101-0101-abcde',
  state: 'ended',
  title: 'Polite',
  at: 'Gate',
  step: 3,
  limit: 100,
  seconds: 83,
  tokens: 41_000,
  tasks: [],
  end: 't1',
  outcome: 'succeeded',
  summary: '1 of 1 checks pass; 3 files, +4 -1',
  commit: 'a'.repeat(40),
} as const;
const working = { ...RUN, tasks: [], state: 'working', at: 'step 3/100 · Write src/a.ts' } as const;

describe('the band', () => {
  it('a run at work: step of limit, tool, time, tokens', () =>
    expect(pure.head({ ...working, tasks: [] })).toBe(
      'Kimi: Polite · step 3/100 · Write src/a.ts · 1 min 23 s · 41k tokens',
    ));
  it('a run that ended: outcome, checks, size', () =>
    expect(pure.head({ ...RUN, tasks: [] })).toBe('Kimi: Polite · succeeded · 1 of 1 checks pass; 3 files, +4 -1'));

  it.each([
    ['succeeded', ['merge', 'back', 'discard', 'diff']],
    ['unverified', ['merge', 'back', 'discard', 'diff']],
    ['verification-failed', ['back', 'discard', 'diff']],
    ['blocked', ['back', 'discard', 'diff']],
  ])('buttons of %s', (outcome, has) => expect(pure.buttons({ ...RUN, tasks: [], outcome })).toEqual(has));
  it('a run at work has none, and one without a change cannot be merged', () => {
    expect(pure.buttons({ ...working, tasks: [] })).toEqual([]);
    const { commit: _none, ...rest } = RUN;
    expect(pure.buttons({ ...rest, tasks: [] })).toEqual(['back', 'discard']);
  });

  it('Merge takes the commit and the branch that were shown', () => {
    const tied = ['merge', RUN.run, '--commit', RUN.commit, '--onto', 'main'];
    expect(pure.commandOf('merge', { ...RUN, tasks: [] }, 'main')).toEqual(tied);
    expect(pure.commandOf('merge', { ...RUN, tasks: [], outcome: 'unverified' }, 'main').at(-1)).toBe('--unverified');
  });
  it('a run that asks is answered, any other sent back', () => {
    expect(pure.backCommand({ ...RUN, tasks: [], outcome: 'blocked' }, 'yes')[0]).toBe('answer');
    expect(pure.backCommand({ ...RUN, tasks: [] }, 'say please')[2]).toBe('--finding=say please');
  });
  it('an end wakes once; another end of the same run wakes again', () => {
    const run = { ...RUN, tasks: [] };
    const seen = new Set([pure.keyOf(run)]);
    expect(pure.newlyEnded([run], seen)).toEqual([]);
    expect(pure.newlyEnded([{ ...run, end: 't2' }], seen)).toHaveLength(1);
  });
});

describe('what a model may not', () => {
  it.each([
    'kimi-dispatch merge @last',
    'cd /x && kimi-dispatch discard 26',
    '"/a/bin/kimi-dispatch" undo x',
    'node kimi-dispatch.js merge x',
  ])('%s', (command) => expect(pure.decides(command)).toBe(true));
  it.each(['kimi-dispatch show merge', 'git merge kimi/x', 'kimi-dispatch diff @last'])('%s is no merge', (command) =>
    expect(pure.decides(command)).toBe(false),
  );
});

describe('the answer', () => {
  it.each([
    ['Kimi', { who: 'kimi' }],
    ['kimi, please', { who: 'kimi' }],
    ['Delegate to Kimi', { who: 'kimi' }],
    ['kimi, swarm profile', { who: 'kimi', profile: 'swarm' }],
    ['Kimi with the moderato profile', { who: 'kimi', profile: 'moderato' }],
    ['kimi but keep the API', { who: 'kimi', note: 'keep the API' }],
    ['kimi, swarm profile, and keep the API', { who: 'kimi', profile: 'swarm', note: 'keep the API' }],
    ['Claude', { who: 'claude' }],
    ['claude, go on', { who: 'claude' }],
    ['neither', { who: 'nobody' }],
    ['', { who: 'nobody' }],
  ])('%s', (words, answer) => expect(readAnswer(words)).toEqual(answer));

  it("the user's words about the plan are a constraint of it", () =>
    expect(withNote('# P\n', 'keep\nit')).toBe('# P\n\n## Constraints\n- The user adds: keep it\n'));
});

it('a diff is shown by file, in the order of risk', () => {
  const one = (path: string): string =>
    `diff --git a/${path} b/${path}\n--- a/${path}\n+++ b/${path}\n@@ -1 +1 @@\n-a\n+b\n`;
  const files = pure.filesOf(`${one('a b.ts')}${one('z.ts')}`);
  expect(files.map(({ path }) => path)).toEqual(['a b.ts', 'z.ts']);
  const order = pure.rankingOf('Changes: 2 files\n  M z.ts +1 -1  GATE: x\n  A a b.ts +1 -0\n');
  expect(pure.ranked(files, order).map(({ path }) => path)).toEqual(['z.ts', 'a b.ts']);
  expect(files[0]?.hunks).toBe('@@ -1 +1 @@\n-a\n+b\n');
});

it("names Claude's own windows where the client knows them", () => {
  expect(pure.windows([{ kind: 'five_hour', percentUsed: 62.6 }])).toBe("Claude's 5 hours 63% used");
  expect(pure.windows([])).toBe('');
});
