import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { probeSandbox } from '../../src/process/sandbox.ts';
import { Lab, ROOT, spec } from '../helpers/repo.ts';

const probe = await probeSandbox(ROOT, {
  PATH: process.env.PATH,
  HOME: tmpdir(),
  XDG_CACHE_HOME: join(tmpdir(), 'kd-probe'),
});
const on = { KIMI_DISPATCH_SANDBOX: 'required' };

let lab: Lab;
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  lab.remove();
});
const listen = (where: number | string): Promise<Server> =>
  new Promise((done) => {
    const server = createServer((socket) => socket.end());
    servers.push(server);
    server.listen(where, () => done(server));
  });
const withSpec = (text: string, files: Record<string, string> = {}): void => {
  lab = new Lab({ 'greet.txt': 'hello\n', ...files });
  writeFileSync(join(lab.folder, 'spec.md'), text);
};
const run = (...more: string[]) => lab.run(['run', '../spec.md', ...more], { env: on });
const sleepers = (word: string): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    })
    .filter((line) => line.startsWith('sleep') && line.includes(word));

describe.skipIf(!probe.works)(`the sandbox (needs bubblewrap, socat and ripgrep)${probe.reason}`, () => {
  it('stops every way out that is tried, and nothing stays behind', async () => {
    withSpec(
      spec('escape', { files: ['MODIFY greet.txt', 'CREATE escapes.json'], verify: ['`grep -q please greet.txt`'] }),
      {
        'at.json': '{}',
      },
    );
    const word = `98${process.pid}`;
    const secrets = [
      '.pgpass',
      '.local/share/kimi-dispatch/mailbox/x',
      'notes.txt',
      'work/other/secret.txt',
      '.ssh/id_rsa',
      '.aws/credentials',
      '.netrc',
      '.npmrc',
      '.claude/settings.json',
      '.bash_history',
    ];
    for (const path of secrets) lab.write({ [path]: 'SECRET\n' }, lab.home);
    writeFileSync(
      join(lab.home, '.kimi-code', 'config.toml'),
      `# SECRET\n${readFileSync(join(lab.home, '.kimi-code', 'config.toml'), 'utf8')}`,
    );
    lab.write({ '.config/kimi-dispatch/config.toml': '# SECRET\n' }, lab.home);
    lab.write({ '.env': 'SECRET\n', '.envrc': 'SECRET\n', '.gitignore': '.env\n.envrc\n' });
    lab.git('config', 'remote.other.url', 'https://x:SECRET@git.example/x.git');
    const tcp = await listen(0);
    const socket = join(lab.folder, 's');
    await listen(socket);
    const remote = join(lab.folder, 'remote.git');
    execFileSync('git', ['init', '-q', '--bare', remote]);
    const id = JSON.parse((await lab.run(['run', '../spec.md', '--dry-run', '--json'])).stdout)
      .dir.split('/')
      .at(-3);
    const state = join(lab.home, '.local', 'state', 'kimi-dispatch', id);
    lab.write({ 'worktrees/other/x.txt': 'SECRET\n', 'homes/other/config.toml': 'SECRET\n' }, state);
    lab.write({ '.git/kimi-dispatch/runs/other/report.md': 'SECRET\n' });
    const at = {
      home: lab.home,
      checkout: lab.repo,
      common: join(lab.repo, '.git'),
      state,
      remote,
      port: (tcp.address() as { port: number }).port,
      socket,
      pid: process.pid,
      word,
    };
    lab.write({ 'at.json': JSON.stringify(at) });
    lab.commit('Where things are');
    const before = lab.snapshot();
    const ended = await run();
    expect(ended.stderr + ended.stdout).toContain('sandbox on');
    const result = await lab.result();
    const said = JSON.parse(lab.git('show', `${result.branch}:escapes.json`));
    // A closed home is an empty one of the sandbox's own: what is written there is nowhere afterwards.
    const own = [
      'poison the compile cache of Kimi',
      "forge the hooks' state",
      'a line for .bashrc',
      'write through a link',
    ];
    expect(said.worked.filter((way: string) => !own.includes(way))).toEqual([]);
    for (const path of ['.bashrc', '.profile', '.cache/kimi-dispatch/x', '.local/state/kimi-dispatch/claude-x'])
      expect(existsSync(join(lab.home, path)), path).toBe(false);
    expect(said.tried).toBeGreaterThanOrEqual(30);
    console.log(`ways out of the sandbox: ${said.tried} tried, ${said.tried - said.worked.length} stopped`);
    expect(lab.snapshot()).toEqual(before);
    expect(existsSync(join(lab.home, '.ssh', 'authorized_keys'))).toBe(false);
    expect(sleepers(word)).toEqual([]);
    expect(existsSync(join(state, 'worktrees', 'other', 'x.txt'))).toBe(true);
    expect(result.notes.join('\n')).toMatch(/sandbox refused Kimi the host example\.com:443/);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith(`kd-${result.run}`))).toEqual([]);
  }, 60_000);

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
