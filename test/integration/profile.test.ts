import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { QuotaBook, serviceUsage } from '../../src/profile/quota.ts';
import { Lab, spec } from '../helpers/repo.ts';

let lab: Lab;
beforeEach(() => {
  lab = new Lab({ 'greet.txt': 'hello\n' });
  writeFileSync(join(lab.folder, 'spec.md'), spec('success'));
});
afterEach(() => lab.remove());

it('lists, shows, adds and uses profiles; Kimi’s own files are never touched', async () => {
  const config = readFileSync(join(lab.home, '.kimi-code', 'config.toml'), 'utf8');
  expect((await lab.run(['profile', 'list'])).stdout).toMatch(/\* default\n {2}moderato\n {2}swarm/);
  expect((await lab.run(['profile', 'show', 'moderato'])).stdout).toMatch(
    /steps = 100\nwallSeconds = 300\n[\s\S]*requestsPerWeek = 2048/,
  );
  expect(
    (await lab.run(['profile', 'add', 'careful', 'steps=7', 'hosts=a.example,b.example', 'setup=make it'])).code,
  ).toBe(0);
  expect((await lab.run(['profile', 'use', 'careful'])).code).toBe(0);
  expect((await lab.run(['run', '../spec.md', '--dry-run'])).stdout).toContain('7 steps');
  writeFileSync(join(lab.repo, '.kimi-dispatch.toml'), 'profile = "moderato"\nhosts = ["evil.example"]\n');
  expect((await lab.run(['run', '../spec.md', '--dry-run'])).stdout).toContain('100 steps, 300 s');
  expect(readFileSync(join(lab.home, '.kimi-code', 'config.toml'), 'utf8')).toBe(config);
  for (const args of [
    ['use', 'nope'],
    ['add', 'x', 'steps=-1'],
    ['add', 'x', 'colour=red'],
    ['add', 'x', 'steps'],
    ['dance'],
  ]) {
    const ended = await lab.run(['profile', ...args]);
    expect([args, ended.code]).toEqual([args, 2]);
  }
});

it('swarm allows parallel sub-agents, the others do not', async () => {
  await lab.run(['run', '../spec.md']);
  const plain = JSON.parse((await lab.run(['status', '--json'])).stdout).runs[0];
  expect(readFileSync(join(plain.home, 'config.toml'), 'utf8')).toContain('AgentSwarm');
  await lab.run(['run', '../spec.md', '--profile', 'swarm']);
  const wide = JSON.parse((await lab.run(['status', '--json'])).stdout).runs[1];
  expect(readFileSync(join(wide.home, 'config.toml'), 'utf8')).not.toContain('AgentSwarm');
});

it('counts requests, warns near the end of the week’s quota, and refuses beyond it with exit 7', async () => {
  await lab.run(['run', '../spec.md']);
  expect((await lab.run(['quota'])).stdout).toMatch(/^2 requests in the last seven days/);
  const account = new QuotaBook(lab.env).accounts()[0] ?? '';
  const now = Date.now();
  await lab.run(['profile', 'use', 'moderato']);
  new QuotaBook(lab.env).add({ t: now - 8 * 86_400_000, account, requests: 5000, run: 'old' });
  new QuotaBook(lab.env).add({ t: now - 1000, account, requests: 1700, run: 'x' });
  const near = await lab.run(['run', '../spec.md']);
  expect([near.code, near.stderr]).toEqual([0, expect.stringMatching(/1702 of 2048 requests of this week/)]);
  new QuotaBook(lab.env).add({ t: now, account, requests: 400, run: 'y' });
  const beyond = await lab.run(['run', '../spec.md']);
  expect([beyond.code, beyond.stderr]).toEqual([7, expect.stringMatching(/All 2048 requests[\s\S]*--profile/)]);
  expect((await lab.run(['run', '../spec.md', '--profile', 'default'])).code).toBe(0);
});

it('asks the service only when told, takes the worst of its shapes, and never fails for it', async () => {
  const body = { usages: { limit_7d: { used_ratio: 0 } }, usage: { used: '90', limit: '100' } };
  const server = createServer((request, response) => {
    response.statusCode = request.headers.authorization === 'Bearer k' ? 200 : 401;
    response.end(JSON.stringify(body));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const base = `http://127.0.0.1:${(server.address() as { port: number }).port}/v1`;
  expect(await serviceUsage(base, 'k')).toBe(0.9);
  expect(await serviceUsage(base, 'wrong')).toBeUndefined();
  server.close();
  expect(await serviceUsage('http://127.0.0.1:9', 'k')).toBeUndefined();
});

it('the seed’s two script names work', async () => {
  const bin = join(import.meta.dirname, '..', '..', 'bin');
  expect(existsSync(join(bin, 'kimi-wrapper.sh'))).toBe(true);
  const { execFileSync } = await import('node:child_process');
  const env = { ...lab.env, PATH: `${join(process.execPath, '..')}:${lab.env.PATH}` };
  execFileSync(join(bin, 'kimi-profile-switch.sh'), ['swarm'], { cwd: lab.repo, env });
  expect((await lab.run(['profile', 'list'])).stdout).toContain('* swarm');
  const said = execFileSync(join(bin, 'kimi-wrapper.sh'), ['../spec.md', '--dry-run'], {
    cwd: lab.repo,
    env,
    encoding: 'utf8',
  });
  expect(said).toContain('300 steps, 3600 s');
});
