import { expect, it } from 'vitest';
import type { Step } from '../helpers/model/script.ts';
import { playScript } from '../helpers/model.ts';

const write = (path: string) =>
  ({ do: 'write', path, to: path, text: 'plain', declared: true, commit: false }) as const;
const merge = (git: string, when: 'before' | 'after'): Step => ({ do: 'merge', flag: '', kill: { git, when } });
const undo = (git: string, when: 'before' | 'after'): Step => ({ do: 'undo', kill: { git, when } });
const FORWARD = 'merge --ff-only';
const BACK = 'checkout --no-overwrite-ignore';
const BRANCH = 'update-ref -m kimi-dispatch: undo';
const HEAD = 'symbolic-ref -m kimi-dispatch: undo';
const whole: Step = { do: 'merge', flag: '' };

/** Each step after a kill is possible only if `recover`, which follows it, came to the end that it should. */
const STEPS: Step[] = [
  { do: 'run', work: [write('a.txt'), write('new/f.txt'), { ...write('run.sh'), do: 'delete' }] },
  { do: 'user', act: 'edit', path: 'note.log' },
  { do: 'user', act: 'stage', path: 'sp ace.txt' },
  merge(FORWARD, 'before'),
  merge(FORWARD, 'after'),
  undo(BACK, 'before'),
  undo(BACK, 'after'),
  whole,
  undo(BRANCH, 'before'),
  whole,
  undo(BRANCH, 'after'),
  whole,
  undo(HEAD, 'after'),
  whole,
];

it('a merge or an undo that is killed around a git that moves something happens wholly or not at all', async () => {
  const tracked = ['a.txt', 'run.sh', 'sp ace.txt', 'ü.txt'];
  const story = await playScript({ tracked, traits: ['gitignore', 'half-staged', 'untracked'], steps: STEPS });
  const told = story.lines.join('\n');
  expect(story.violations, told).toEqual([]);
  expect(story.ends, told).toMatchObject({ 'merge killed': 2, 'undo killed': 5, 'recover 0': 7, 'merge 0': 4 });
});
