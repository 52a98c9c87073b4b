import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SharedQuota } from '../../src/queue/quota.ts';
import { withoutCredentials } from '../../src/queue/remote.ts';
import { hasRedis, hasUnshare, Machine, otherVersion, RedisServer } from '../helpers/queue.ts';
import { type Ended, Lab, spec } from '../helpers/repo.ts';
import { pause, until } from '../helpers/until.ts';

let lab: Lab;
let redis: RedisServer;
let machines: Machine[];
const remote = (): string => join(lab.folder, 'remote.git');

beforeEach(() => {
  lab = new Lab({ 'greet.txt': 'hello\n', 'other.txt': 'other\n' });
  execFileSync('git', ['init', '-q', '--bare', remote()], { env: lab.env });
  lab.git('remote', 'add', 'origin', remote());
  lab.git('push', '-q', 'origin', 'main');
  redis = new RedisServer(join(lab.folder, 'redis'));
  machines = [];
});
afterEach(async () => {
  for (const machine of machines) await machine.end('SIGKILL');
  await redis.kill();
  lab.remove();
});

const made = (name: string): Machine => {
  const machine = new Machine(lab, name, redis.url);
  machines.push(machine);
  return machine;
};
/** `--sandbox off`: these tests are not about it. */
const worker = (name: string, ...args: string[]): Promise<Machine> =>
  made(name).work({ args: ['--sandbox', 'off', ...args] });
const write = (name: string, scenario: string, more: Parameters<typeof spec>[1] = {}): string => {
  writeFileSync(join(lab.folder, name), spec(scenario, more));
  return `../${name}`;
};
const through = (): { KIMI_DISPATCH_QUEUE_URL: string } => ({ KIMI_DISPATCH_QUEUE_URL: redis.url });
const run = (file: string, ...more: string[]): Promise<Ended> => lab.run(['run', file, ...more], { env: through() });
const inRemote = (...args: string[]): string =>
  execFileSync('git', args, { cwd: remote(), encoding: 'utf8', env: lab.env }).trim();
const branches = (): string[] =>
  inRemote('for-each-ref', '--format=%(refname:short)', 'refs/heads/kimi').split('\n').filter(Boolean);
const events = (id: string): { type: string }[] =>
  readFileSync(join(lab.repo, '.git', 'kimi-dispatch', 'runs', id, 'events.ndjson'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const background = async (file: string): Promise<string> => (await run(file, '--background')).stdout.trim();
const linesOf = (ended: Ended): [number, string, string][] =>
  JSON.parse(ended.stdout).tasks.map((line: { task: number; state: string; why: string }) => [
    line.task,
    line.state,
    line.why,
  ]);
const taken = (machine: Machine): boolean => machine.said.includes(': taken');

describe.skipIf(!hasRedis)('the queue (needs redis-server)', () => {
  it('a worker elsewhere carries a run out; the result is taken over, merged and taken back here', async () => {
    await redis.start();
    const one = await worker('one');
    const before = lab.snapshot();
    const ended = await run(write('spec.md', 'success'), '--json');
    expect([ended.code, one.said]).toEqual([0, expect.stringContaining('succeeded')]);
    const result = JSON.parse(ended.stdout);
    expect(lab.snapshot()).toEqual(before);
    expect(branches()).toEqual([result.branch]);
    expect(inRemote('rev-parse', result.branch)).toBe(result.commit);
    expect((await lab.run(['diff', '@last'])).stdout).toContain('hello please');
    expect((await lab.run(['logs', '@last'])).stdout).toContain('Kimi implements the spec');
    expect(readFileSync(result.verification[0].after.log, 'utf8')).toBeDefined();
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    expect(readFileSync(join(lab.repo, 'greet.txt'), 'utf8')).toBe('hello please\n');
    expect((await lab.run(['undo', '@last'])).code).toBe(0);
    // Nothing stays: the job is gone, the worker's record too, and no path of its machine is told.
    expect(redis.ask('keys', 'kimi-dispatch:runs:26*')).toBe('');
    expect(ended.stdout.includes(one.folder)).toBe(false);
    const clones = join(one.folder, 'state', 'kimi-dispatch', 'clones');
    const clone = join(clones, readdirSync(clones).find((name) => !name.includes('.')) ?? '');
    expect(readdirSync(join(clone, '.git', 'kimi-dispatch', 'runs'))).toEqual([]);
    expect((await one.end()).code).toBe(0);
  });

  it('--dry-run prints the order; --no-queue runs here; work goes on here after the result', async () => {
    await redis.start();
    const file = write('spec.md', 'success');
    const order = JSON.parse((await run(file, '--dry-run', '--json')).stdout);
    expect(order).toMatchObject({ format: 1, remote: remote(), base: lab.git('rev-parse', 'HEAD') });
    expect((await run(file, '--dry-run')).stdout).toMatch(/Queue: redis:.*\n.*A worker clones/);
    const settings = join(lab.home, '.config', 'kimi-dispatch');
    mkdirSync(settings, { recursive: true });
    writeFileSync(join(settings, 'config.toml'), `[queue]\nurl = "${redis.url}"\n`);
    expect((await lab.run(['run', file, '--dry-run'])).stdout).toContain(redis.url);
    expect((await run(file, '--no-queue')).code).toBe(0);
    expect((await lab.run(['doctor'], { env: through() })).stdout).toMatch(/note +Queue +redis:.*, 0 workers/);
    await worker('one');
    expect((await lab.run(['doctor'], { env: through() })).stdout).toMatch(/ok +Queue +redis:.*, 1 workers/);
    expect((await run(file)).code).toBe(0);
    writeFileSync(join(lab.folder, 'findings.md'), 'greet.txt:1 say it twice\n');
    expect((await lab.run(['revise', '@last', '--findings', '../findings.md'], { env: through() })).code).toBe(0);
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
  });

  it('a worker that is killed has its run taken over, once', async () => {
    await redis.start();
    const both = [await worker('one'), await worker('two')];
    const id = await background(write('spec.md', 'slow 3'));
    await until('a worker has it', () => both.some(taken));
    const dead = both.find(taken);
    await pause(1000);
    await dead?.end('SIGKILL');
    const ended = await lab.run(['wait', id, '--json']);
    expect(ended.code).toBe(0);
    const other = both.find((machine) => machine !== dead);
    expect(other?.said).toMatch(/taken, try 2/);
    expect(branches()).toEqual([JSON.parse(ended.stdout).branch]);
    expect(events(id).filter(({ type }) => type === 'run-ended')).toHaveLength(1);
    expect((await lab.run(['merge', id])).code).toBe(0);
    expect(lab.git('rev-list', '--count', 'HEAD')).toBe('2');
  });

  it.skipIf(!hasUnshare)('the machines of these tests share nothing but Redis and the remote', async () => {
    await redis.start();
    made('two');
    await worker('one');
    // The dot: a check that names the checkout itself is refused.
    const others = ['repo', 'two', 'home'].map((name) => `test ! -e '${lab.folder}/./${name}'`).join(' && ');
    const verify = [`\`${others}\` (shell)`, `\`test -d '${remote()}'\``];
    expect((await run(write('spec.md', 'success', { verify }))).code).toBe(0);
  });

  it('a worker that was away for too long ends its Kimi: another one has the run', async () => {
    await redis.start();
    const one = await worker('one');
    const id = await background(write('spec.md', 'slow 20'));
    const works = (): boolean => events(id).some(({ type }) => type === 'attempt-started') && one.kimis().length > 0;
    await until('its Kimi works', works);
    one.child?.kill('SIGSTOP');
    const two = await worker('two');
    await until('another worker has the run', () => taken(two));
    expect(one.kimis()).not.toEqual([]);
    one.child?.kill('SIGCONT');
    await until('only the other Kimi works', () => one.kimis().length === 0 && two.kimis().length > 0, 15_000);
    expect((await lab.run(['cancel', id], { env: through() })).code).toBe(0);
    await until('no Kimi works', () => two.kimis().length === 0);
  });

  it('a run that two workers died over is lost, and says so', async () => {
    await redis.start();
    const id = await background(write('spec.md', 'slow 20'));
    for (const name of ['one', 'two']) {
      const machine = await worker(name);
      await until(`${name} has it`, () => taken(machine));
      await machine.end('SIGKILL');
    }
    await worker('three');
    const ended = await lab.run(['wait', id]);
    expect(ended.code).toBe(10);
    expect(ended.stdout).toContain('Two workers died over this run');
  });

  it('a worker that is told to end gives its run back', async () => {
    await redis.start();
    const one = await worker('one');
    const id = await background(write('spec.md', 'slow 3'));
    await until('it has the run', () => taken(one));
    await pause(500);
    expect((await one.end('SIGTERM')).code).toBe(0);
    const two = await worker('two');
    expect((await lab.run(['wait', id])).code).toBe(0);
    expect(taken(two)).toBe(true);
  });

  it('a Redis that is killed and restarted loses nothing', async () => {
    await redis.start();
    const one = await worker('one');
    const ids = [await background(write('a.md', 'slow 2')), await background(write('b.md', 'success'))];
    await until('a run is at work', () => taken(one));
    await redis.kill();
    await pause(500);
    await redis.start();
    for (const id of ids) expect((await lab.run(['wait', id])).code).toBe(0);
    expect(branches()).toHaveLength(2);
  });

  it('a waiter that dies loses nothing: wait goes on, recover leaves it alone', async () => {
    await redis.start();
    const id = await background(write('spec.md', 'success'));
    const { pid } = JSON.parse((await lab.run(['status', '--json'])).stdout).runs[0];
    process.kill(pid, 'SIGKILL');
    await pause(100);
    expect((await lab.run(['status'])).stdout).toContain('in the queue');
    const recovered = await lab.run(['recover']);
    expect([recovered.stdout, recovered.stderr]).toEqual(['Nothing was lost.\n', expect.stringContaining('wait')]);
    await worker('one');
    expect((await lab.run(['wait', id], { env: through() })).code).toBe(0);
    expect(events(id).filter(({ type }) => type === 'run-ended')).toHaveLength(1);
    expect(events(id).filter((event) => event.type === 'step-started')).toHaveLength(5);
  });

  it('cancel takes a waiting run off the queue, and ends one at work', async () => {
    await redis.start();
    const waiting = await background(write('a.md', 'success'));
    expect((await lab.run(['cancel', waiting], { env: through() })).code).toBe(0);
    const one = await worker('one');
    const id = await background(write('b.md', 'slow 30'));
    await until('it is at work', () => taken(one));
    await pause(700);
    const began = Date.now();
    expect((await lab.run(['cancel', id], { env: through() })).stdout).toContain('cancelled');
    expect(Date.now() - began).toBeLessThan(20_000);
    await until('its Kimi is gone', () => one.kimis().length === 0);
    const { runs } = JSON.parse((await lab.run(['status', '--json'])).stdout);
    expect(runs.map((item: { outcome: string }) => item.outcome)).toEqual(['cancelled', 'cancelled']);
  });

  it('a remote that refuses the push: the change comes through the queue, and the result says so', async () => {
    await redis.start();
    writeFileSync(join(remote(), 'hooks', 'pre-receive'), '#!/bin/sh\necho no pushes on Sundays >&2\nexit 1\n', {
      mode: 0o755,
    });
    await worker('one');
    const ended = await run(write('spec.md', 'success'), '--json');
    expect(ended.code).toBe(0);
    expect(JSON.parse(ended.stdout).notes.join()).toContain('the remote refused the branch');
    expect(branches()).toEqual([]);
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    expect(readFileSync(join(lab.repo, 'greet.txt'), 'utf8')).toBe('hello please\n');
  });

  it('a base that the remote does not have is refused, here where that is certain, else by the worker', async () => {
    await redis.start();
    lab.write({ 'other.txt': 'not pushed\n' });
    lab.commit('Not pushed');
    const file = write('spec.md', 'success');
    const here = await run(file);
    expect([here.code, here.stderr]).toEqual([2, expect.stringContaining('The remote does not have the base')]);
    // Somebody else pushed what is not known here: only the worker can tell.
    const elsewhere = join(lab.folder, 'elsewhere');
    execFileSync('git', ['clone', '-q', remote(), elsewhere], { env: lab.env });
    execFileSync('git', ['commit', '-q', '--allow-empty', '-m', 'x'], { cwd: elsewhere, env: lab.env });
    execFileSync('git', ['push', '-q', 'origin', 'HEAD'], { cwd: elsewhere, env: lab.env });
    await worker('one');
    const there = await run(file);
    expect([there.code, there.stderr]).toEqual([2, expect.stringContaining('The worker refused: The remote does not')]);
    expect((await lab.run(['status', '--json'])).stdout).toContain('"runs":[]');
  });

  it('two versions: a second worker does not start, and an order of another version is refused', async () => {
    await redis.start();
    const one = await worker('one');
    const other = (machine: Machine): Promise<Machine> =>
      machine.work({ args: ['--sandbox', 'off'], program: otherVersion(join(machine.folder, 'program'), '9.9.9') });
    const two = await other(made('two'));
    expect((await two.end()).code).toBe(2);
    expect(two.said).toMatch(/is version \d+\.\d+\.\d+, and this one is version 9\.9\.9/);
    await one.end();
    await other(made('three'));
    const refused = await run(write('spec.md', 'success'));
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('this worker is version 9.9.9')]);
  });

  it('a spec that was changed in the queue is refused', async () => {
    await redis.start();
    const id = await background(write('spec.md', 'success'));
    const connection = new Redis(redis.url, { maxRetriesPerRequest: null });
    const queue = new Queue('runs', { connection, prefix: 'kimi-dispatch' });
    const job = await queue.getJob(id);
    await job?.updateData({ ...job.data, spec: `${job.data.spec}\n- CREATE evil.txt\n` });
    await queue.close();
    connection.disconnect();
    const one = await worker('one');
    await lab.run(['wait', id]);
    expect(one.said).toContain('the digests differ');
  });

  it('credentials never lie in Redis', async () => {
    await redis.start();
    await worker('one');
    lab.git('config', 'http.extraHeader', 'Authorization: made-up-header');
    const env = { ...through(), MOONSHOT_API_KEY: 'made-up-in-env', GITHUB_TOKEN: 'made-up-token' };
    expect((await lab.run(['run', write('spec.md', 'success')], { env })).code).toBe(0);
    const kept = execFileSync('sh', ['-c', `cat ${join(lab.folder, 'redis', 'appendonlydir')}/*`], {
      encoding: 'latin1',
    });
    expect(kept.includes('Change the greeting')).toBe(true);
    expect(kept.includes('made-up')).toBe(false);
    expect(withoutCredentials('https://token:x@host/team/project.git')).toBe('https://host/team/project.git');
    expect(withoutCredentials('ssh://git:word@host/p.git')).toBe('ssh://git@host/p.git');
    expect(withoutCredentials('git@host:team/p.git')).toBe('git@host:team/p.git');
  });

  it('runs at a time over all workers are bounded by the setting', async () => {
    await redis.start();
    const both = [made('one'), made('two')];
    for (const machine of both) machine.setting('concurrency = 1', 'lockSeconds = 3');
    for (const machine of both) await machine.work({ args: ['--sandbox', 'off', '--concurrency', '2'] });
    await Promise.all([1, 2, 3].map((n) => run(write(`${n}.md`, 'slow 1'))));
    const spans = both
      .flatMap(({ said }) => [...said.matchAll(/^(\S+) (\S+): (taken|succeeded)/gm)].map((match) => match.slice(1, 4)))
      // At the same moment an end comes before what it made room for.
      .sort(([at = '', , what = ''], [other = '', , and = '']) => at.localeCompare(other) || what.localeCompare(and));
    expect(spans.map(([, , what]) => what)).toEqual(Array(3).fill(['taken', 'succeeded']).flat());
  });

  it('a worker works only for the remotes that its setting names', async () => {
    await redis.start();
    const one = made('one');
    one.setting('remotes = ["git@host:"]');
    await one.work({ args: ['--sandbox', 'off'] });
    expect((await run(write('spec.md', 'success'))).stderr).toContain('does not work for');
  });
});

interface T {
  readonly name: string;
  readonly scenario?: string;
  readonly after?: number;
}
/** A spec of tasks that make a file each. */
const many = (tasks: readonly T[], verify: string): string => {
  const text = tasks.flatMap(({ name, scenario, after }, index) => [
    `### Task ${index + 1}: Make ${name}${after === undefined ? ' [INDEPENDENT]' : ''}`,
    ...(after === undefined ? [] : [`Depends on: ${after}`]),
    'Files:',
    `- CREATE ${name}.txt`,
    'Requirements:',
    `- SCENARIO ${scenario ?? `file ${name}`}`,
    '',
  ]);
  const lines = ['# Spec: 001 -- Many', '', '## Tasks', ...text, '## Verification', `- \`${verify}\``, ''];
  writeFileSync(join(lab.folder, 'many.md'), lines.join('\n'));
  return '../many.md';
};

describe.skipIf(!hasRedis)('waves through the queue', () => {
  const waves = (tasks: readonly T[], verify = 'test -f greet.txt'): Promise<Ended> =>
    run(many(tasks, verify), '--waves', '--json');

  it('tasks go to two workers, the next wave builds on the first, and the pack merges like a run', async () => {
    await redis.start();
    const both = [await worker('one'), await worker('two')];
    const before = lab.snapshot();
    const ended = await waves([{ name: 'a' }, { name: 'b' }, { name: 'c' }, { name: 'd', after: 1 }]);
    expect([ended.code, both.map(({ said }) => said).join('')]).toEqual([0, expect.stringContaining('-w2: succeeded')]);
    expect(linesOf(ended).map(([, state]) => state)).toEqual(Array(4).fill('integrated'));
    expect(both.every((machine) => /-t\d: succeeded/.test(machine.said))).toBe(true);
    expect(lab.snapshot()).toEqual(before);
    const result = JSON.parse(ended.stdout);
    expect(branches()).toEqual([result.branch]);
    expect((await lab.run(['logs', result.run])).stdout).toMatch(/task 4/);
    expect((await lab.run(['merge', result.run])).code).toBe(0);
    for (const name of ['a', 'b', 'c', 'd']) expect(readFileSync(join(lab.repo, `${name}.txt`), 'utf8')).toBe('done\n');
    expect(redis.ask('keys', 'kimi-dispatch:runs:26*')).toBe('');
  });

  it('a failure stops what depends on it; what breaks the whole is set aside by name, and can be looked at', async () => {
    await redis.start();
    await worker('one', '--concurrency', '3');
    const ended = await waves(
      [{ name: 'a', scenario: 'crash' }, { name: 'b' }, { name: 'bad' }, { name: 'd', after: 1 }],
      'sh -c "test ! -f bad.txt || test ! -f b.txt"',
    );
    expect(ended.code).toBe(3);
    expect(linesOf(ended)).toEqual([
      [1, 'failed', 'agent-failed'],
      [2, 'integrated', ''],
      [3, 'set-aside', 'breaks the verification of the whole'],
      [4, 'not-started', 'needs task 1'],
    ]);
    const { run: id } = JSON.parse(ended.stdout).tasks[2];
    expect((await lab.run(['diff', id])).stdout).toContain('bad.txt');
  });

  it('a worker that dies in the integration is replaced, and nothing is merged twice', async () => {
    await redis.start();
    const both = [await worker('one'), await worker('two')];
    const pending = waves(
      [{ name: 'a' }, { name: 'b' }],
      'sh -c "if test -f a.txt && test -f b.txt; then sleep 3; fi"',
    );
    await until('a worker integrates', () => both.some(({ said }) => /-w1: taken/.test(said)));
    const dead = both.find(({ said }) => /-w1: taken/.test(said));
    await pause(700);
    await dead?.end('SIGKILL');
    const ended = await pending;
    expect(ended.code).toBe(0);
    const result = JSON.parse(ended.stdout);
    expect(inRemote('rev-list', '--count', `${result.base}..${result.branch}`)).toBe('2');
  });

  it('a Redis that is killed and restarted between two waves loses nothing', async () => {
    await redis.start();
    await worker('one');
    const pending = waves([{ name: 'a', scenario: 'filelate a' }, { name: 'b' }, { name: 'c', after: 1 }]);
    await until('a task is at work', () => machines.some(({ said }) => /-t1: taken/.test(said)));
    await redis.kill();
    await pause(500);
    await redis.start();
    const ended = await pending;
    expect(linesOf(ended).map(([, state]) => state)).toEqual(Array(3).fill('integrated'));
    expect(inRemote('for-each-ref', '--format=%(refname)', 'refs/heads/kimi').split('\n')).toHaveLength(1);
  });

  it('cancel ends all of it', async () => {
    await redis.start();
    await worker('one');
    const id = (
      await run(
        many([{ name: 'a', scenario: 'slow 20' }, { name: 'b' }], 'test -f greet.txt'),
        '--waves',
        '--background',
      )
    ).stdout.trim();
    await until('a task is at work', () => machines.some(({ said }) => /-t1: taken/.test(said)));
    await pause(500);
    const ended = await lab.run(['cancel', id], { env: through() });
    expect([ended.stderr, ended.stdout]).toEqual(['', expect.stringContaining('cancelled')]);
    await until('no Kimi works', () => machines.every((machine) => machine.kimis().length === 0));
    await pause(1000);
    expect(machines.flatMap((machine) => machine.kimis())).toEqual([]);
  });

  it('a remote that refuses the branch where the next wave begins ends the run, and says so', async () => {
    await redis.start();
    writeFileSync(join(remote(), 'hooks', 'pre-receive'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    await worker('one');
    const ended = await waves([{ name: 'a' }, { name: 'b', after: 1 }]);
    expect(ended.code).toBe(1);
    expect(JSON.parse(ended.stdout).reason).toContain('the remote refused');
  });
});

describe.skipIf(!hasRedis)('one quota for all workers', () => {
  it('holds what runs may use: never more than the limit, however many begin at once', async () => {
    await redis.start();
    const connection = new Redis(redis.url);
    const quota = new SharedQuota(connection, 'account');
    const begin = (n: number) => quota.reserve({ entry: `r${n}`, steps: 30, limit: 100, now: 1000, until: 9000 });
    const said = await Promise.all(Array.from({ length: 10 }, (_, n) => begin(n)));
    expect(said.filter((word) => word === 'go')).toHaveLength(3);
    expect(said.filter((word) => word === 'wait')).toHaveLength(7);
    // A run that used less makes room; the same run asks twice and counts once; used up is used up, for a week.
    await quota.settle('r0', 5, 1001);
    expect(await begin(7)).toBe('go');
    expect(await begin(7)).toBe('go');
    expect(await begin(8)).toBe('wait');
    for (const run of ['r1', 'r2', 'r7']) await quota.settle(run, 40, 1002);
    expect(await begin(8)).toBe('used');
    const later = 1003 + 7 * 24 * 60 * 60 * 1000;
    expect(await quota.reserve({ entry: 'r9', steps: 30, limit: 100, now: later, until: later + 10 })).toBe('go');
    // A worker that died holds nothing for ever.
    const full = { steps: 100, limit: 100, until: later + 99 };
    expect(await quota.reserve({ ...full, entry: 'r10', now: later + 9 })).toBe('wait');
    expect(await quota.reserve({ ...full, entry: 'r10', now: later + 10 })).toBe('go');
    connection.disconnect();
  });

  it('the integration of a wave needs none', async () => {
    await redis.start();
    const one = made('one');
    const limit = '[default]\nsteps = 1\nrequestsPerWeek = 2\n';
    writeFileSync(join(one.folder, 'config', 'kimi-dispatch', 'profiles.toml'), limit);
    await one.work({ args: ['--sandbox', 'off', '--concurrency', '2'] });
    const ended = await run(many([{ name: 'a' }, { name: 'b' }], 'test -f greet.txt'), '--waves', '--json');
    expect(linesOf(ended)).toEqual([
      [1, 'integrated', ''],
      [2, 'integrated', ''],
    ]);
    expect((await run(write('spec.md', 'success'))).code).toBe(7);
  });

  it('a run waits while others hold it, and is refused with 7 when it is used', async () => {
    await redis.start();
    for (const name of ['one', 'two']) {
      const machine = made(name);
      writeFileSync(
        join(machine.folder, 'config', 'kimi-dispatch', 'profiles.toml'),
        '[default]\nsteps = 3\nrequestsPerWeek = 4\n',
      );
      await machine.work({ args: ['--sandbox', 'off'] });
    }
    const [first, second] = await Promise.all([run(write('a.md', 'slow 1')), run(write('b.md', 'slow 1'))]);
    expect([first.code, second.code]).toEqual([0, 0]);
    expect(machines.map(({ said }) => said).join('')).toContain('waits for the quota');
    const all = [run(write('c.md', 'success')), run(write('d.md', 'success')), run(write('e.md', 'success'))];
    const codes = (await Promise.all(all)).map(({ code }) => code);
    expect(codes).toContain(7);
  });
});

describe('a queue that cannot be used', () => {
  const attempt = async (url: string): Promise<string> => {
    const file = write('spec.md', 'success');
    const env = { KIMI_DISPATCH_QUEUE_URL: url };
    const [ordered, worked] = await Promise.all([
      lab.run(['run', file], { env }),
      lab.run(['worker', '--sandbox', 'off'], { env }),
    ]);
    expect([ordered.code, worked.code]).toEqual([2, 2]);
    expect((await lab.run(['status', '--json'])).stdout).toContain('"runs":[]');
    return ordered.stderr;
  };

  it.skipIf(!hasRedis)(
    'no append-only file, eviction, a password, a wrong one: refused before anything begins',
    async () => {
      const plain = await new RedisServer(join(lab.folder, 'plain'), []).start();
      const evicting = ['--appendonly', 'yes', '--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'];
      const careless = await new RedisServer(join(lab.folder, 'careless'), evicting).start();
      const locked = await new RedisServer(join(lab.folder, 'locked'), [
        '--appendonly',
        'yes',
        '--requirepass',
        'w',
      ]).start();
      try {
        expect(await attempt(plain.url)).toContain('keeps no append-only file');
        expect(await attempt(careless.url)).toContain('may throw runs away');
        expect(await attempt(locked.url)).toContain('asks for a password');
        const wrong = await attempt(locked.url.replace('//', '//:made-up@'));
        expect(wrong).toContain('does not take this user and password');
        expect(wrong).not.toContain('made-up');
      } finally {
        for (const server of [plain, careless, locked]) await server.kill();
      }
    },
  );

  it('no Redis there, no remote, a setting that is none', async () => {
    expect(await attempt('redis://127.0.0.1:9')).toContain('There is no Redis at redis://127.0.0.1:9');
    expect(await attempt('http://127.0.0.1:9')).toContain('starts with redis://');
    lab.git('remote', 'remove', 'origin');
    const ended = await lab.run(['run', '../spec.md'], { env: { KIMI_DISPATCH_QUEUE_URL: 'redis://127.0.0.1:9' } });
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining('no git remote "origin"')]);
    const worker = await lab.run(['worker']);
    expect([worker.code, worker.stderr]).toEqual([2, expect.stringContaining('A worker needs a queue')]);
    mkdirSync(join(lab.home, '.config', 'kimi-dispatch'), { recursive: true });
    writeFileSync(join(lab.home, '.config', 'kimi-dispatch', 'config.toml'), '[queue]\nurl = "redis://h"\nword = 1\n');
    expect((await lab.run(['run', '../spec.md'])).stderr).toContain('config.toml');
    expect((await lab.run(['run', '../spec.md', '--no-queue'])).code).toBe(0);
  });
});
