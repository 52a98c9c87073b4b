import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { combineSpecs } from '../../src/schedule/combine.ts';
import { dependants, schedule, showSchedule, specOfTask } from '../../src/schedule/waves.ts';
import { parseSpec } from '../../src/spec/parse.ts';
import { renderSpec } from '../../src/spec/render.ts';
import { Lab, shell } from '../helpers/repo.ts';

let lab: Lab | undefined;
afterEach(() => {
  lab?.remove();
  lab = undefined;
});

interface T {
  readonly head: string;
  readonly files: string[];
  readonly lines?: string[];
  readonly scenario?: string;
}
/** A spec of tasks: the scenario tells the fake what to do for each. */
const text = (tasks: T[], verify = '`test -f base.txt`'): string =>
  [
    '# Spec: 001 -- Many',
    '',
    '## Tasks',
    ...tasks.flatMap((task, index) => [
      `### Task ${index + 1}: ${task.head}`,
      ...(task.lines ?? []),
      'Files:',
      ...task.files.map((file) => `- ${file}`),
      'Requirements:',
      `- SCENARIO ${task.scenario ?? 'success'}`,
      '',
    ]),
    '## Verification',
    `- ${verify}`,
    '',
  ].join('\n');
const file = (name: string, more: Partial<T> = {}): T => ({
  head: `Make ${name} [INDEPENDENT]`,
  files: [`CREATE ${name}.txt`],
  scenario: `file ${name}`,
  ...more,
});
const run = async (tasks: T[], more: string[] = [], verify?: string) => {
  lab = new Lab({ 'base.txt': 'x\n' });
  writeFileSync(join(lab.folder, 'spec.md'), text(tasks, verify));
  const before = lab.snapshot();
  const ended = await lab.run(['run', '../spec.md', '--waves', ...more]);
  return { ...ended, before, lab };
};
/** When Kimi began and ended, over all tasks of a result, in order. */
const attemptsOf = (json: string): string[] => {
  const runs: string[] = JSON.parse(json).tasks.map((line: { run: string }) => line.run);
  const folder = join(lab?.repo ?? '', '.git', 'kimi-dispatch', 'runs');
  return runs
    .flatMap((id) =>
      readFileSync(join(folder, id, 'events.ndjson'), 'utf8')
        .trim()
        .split('\n'),
    )
    .map((line) => JSON.parse(line) as { t: string; type: string })
    .filter(({ type }) => type.startsWith('attempt-'))
    .sort((left, right) => left.t.localeCompare(right.t) || left.type.localeCompare(right.type))
    .map(({ type }) => type);
};
/** The most Kimis at work at one time. */
const mostAtOnce = (attempts: readonly string[]): number => {
  let [now, most] = [0, 0];
  for (const type of attempts) {
    now += type === 'attempt-started' ? 1 : -1;
    most = Math.max(most, now);
  }
  return most;
};
const parsed = (tasks: T[]) => parseSpec(text(tasks)).spec;

describe('the schedule', () => {
  it('is made of dependencies, shared paths, shared resources and the order of the text, each with its reason', () => {
    const spec = parsed([
      file('a'),
      file('b', { lines: ['Uses: port:3000'] }),
      file('c', { lines: ['Uses: port:3000'] }),
      { head: 'Change a', files: ['MODIFY a.txt'], lines: ['Depends on: 1'] },
      { head: 'Plain', files: ['CREATE p.txt'] },
    ]);
    const made = schedule(spec);
    expect(made.waves).toEqual([[1, 2], [3, 4], [5]]);
    expect(showSchedule(made)).toContain('task 3 after task 2: both use port:3000');
    expect(showSchedule(made)).toContain('task 4 after task 1: both write a.txt');
    expect(showSchedule(made)).toContain('task 5 after task 4: not marked [INDEPENDENT]');
    expect(dependants(made.edges, 1)).toEqual(new Set([4, 5]));
  });

  it('a case of letters is no way around a shared path', () => {
    expect(schedule(parsed([file('a'), file('A')])).waves).toEqual([[1], [2]]);
  });

  it('what is stated is never turned round by another reason', () => {
    const plain = (name: string, ...lines: string[]) => ({
      head: `Make ${name}`,
      files: [`CREATE ${name}.txt`],
      lines,
    });
    const [one, two, three] = [plain('a', 'Depends on: 3'), plain('b', 'Uses: port:1'), plain('c', 'Uses: port:1')];
    expect(schedule(parsed([plain('a', 'Depends on: 2'), plain('b')])).waves).toEqual([[2], [1]]);
    const made = schedule(parsed([one, { ...two, files: ['CREATE b.txt', 'DELETE a.txt'] }, three]));
    expect(made.waves).toEqual([[3], [1], [2]]);
    expect(showSchedule(made)).toContain('task 2 after task 1: both write a.txt');
    expect(showSchedule(made)).toContain('task 2 after task 3: both use port:1');
  });

  it('a rename is in the way at both of its names', () => {
    const rename = file('a', { files: ['DELETE old.txt', 'CREATE new.txt'] });
    for (const name of ['old', 'new'])
      expect(schedule(parsed([rename, file('b', { files: [`MODIFY ${name}.txt`] })])).waves).toEqual([[1], [2]]);
  });

  it('what a pattern allows every task to write is in the way of the task that names it', () => {
    const source = text([file('a', { files: ['MODIFY gen/api.ts'] }), file('b')]);
    const { spec } = parseSpec(source.replace('## Tasks', '## Constraints\nAllow generated:\n- gen/**\n\n## Tasks'));
    expect(schedule(spec).edges).toEqual([{ from: 1, to: 2, why: 'both may write gen/api.ts (Allow generated)' }]);
  });

  it('one task of a spec is a spec', () => {
    const one = specOfTask(parsed([file('a'), file('b')]), 2);
    expect(one.tasks.map((task) => task.number)).toEqual([2]);
    expect(one.verification).toHaveLength(1);
  });
});

describe('several specs', () => {
  it('become one: numbered on, ordered only by what they share, each task with its own verification', () => {
    const [one, two] = [
      parsed([file('a'), file('b')]),
      parsed([{ head: 'Change b', files: ['MODIFY b.txt'] }, file('c')]),
    ];
    const both = combineSpecs([
      one,
      { ...two, verification: two.verification.map((item) => ({ ...item, text: 'two' })) },
    ]);
    expect(both.tasks.map((task) => task.number)).toEqual([1, 2, 3, 4]);
    expect(schedule(both)).toMatchObject({
      waves: [[1, 2, 4], [3]],
      edges: [{ from: 2, to: 3, why: 'both write b.txt' }],
    });
    expect(both.tasks[3]?.verification.map((item) => item.text)).toEqual(['two']);
    expect(parseSpec(renderSpec(both)).spec.tasks.map((task) => task.title)).toEqual(
      both.tasks.map((task) => task.title),
    );
    expect(() => combineSpecs([one, { ...two, base: 'other' }])).toThrow('different things as base');
    expect(() => combineSpecs([one, one])).toThrow('both create a.txt');
    const guarded = { ...one, protected: [{ text: 'c.*', at: { line: 1, column: 1 } }] };
    expect(() => combineSpecs([guarded, two])).toThrow('protects c.txt');
  });

  it('run into one pack', async () => {
    lab = new Lab({ 'base.txt': 'x\n' });
    for (const name of ['a', 'b']) writeFileSync(join(lab.folder, `${name}.md`), text([file(name)]));
    expect((await lab.run(['run', '../a.md', '../b.md'])).stderr).toContain('--waves');
    const ended = await lab.run(['run', '../a.md', '../b.md', '--waves', '--json']);
    expect(ended.code).toBe(0);
    expect(JSON.parse(ended.stdout).changes.map((change: { path: string }) => change.path)).toEqual(['a.txt', 'b.txt']);
  });

  it('a file where another task makes a folder is in its way', () => {
    expect(schedule(parsed([file('a', { files: ['CREATE a'] }), file('b', { files: ['CREATE a/b'] })])).waves).toEqual([
      [1],
      [2],
    ]);
  });
});

describe('the quota', () => {
  it('bounds how many Kimis work at a time: no more than what is left could carry', async () => {
    lab = new Lab({ 'base.txt': 'x\n' });
    const config = join(lab.home, '.config', 'kimi-dispatch');
    mkdirSync(config, { recursive: true });
    writeFileSync(join(config, 'profiles.toml'), '[default]\nsteps = 50\nrequestsPerWeek = 60\n');
    writeFileSync(
      join(lab.folder, 'spec.md'),
      text(['a', 'b', 'c'].map((name) => file(name, { scenario: `filelate ${name}` }))),
    );
    const ended = await lab.run(['run', '../spec.md', '--waves', '--concurrency', '3', '--json']);
    expect(ended.code).toBe(0);
    const attempts = attemptsOf(ended.stdout);
    expect(attempts).toEqual(Array(3).fill(['attempt-started', 'attempt-ended']).flat());
  });
});

describe('run --waves', () => {
  it('prints the schedule as data and starts nothing', async () => {
    const later = file('c', { head: 'Make c', lines: ['Depends on: 1'] });
    const ended = await run([file('a'), file('b'), later], ['--dry-run', '--json']);
    const edges = [{ from: 1, to: 3, why: 'stated: depends on it' }];
    expect(JSON.parse(ended.stdout)).toEqual({ version: 1, waves: [[1, 2], [3]], edges });
    expect((await ended.lab.run(['status'])).stdout).toContain('No runs');
  });

  it('runs independent tasks at the same time and integrates them into one pack that merges like a run', async () => {
    const ended = await run(
      [file('a'), file('b'), file('c', { head: 'Make c', lines: ['Depends on: 1'] })],
      ['--concurrency', '2'],
    );
    expect([ended.code, ended.stdout]).toEqual([0, expect.stringMatching(/Tasks: 3\n {2}task 1 \S+ integrated/)]);
    expect(ended.lab.snapshot()).toEqual(ended.before);
    const id = /SUCCEEDED (\S+)/.exec(ended.stdout)?.[1] ?? '';
    expect((await ended.lab.run(['merge', id])).code).toBe(0);
    expect(ended.lab.git('log', '-1', '--format=%B')).toMatch(/- Task 1: integrated[\s\S]*Kimi-Dispatch-Spec: sha256:/);
    for (const name of ['a', 'b', 'c'])
      expect(readFileSync(join(ended.lab.repo, `${name}.txt`), 'utf8')).toBe('done\n');
  });

  it('as many Kimis as the profile says work at the same time', async () => {
    lab = new Lab({ 'base.txt': 'x\n' });
    const config = join(lab.home, '.config', 'kimi-dispatch');
    mkdirSync(config, { recursive: true });
    writeFileSync(join(config, 'profiles.toml'), '[default]\nconcurrency = 2\n');
    const tasks = ['a', 'b', 'c', 'd'].map((name) => file(name, { scenario: `filelate ${name}` }));
    writeFileSync(join(lab.folder, 'spec.md'), text(tasks));
    const ended = await lab.run(['run', '../spec.md', '--waves', '--json']);
    expect([ended.code, mostAtOnce(attemptsOf(ended.stdout))]).toEqual([0, 2]);
  });

  it("one task's verification cannot see another's work; the whole sees all of it", async () => {
    lab = new Lab({ 'base.txt': 'x\n' });
    const seen = join(lab.folder, 'seen');
    lab.write({ 'see.sh': `echo *.txt >> '${seen}'\n` });
    lab.commit('A check');
    writeFileSync(join(lab.folder, 'spec.md'), text([file('a'), file('b')], '`sh see.sh`'));
    expect((await lab.run(['run', '../spec.md', '--waves', '--no-baseline'])).code).toBe(0);
    expect(readFileSync(seen, 'utf8').trim().split('\n').sort()).toEqual([
      'a.txt b.txt base.txt',
      'a.txt base.txt',
      'b.txt base.txt',
    ]);
  });

  it('what only a later wave makes pass sets nothing aside, and must pass in the end', async () => {
    const later = (name: string) => file(name, { head: `Make ${name}`, lines: ['Depends on: 1'] });
    const made = await run([file('a'), later('c')], [], '`test -f c.txt` (baseline fail)');
    expect([made.code, made.stdout]).toEqual([0, expect.stringMatching(/task 2 \S+ integrated/)]);
    made.lab.remove();
    const never = await run([file('a'), later('c')], [], '`test -f never.txt` (baseline fail)');
    expect([never.code, never.stdout]).toEqual([3, expect.stringMatching(/task 2 \S+ integrated/)]);
  });

  it('what a wave made pass, the next may not break', async () => {
    lab = new Lab({ 'base.txt': 'x\n' });
    const own = { lines: ['Verification:', '- `test -f base.txt`'] };
    const bad = { head: 'Make b', scenario: 'file b_bad', lines: ['Depends on: 1', ...own.lines] };
    const source = text([file('a', own), file('b', bad)], '`test -f a.txt -a ! -f b.txt`');
    writeFileSync(join(lab.folder, 'spec.md'), source);
    const ended = await lab.run(['run', '../spec.md', '--waves']);
    expect([ended.code, ended.stdout]).toEqual([3, expect.stringMatching(/task 2 \S+ set-aside: breaks/)]);
    expect(ended.stdout).toMatch(/task 1 \S+ integrated/);
  });

  it('a change that conflicts with one before it is set aside by name', async () => {
    lab = new Lab({ 'base.txt': 'x\n' });
    const tasks = ['x', 'y'].map((name) => file(name, { scenario: `file shared_${name}` }));
    const source = text(tasks).replace('## Tasks', '## Constraints\nAllow generated:\n- shared.txt\n\n## Tasks');
    writeFileSync(join(lab.folder, 'spec.md'), source);
    const ended = await lab.run(['run', '../spec.md', '--waves']);
    expect([ended.code, ended.stdout]).toEqual([
      9,
      expect.stringMatching(/task 2 \S+ set-aside: conflicts in shared\.txt/),
    ]);
    expect(ended.stdout).toMatch(/task 1 \S+ integrated/);
    // It has its worktree still: Kimi's session can go on there.
    const { runs } = JSON.parse((await lab.run(['status', '--json'])).stdout);
    const aside = runs.find((item: { title: string }) => item.title === 'Make y');
    expect(readFileSync(join(aside.dir, 'shared.txt'), 'utf8')).toBe('y\n');
  });

  it('verification writes nothing for the next one, and follows the lock files', async () => {
    lab = new Lab({ 'base.txt': 'x\n', '.gitignore': 'out\nvendor\n', 'go.sum': 'one\n' });
    const config = join(lab.home, '.config', 'kimi-dispatch');
    mkdirSync(config, { recursive: true });
    writeFileSync(join(config, 'profiles.toml'), "[default]\nsetup = 'mkdir -p vendor && cp go.sum vendor/sum'\n");
    const sum = file('a', { files: ['MODIFY go.sum (ALLOW PROTECTED)'], scenario: 'sum' });
    const check = '`sh -c "test ! -e out && touch out && cmp go.sum vendor/sum"`';
    const own = ['Verification:', '- `test -f base.txt`'];
    writeFileSync(join(lab.folder, 'spec.md'), text([{ ...sum, lines: own }, file('b', { lines: own })], check));
    // Without a sandbox nothing that Kimi wrote is set up unless the user has agreed.
    const agreed = { env: { KIMI_DISPATCH_UNREVIEWED: 'run' } };
    const ended = await lab.run(['run', '../spec.md', '--waves', '--verify-each'], agreed);
    expect([ended.code, ended.stdout]).toEqual([0, expect.stringMatching(/task 2 \S+ integrated/)]);
  });

  it('a failure stops what depends on it, and not the rest', async () => {
    const ended = await run([
      file('a', { scenario: 'crash' }),
      file('b'),
      file('c', { head: 'Make c', lines: ['Depends on: 1'] }),
    ]);
    expect(ended.code).toBe(7);
    expect(ended.stdout).toMatch(/task 1 \S+ failed: agent-failed/);
    expect(ended.stdout).toMatch(/task 3 {2}not-started: needs task 1/);
    expect(ended.stdout).toMatch(/task 2 \S+ integrated/);
  });

  it.each([
    ['for the wave', []],
    ['after each merge', ['--verify-each']],
  ])('finds what breaks the whole %s, and sets it aside by name', async (_name, more) => {
    const verify = '`! grep -qs bad b.txt` (shell)';
    const tasks = [file('a'), file('b', { scenario: 'file b_bad' }), file('c'), file('d')];
    lab = new Lab({ 'base.txt': 'x\n' });
    const source = text(tasks, verify).replaceAll(
      'Requirements:',
      'Verification:\n- `test -f base.txt`\nRequirements:',
    );
    writeFileSync(join(lab.folder, 'spec.md'), source);
    const ended = await lab.run(['run', '../spec.md', '--waves', '--concurrency', '4', ...more]);
    expect([ended.code, ended.stdout]).toEqual([
      3,
      expect.stringMatching(/task 2 \S+ set-aside: breaks the verification/),
    ]);
    for (const task of [1, 3, 4]) expect(ended.stdout).toMatch(new RegExp(`task ${task} \\S+ integrated`));
  });

  const tests = (name: string) => `import test from 'node:test';\ntest('${name}', () => {});\n`;
  const own = ['Verification:', '- `test -f base.txt`'];

  it('tests that go with a declared DELETE set nothing aside', async () => {
    lab = new Lab({ 'base.txt': 'x\n', 'a.test.mjs': tests('a'), 'b.test.mjs': tests('b') });
    const gone = file('a', { files: ['DELETE a.test.mjs'], scenario: shell('rm a.test.mjs') });
    writeFileSync(join(lab.folder, 'spec.md'), text([gone, file('c')], '`node --test`'));
    const ended = await lab.run(['run', '../spec.md', '--waves']);
    expect([ended.code, ended.stdout]).toEqual([0, expect.stringMatching(/task 1 \S+ integrated/)]);
  });

  it('a DELETE of a task that is not integrated excuses nothing', async () => {
    lab = new Lab({
      'base.txt': 'x\n',
      'a.test.mjs': `${tests('a')}test('second', () => {});\n`,
      'b.test.mjs': tests('b'),
    });
    const fewer = file('a', { files: ['MODIFY a.test.mjs'], scenario: shell("sed -i '$d' a.test.mjs"), lines: own });
    const gone = file('b', { files: ['DELETE b.test.mjs'], scenario: 'crash', lines: own });
    writeFileSync(join(lab.folder, 'spec.md'), text([fewer, gone], '`node --test`'));
    const ended = await lab.run(['run', '../spec.md', '--waves']);
    expect(ended.stdout).toMatch(/task 1 \S+ set-aside: breaks the verification/);
  });

  it('a check that fails once on the tip is flaky, says so, and sets nothing aside', async () => {
    lab = new Lab({ 'base.txt': 'x\n' });
    const once = join(lab.folder, 'once.sh');
    writeFileSync(once, `test -f b.txt || exit 0; test -e '${once}.seen' || { touch '${once}.seen'; exit 1; }\n`);
    const tasks = [file('a', { lines: own }), file('b', { lines: own })];
    // The wave after it finds nothing wrong, and the word stays.
    const later = file('c', { head: 'Make c', lines: ['Depends on: 1', ...own] });
    writeFileSync(join(lab.folder, 'spec.md'), text([...tasks, later], `\`sh ${once}\``));
    const ended = await lab.run(['run', '../spec.md', '--waves']);
    expect([ended.code, ended.stdout]).toEqual([0, expect.stringMatching(/task 2 \S+ integrated/)]);
    expect(ended.stdout).toContain('FLAKY');
  });

  it('a check that fails once on the base hides no damage', async () => {
    lab = new Lab({ 'base.txt': 'x\n' });
    const once = join(lab.folder, 'once.sh');
    writeFileSync(once, `test -e '${once}.seen' || { touch '${once}.seen'; exit 1; }; ! test -f a.txt\n`);
    writeFileSync(join(lab.folder, 'spec.md'), text([file('a', { lines: own })], `\`sh ${once}\``));
    const ended = await lab.run(['run', '../spec.md', '--waves']);
    expect(ended.stdout).toMatch(/task 1 \S+ set-aside: breaks the verification/);
  });

  it('a change outside its task gates that task alone, and everything else goes on', async () => {
    const ended = await run([file('a', { scenario: 'file shared' }), file('b')], ['--concurrency', '2']);
    expect(ended.code).toBe(4);
    expect(ended.stdout).toMatch(/task 1 \S+ failed: out-of-scope/);
    expect(ended.stdout).toMatch(/task 2 \S+ integrated/);
  });

  it('32 tasks at concurrency 8: each in its own worktree, all integrated', async () => {
    const tasks = Array.from({ length: 32 }, (_, index) => file(`f${index}`));
    const ended = await run(tasks, ['--concurrency', '8']);
    expect(ended.code).toBe(0);
    const { tasks: lines } = await ended.lab.result();
    expect(lines?.filter((line) => line.state === 'integrated')).toHaveLength(32);
    expect(new Set(lines?.map((line) => line.run)).size).toBe(32);
  }, 60_000);

  it.each([
    [
      'a cycle',
      [file('a', { head: 'A', lines: ['Depends on: 2'] }), file('b', { head: 'B', lines: ['Depends on: 1'] })],
      [],
      /These tasks wait for each other: 1 → 2 → 1\./,
    ],
    [
      'an [INDEPENDENT] that is not',
      [file('a'), { ...file('b'), files: ['CREATE b.txt', 'MODIFY a.txt'] }],
      [],
      /Tasks 1 and 2 both write a\.txt/,
    ],
    ['a concurrency of 0', [file('a')], ['--concurrency', '0'], /--concurrency takes a number greater than 0/],
  ] as [string, T[], string[], RegExp][])('refuses %s', async (_name, tasks, more, message) => {
    const ended = await run(tasks, more);
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringMatching(message)]);
  });
});
