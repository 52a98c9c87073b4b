import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kimiConfig, startModel } from '../../scripts/model-server.mjs';
import { probeSandbox } from '../../src/process/sandbox.ts';
import { isBelow } from '../../src/queue/address.ts';
import type { Order } from '../../src/queue/order.ts';
import { readStory } from '../../src/queue/story.ts';
import { hasRedis, Machine, RedisServer } from '../helpers/queue.ts';
import { type Ended, Lab, ROOT, spec } from '../helpers/repo.ts';
import { pause, until } from '../helpers/until.ts';

const probe = await probeSandbox(ROOT, {
  PATH: process.env.PATH,
  HOME: tmpdir(),
  XDG_CACHE_HOME: join(tmpdir(), 'kd-probe'),
});

let lab: Lab;
let redis: RedisServer;
let machine: Machine;
const setUp = async (options?: ConstructorParameters<typeof Lab>[1]): Promise<void> => {
  lab = new Lab({ 'greet.txt': 'hello\n', 'other.txt': 'other\n' }, options);
  execFileSync('git', ['init', '-q', '--bare', join(lab.folder, 'remote.git')], { env: lab.env });
  lab.git('remote', 'add', 'origin', join(lab.folder, 'remote.git'));
  lab.git('push', '-q', 'origin', 'main');
  redis = await new RedisServer(join(lab.folder, 'redis')).start();
  machine = new Machine(lab, 'machine', redis.url);
};
afterEach(async () => {
  await machine.end('SIGKILL');
  await redis.kill();
  lab.remove();
});
const run = (scenario: string, ...more: string[]): Promise<Ended> => {
  writeFileSync(join(lab.folder, 'spec.md'), spec(scenario));
  return lab.run(['run', '../spec.md', ...more], { env: { KIMI_DISPATCH_QUEUE_URL: redis.url } });
};
const off = { args: ['--sandbox', 'off'] };
const record = (id: string): string => join(lab.repo, '.git', 'kimi-dispatch', 'runs', id);
/** Where the machine keeps records of runs and homes with keys. */
const leftOn = (folder: string): string[] =>
  execFileSync('find', [join(machine.folder, 'state'), '-path', folder, '-mindepth', '1'], { encoding: 'utf8' })
    .split('\n')
    .filter(Boolean);

describe.skipIf(!hasRedis)('somebody who can write to Redis', () => {
  beforeEach(() => setUp());

  /** Runs something and changes the ended job before its result is taken. */
  const afterChange = async (change: (order: Order) => unknown, line?: string): Promise<Ended> => {
    const id = (await run('success', '--background')).stdout.trim();
    const { pid } = JSON.parse((await lab.run(['status', '--json'])).stdout).runs[0];
    process.kill(pid, 'SIGKILL');
    await machine.work(off);
    await until('the run has ended there', () => machine.said.includes(': succeeded'));
    const connection = new Redis(redis.url, { maxRetriesPerRequest: null });
    const queue = new Queue('runs', { connection, prefix: 'kimi-dispatch' });
    await until('its job has ended', async () => (await (await queue.getJob(id))?.isCompleted()) === true);
    const job = await queue.getJob(id);
    await job?.updateData(change(job.data));
    if (line !== undefined) await job?.log(line);
    await queue.close();
    connection.disconnect();
    return lab.run(['wait', id], { env: { KIMI_DISPATCH_QUEUE_URL: redis.url } });
  };

  it('cannot have files of a run replaced, or folders removed', async () => {
    const evil = join(lab.folder, 'precious');
    writeFileSync(evil, '');
    const line = JSON.stringify({ t: '2026-01-01T00:00:00.000Z', type: 'run-started', v: 1, home: evil, id: 'x' });
    const ended = await afterChange((order) => order, line);
    expect(ended.code).toBe(0);
    await lab.run(['discard', '@last']);
    expect(existsSync(evil)).toBe(true);
  });

  it.each([
    ['another spec', (order: Order) => ({ ...order, spec: `${order.spec}\n`, digest: order.digest })],
    ['another branch', (order: Order) => ({ ...order, branch: 'kimi/other' })],
    ['another base', (order: Order) => ({ ...order, base: 'f'.repeat(40) })],
    ['a log that is no log', (order: Order) => ({ ...order, done: { ...order.done, logs: { 'spec.md': '' } } })],
    [
      'a result of another run',
      (order: Order) => ({ ...order, done: { ...order.done, result: { ...order.done?.result, run: '../../x' } } }),
    ],
  ])('%s is refused', async (_name, change) => {
    const ended = await afterChange(change);
    expect(ended.code).not.toBe(0);
    expect(ended.stderr).not.toContain('defect');
    expect(existsSync(join(lab.repo, '.git', 'refs', 'heads', 'kimi', 'other'))).toBe(false);
  });

  it('what a worker tells is a closed list', () => {
    const t = '2026-01-01T00:00:00.000Z';
    expect(readStory(JSON.stringify({ t, type: 'step-started', step: 'kimi', title: 'Kimi' }))).toBeDefined();
    for (const line of ['', '[]', '{', JSON.stringify({ t, type: 'merged' }), JSON.stringify({ type: 'discarded' })])
      expect(readStory(line)).toBeUndefined();
  });

  it('the remotes that a worker is for are whole addresses or lie below one', () => {
    expect(isBelow('https://host/team/p.git', 'https://host/team')).toBe(true);
    expect(isBelow('git@host:team/p.git', 'git@host:team/')).toBe(true);
    expect(isBelow('https://host/team-evil/p.git', 'https://host/team')).toBe(false);
    expect(isBelow('https://host/team/../evil/p.git', 'https://host/team')).toBe(false);
    expect(isBelow('https://host.evil/p.git', 'https://host')).toBe(false);
  });
});

describe.skipIf(!hasRedis)('a worker', () => {
  it('survives orders of every kind, and carries out the next good one', async () => {
    await setUp();
    const connection = new Redis(redis.url, { maxRetriesPerRequest: null });
    const queue = new Queue('runs', { connection, prefix: 'kimi-dispatch' });
    for (const data of [null, 7, 'text', [], {}, { version: { toString: 1 } }, { version: 'x'.repeat(5_000_000) }])
      await queue.add('run', data);
    redis.ask('hset', 'kimi-dispatch:runs:bad', 'name', 'run', 'data', '{broken', 'opts', '{}', 'timestamp', '1');
    redis.ask('lpush', 'kimi-dispatch:runs:wait', 'bad');
    await queue.close();
    connection.disconnect();
    await machine.work(off);
    expect((await run('success')).code).toBe(0);
  });

  it('that was killed tidies up when it starts again, and takes its run again', async () => {
    await setUp();
    await machine.work(off);
    const pending = run('slow 2', '--json');
    await until('it is at work', () => leftOn('*/homes/*').length > 0);
    await pause(500);
    await machine.end('SIGKILL');
    await machine.work(off);
    const ended = await pending;
    expect([ended.code, JSON.parse(ended.stdout).outcome]).toEqual([0, 'succeeded']);
    await until(
      'nothing of it is left',
      () => leftOn('*/kimi-dispatch/runs/*').length + leftOn('*/homes/*').length === 0,
    );
  });

  it('that is told to end while it prepares gives its run back', async () => {
    await setUp();
    const profiles = join(machine.folder, 'config', 'kimi-dispatch', 'profiles.toml');
    writeFileSync(profiles, "[default]\nsetup = 'sleep 5'\n");
    // The clone of a worker knows no branch of a person's: without a sandbox its owner has to agree.
    machine.env.KIMI_DISPATCH_UNREVIEWED = 'run';
    await machine.work(off);
    const pending = run('success');
    await until('it has the run', () => machine.said.includes(': taken'));
    await pause(700);
    expect((await machine.end('SIGTERM')).code).toBe(0);
    writeFileSync(profiles, '');
    await machine.work(off);
    expect((await pending).code).toBe(0);
  });

  it('with the real Kimi', async () => {
    const model = await startModel(({ turn }) =>
      turn === 0
        ? { calls: [{ name: 'Write', arguments: { path: 'greet.txt', content: 'please\n' } }] }
        : { text: 'Done.' },
    );
    try {
      await setUp({ kimi: 'real', config: kimiConfig(model.url) });
      await machine.work(off);
      const ended = await run('none', '--json');
      expect([ended.code, machine.said]).toEqual([0, expect.stringContaining('succeeded')]);
      const result = JSON.parse(ended.stdout);
      expect([result.kimi.version, result.changes[0].path]).toEqual([expect.stringMatching(/^\d/), 'greet.txt']);
      expect((await lab.run(['merge', '@last'])).code).toBe(0);
      expect(readFileSync(join(lab.repo, 'greet.txt'), 'utf8')).toBe('please\n');
    } finally {
      await model.close();
    }
  });

  it.skipIf(!probe.works)(
    'runs in the sandbox unless told otherwise, and its result is verified behind walls here',
    async () => {
      await setUp();
      machine.env.KIMI_DISPATCH_SANDBOX = '';
      await machine.work({ walls: false });
      const ended = await run('success', '--json');
      expect([ended.code, machine.said]).toEqual([0, expect.stringContaining('succeeded')]);
      const result = JSON.parse(ended.stdout);
      expect(result.sandbox).toBe('on');
      lab.write({ 'other.txt': 'moved\n' });
      lab.commit('The branch moves');
      const merged = await lab.run(['merge', result.run], { env: { KIMI_DISPATCH_SANDBOX: 'required' } });
      expect([merged.code, merged.stdout]).toEqual([0, expect.stringContaining('verified again')]);
      expect(readdirSync(record(result.run))).toContain('walls.json');
    },
  );
});
