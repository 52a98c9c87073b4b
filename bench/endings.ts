// Kills of merge, undo and discard: around each git that they start, and at moments spread over their time.
import type { Violation } from '../test/helpers/model/laws.ts';
import type { Kill, Script, Step } from '../test/helpers/model/script.ts';
import { playScript, type Story } from '../test/helpers/model.ts';

const write = (path: string) => ({
  do: 'write' as const,
  path,
  to: path,
  text: 'plain' as const,
  declared: true,
  commit: false,
});
const run: Step = {
  do: 'run',
  work: [write('a.txt'), write('src/b.txt'), { ...write('run.sh'), do: 'delete' }, write('new/f.txt')],
};
const user = (act: Extract<Step, { do: 'user' }>['act'], path: string): Step => ({ do: 'user', act, path });
const merge: Step = { do: 'merge', flag: '' };
/** What goes before the command that is killed. */
const WAYS = {
  merge: [run, user('hand-edit', 'ü.txt'), user('edit', 'note.log')],
  undo: [run, merge, user('edit', 'note.log'), user('stage', 'sp ace.txt')],
  discard: [run, user('hand-edit', 'ü.txt'), user('hand-commit', 'lib/d.js')],
} as const;
type Command = keyof typeof WAYS;
export const COMMANDS = Object.keys(WAYS) as Command[];

const WORLD = {
  tracked: ['a.txt', 'src/b.txt', 'run.sh', 'sp ace.txt', 'ü.txt'],
  traits: ['gitignore', 'half-staged', 'untracked', 'stash', 'branches'],
} as const satisfies Omit<Script, 'steps'>;

const scriptOf = (command: Command, kill: Kill): Script => {
  const killed: Step = command === 'merge' ? { ...merge, kill } : { do: command, kill };
  const then: Step = command === 'merge' ? merge : { do: command };
  return { ...WORLD, steps: [...WAYS[command], killed, then] };
};

/** More git calls than any of the commands makes. */
const MOST = 80;
const STEP_MS = 20;

async function around(command: Command, when: 'before' | 'during' | 'after', each: Each): Promise<void> {
  for (let call = 1; call <= MOST; call++) if (!(await each(command, { git: call, when }))) return;
}

/** From the first moment on, until the command ends before it is killed. */
async function spread(command: Command, children: boolean, each: Each): Promise<void> {
  for (let ms = 60; await each(command, { ms, children }); ms += STEP_MS) {
    // The next moment.
  }
}

/** Kills once; false when the command had ended before. */
type Each = (command: Command, kill: Kill) => Promise<boolean>;

export interface Endings {
  readonly tried: Readonly<Record<Command, number>>;
  readonly wrong: readonly { readonly violation: Violation; readonly story: Story }[];
}

/** Kills each command at each step, recovers, and does it again; two at a time. */
export async function killEndings(): Promise<Endings> {
  const tried = { merge: 0, undo: 0, discard: 0 };
  const wrong: { violation: Violation; story: Story }[] = [];
  const each: Each = async (command, kill) => {
    const story = await playScript(scriptOf(command, kill));
    if (story.killed > 0) tried[command] += 1;
    wrong.push(...story.violations.map((violation) => ({ violation, story })));
    return story.killed > 0;
  };
  const jobs = COMMANDS.flatMap((command) => [
    ...(['before', 'during', 'after'] as const).map((when) => () => around(command, when, each)),
    ...[true, false].map((children) => () => spread(command, children, each)),
  ]);
  const lane = async (): Promise<void> => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
  };
  await Promise.all([lane(), lane()]);
  return { tried, wrong };
}
