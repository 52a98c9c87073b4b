import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { permit } from '../../src/hook/permission.ts';
import { bootId, sandboxProven } from '../../src/process/proven.ts';
import { Lab, spec } from '../helpers/repo.ts';
import { probe } from '../helpers/sandbox.ts';

const on = { KIMI_DISPATCH_SANDBOX: 'required' };

let lab: Lab;
afterEach(() => lab.remove());
const withSpec = (text: string, files: Record<string, string> = {}): void => {
  lab = new Lab({ 'greet.txt': 'hello\n', ...files });
  writeFileSync(join(lab.folder, 'spec.md'), text);
};
const run = (...more: string[]) => lab.run(['run', '../spec.md', ...more], { env: on });
describe.skipIf(!probe.works)(`the sandbox (needs bubblewrap, socat and ripgrep)${probe.reason}`, () => {
  it('nothing survives when the dispatcher gets SIGKILL', async () => {
    withSpec(spec('slow 600'));
    const started = await lab.run(['run', '../spec.md', '--background'], { env: on });
    const id = started.stdout.trim();
    const events = join(lab.repo, '.git', 'kimi-dispatch', 'runs', id, 'events.ndjson');
    while (!readFileSync(events, 'utf8').includes('"tool-call"')) await new Promise((done) => setTimeout(done, 50));
    const { pid } = JSON.parse((await lab.run(['status', '--json'])).stdout).runs[0];
    process.kill(pid, 'SIGKILL');
    const mine = (): string[] =>
      execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })
        .split('\n')
        .filter((line) => line.includes(id));
    for (let waited = 0; waited < 50 && mine().length > 0; waited++) await new Promise((done) => setTimeout(done, 100));
    expect(mine()).toEqual([]);
    await lab.run(['recover']);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith(`kd-${id}`))).toEqual([]);
  }, 30_000);

  it('Kimi can stage and compare, and the repository does not notice', async () => {
    withSpec(spec('gits', { files: ['MODIFY greet.txt', 'CREATE moved.txt', 'CREATE staged.txt'] }));
    const before = lab.snapshot();
    expect((await run()).code).toBe(0);
    const result = await lab.result();
    expect(lab.git('show', `${result.branch}:staged.txt`)).toBe('greet.txt\nnew.txt');
    expect(lab.snapshot()).toEqual(before);
  });

  it('a verification that needs the network is named as refused, not as a red test', async () => {
    const script = `fetch('http://example.com').catch(() => process.exit(1))`;
    withSpec(spec('success', { verify: ['`node net.cjs`'] }), {
      'net.cjs': `const { request } = require('node:http'); const p = new URL(process.env.HTTP_PROXY); request({ host: 'localhost', port: p.port, path: 'http://example.com/', headers: { 'proxy-authorization': 'Basic ' + Buffer.from(p.username + ':' + p.password).toString('base64') } }, (r) => process.exit(r.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1)).end(); // ${script}\n`,
    });
    const ended = await run('--no-baseline');
    expect(ended.code).toBe(3);
    expect(ended.stdout).toMatch(/DENIED {2}node net\.cjs: the sandbox refused example\.com:80/);
    expect(ended.stdout).toContain('verifyHosts');
  });

  it('provisioning runs inside; registry credentials are there for a reviewed tree only', async () => {
    const files = ['MODIFY go.sum (ALLOW PROTECTED)'];
    withSpec(spec('sum', { files, verify: ['`grep -q two go.sum`'] }), {
      'go.sum': 'one\n',
      'setup.sh':
        'echo "sum $(cat go.sum) token $(grep -c SECRET ~/.npmrc)"\ncat ~/.netrc && echo LEAK\ntouch ~/escaped\n',
    });
    lab.write({ '.npmrc': '//r.example/:_authToken=SECRET\n', '.netrc': 'SECRET\n' }, lab.home);
    lab.write({ 'kimi-dispatch/profiles.toml': "[default]\nsetup = 'sh setup.sh'\n" }, join(lab.home, '.config'));
    const ended = await run();
    expect([ended.code, ended.stderr]).toEqual([0, expect.anything()]);
    const log = readFileSync(join((await lab.result()).files.folder, 'provision.log'), 'utf8');
    expect(log).toMatch(/^sum one token 1$/m);
    expect(log).toMatch(/^sum two token (?:0)?$/m);
    expect(log).not.toContain('LEAK');
    expect(existsSync(join(lab.home, 'escaped'))).toBe(false);
  });

  it('a limit ends what runs inside', async () => {
    withSpec(spec('stubborn'));
    const ended = await run('--timeout', '2');
    expect(ended.code).toBe(6);
    expect((await lab.result()).outcome).toBe('deadline');
  }, 30_000);

  it('leaves no mount stubs in the change, and tests may write caches', async () => {
    withSpec(spec('success', { verify: ['`sh check.sh`'] }), {
      'check.sh':
        'set -e\nmkdir -p "$XDG_CACHE_HOME/x" "$TMPDIR/y"\ntouch "$XDG_CACHE_HOME/x/a" "$TMPDIR/y/b" out.log\ngrep -q please greet.txt\n',
      '.gitignore': 'out.log\n',
    });
    expect((await run()).code).toBe(0);
    expect((await lab.result()).changes.map((change) => change.path)).toEqual(['greet.txt']);
  });
});

describe('without the sandbox', () => {
  it('a run that a hook allowed is refused where the sandbox was proven once and fails now', async () => {
    withSpec(spec('success'));
    lab.write(
      { '.cache/kimi-dispatch/sandbox.json': JSON.stringify({ boot: bootId(), works: true, key: 'x' }) },
      lab.home,
    );
    const seen = { mode: 'default', proven: sandboxProven({ HOME: lab.home }), read: () => '' };
    expect(permit('kimi-dispatch run spec.md --sandbox required', seen)).toBe('allow');
    for (const weaker of ['', ' --sandbox auto', ' --sandbox=auto'])
      expect(permit(`kimi-dispatch run spec.md${weaker}`, seen)).toBeUndefined();
    const bin = join(lab.folder, 'bin');
    lab.write({ bwrap: '#!/bin/sh\nexit 1\n' }, bin);
    chmodSync(join(bin, 'bwrap'), 0o755);
    const refused = await lab.run(['run', '../spec.md', '--sandbox', 'required'], {
      env: { PATH: `${bin}:${process.env.PATH}` },
    });
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('The sandbox is required')]);
    expect(JSON.parse((await lab.run(['status', '--json'])).stdout).runs).toEqual([]);
  });

  it('required refuses where a part is missing, and says what to install; auto says so in the result', async () => {
    withSpec(spec('success'));
    const bin = join(lab.folder, 'bin');
    mkdirSync(bin);
    for (const name of ['git', 'node', 'grep', 'sh'])
      execFileSync('ln', ['-s', execFileSync('which', [name], { encoding: 'utf8' }).trim(), join(bin, name)]);
    const without = { PATH: bin };
    const refused = await lab.run(['run', '../spec.md'], { env: { ...without, KIMI_DISPATCH_SANDBOX: 'required' } });
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/bwrap.*not installed: apt-get install/)]);
    const inCi = await lab.run(['run', '../spec.md'], { env: { ...without, CI: 'true', KIMI_DISPATCH_SANDBOX: '' } });
    expect(inCi.code).toBe(2);
    const auto = await lab.run(['run', '../spec.md', '--sandbox', 'auto'], { env: without });
    expect([auto.code, auto.stdout]).toEqual([0, expect.stringContaining('no sandbox: bwrap')]);
  });
});
