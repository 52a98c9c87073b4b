import fc from 'fast-check';

/** Few paths, so that worker and user meet at the same ones. */
export const PATHS = [
  'a.txt',
  'src/b.txt',
  'src/deep/c.txt',
  'lib/d.js',
  'build/e.bin',
  'note.log',
  'sp ace.txt',
  '-dash.txt',
  'ü.txt',
  'run.sh',
  'new',
  'new/f.txt',
] as const;

export const TRAITS = [
  'gitignore',
  'autocrlf',
  'safecrlf',
  'sparse',
  'submodule',
  'stash',
  'branches',
  'half-staged',
  'untracked',
  'crlf',
  'link',
  'merge-squash',
  'autostash',
] as const;
export type Trait = (typeof TRAITS)[number];

const WORK = [
  'write',
  'write',
  'write',
  'delete',
  'rename',
  'chmod',
  'link',
  'fifo',
  'nested',
  'ignore',
  'commit',
] as const;
const USER = [
  ...([
    'edit',
    'edit',
    'edit-ignored',
    'edit-ignored',
    'stage',
    'remove',
    'commit',
    'commit-all',
    'ignore',
    'make-link',
  ] as const),
  ...(['switch', 'back', 'detach', 'reset', 'stash', 'amend', 'merge-begun', 'rebase-begun'] as const),
  ...(['hand-edit', 'hand-edit', 'hand-commit', 'hand-branch'] as const),
];
const MERGES = ['', '', '', '--no-ff', '--force', '--unverified'] as const;

/** What the worker does to one path. `declared` puts it into the spec of a run. */
export interface Work {
  readonly do: (typeof WORK)[number];
  readonly path: string;
  readonly to: string;
  readonly text: 'plain' | 'crlf' | 'mixed' | 'binary' | 'empty' | 'broken';
  readonly declared: boolean;
  readonly commit: boolean;
}

/** Where a command is killed: around its n-th git or the one with these arguments, or after so many milliseconds. */
export type Kill =
  | { readonly git: number | string; readonly when: 'before' | 'during' | 'after' }
  | { readonly ms: number; readonly children: boolean };

export type Step =
  | { readonly do: 'run' | 'revise'; readonly work: readonly Work[] }
  | { readonly do: 'merge'; readonly flag: string; readonly kill?: Kill }
  | { readonly do: 'undo' | 'discard'; readonly kill?: Kill }
  | { readonly do: 'recover' }
  | { readonly do: 'allow'; readonly path: string }
  | { readonly do: 'user'; readonly act: (typeof USER)[number]; readonly path: string };

/** A whole sequence as plain data: it can be printed, shortened and played again. */
export interface Script {
  readonly tracked: readonly string[];
  readonly traits: readonly Trait[];
  readonly steps: readonly Step[];
}

const path = fc.constantFrom(...PATHS);
const work = fc.array(
  fc.record<Work>({
    do: fc.constantFrom(...WORK),
    path,
    to: path,
    text: fc.constantFrom('plain', 'plain', 'plain', 'crlf', 'mixed', 'binary', 'empty', 'broken'),
    declared: fc.constantFrom(true, true, true, true, true, true, true, false),
    commit: fc.boolean(),
  }),
  { minLength: 1, maxLength: 4 },
);
/** A file that is written well: most runs have one, so that there is something to merge. */
const good = path.map(
  (name): Work => ({ do: 'write', path: name, to: name, text: 'plain', declared: true, commit: false }),
);
const run = fc.record({
  do: fc.constant('run' as const),
  work: fc.oneof(
    {
      weight: 3,
      arbitrary: fc.tuple(good, fc.option(work, { nil: [] })).map(([first, more]) => [first, ...more.slice(0, 2)]),
    },
    { weight: 1, arbitrary: work },
  ),
});
const user = fc.record({ do: fc.constant('user' as const), act: fc.constantFrom(...USER), path });
const merge = fc.record({ do: fc.constant('merge' as const), flag: fc.constantFrom(...MERGES) });
const undo = fc.record({ do: fc.constant('undo' as const) });
const discard = fc.record({ do: fc.constant('discard' as const) });
const users = fc.array(user, { maxLength: 2 });
const anything: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: user },
  { weight: 5, arbitrary: merge },
  { weight: 3, arbitrary: undo },
  { weight: 2, arbitrary: discard },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('revise' as const), work }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('recover' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('allow' as const), path }) },
  { weight: 1, arbitrary: run },
);
/** What follows a run: the usual way with acts of the user in between, or anything. */
const after: fc.Arbitrary<Step[]> = fc.oneof(
  fc.tuple(users, merge, users, undo, users, fc.oneof(merge, discard)).map((parts) => parts.flat()),
  fc.tuple(users, discard).map((parts) => parts.flat()),
  fc.array(anything, { minLength: 1, maxLength: 6 }),
);

/** Half of the user's acts meet the worker's paths. */
const meet = (steps: readonly Step[], paths: readonly string[]): Step[] =>
  steps.map((step, at) =>
    step.do === 'user' && at % 2 === 0 ? { ...step, path: paths[at % paths.length] ?? step.path } : step,
  );

/** Random sequences: a repository, something that the user did to it, a run, and what follows. */
export const scripts: fc.Arbitrary<Script> = fc
  .record({
    tracked: fc.subarray(
      PATHS.filter((name) => name !== 'new'),
      { minLength: 2 },
    ),
    traits: fc.uniqueArray(fc.constantFrom(...TRAITS), { maxLength: 4 }),
    before: users,
    first: run,
    after,
  })
  .map(({ tracked, traits, before, first, after }) => ({
    tracked,
    traits,
    steps: [
      ...before,
      first,
      ...meet(
        after,
        first.work.map((one) => one.path),
      ),
    ],
  }));

/** The script with one thing less, in every way there is. */
export function* shorter(script: Script): Generator<Script> {
  for (const [at, one] of [...script.steps.entries()].reverse()) {
    yield { ...script, steps: script.steps.toSpliced(at, 1) };
    if (!('work' in one) || one.work.length < 2) continue;
    for (const which of one.work.keys())
      yield { ...script, steps: script.steps.with(at, { ...one, work: one.work.toSpliced(which, 1) }) };
  }
  for (const at of script.traits.keys()) yield { ...script, traits: script.traits.toSpliced(at, 1) };
  if (script.tracked.length > 1)
    for (const at of script.tracked.keys()) yield { ...script, tracked: script.tracked.toSpliced(at, 1) };
}
