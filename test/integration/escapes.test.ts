import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MEMORY, SECRET_FILES, ways } from '../helpers/escapes.mjs';
import { Lab, spec } from '../helpers/repo.ts';
import { probe } from '../helpers/sandbox.ts';

const on = { KIMI_DISPATCH_SANDBOX: 'required' };
const ROOTED = process.getuid?.() === 0;
const CALLERS: [string, number][] = [
  ['the user who runs the tests', process.getuid?.() ?? 0],
  ...(ROOTED ? [['a user without privileges', 65534] as [string, number]] : []),
];

const servers: Server[] = [];
const listen = (where: number | string): Promise<Server> =>
  new Promise((done) => {
    const server = createServer((socket) => socket.end());
    servers.push(server);
    server.listen(where, () => done(server));
  });
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

interface Tried {
  readonly lab: Lab;
  readonly said: { tried: string[]; worked: string[] };
  readonly state: string;
  readonly run: string;
  readonly notes: string;
  readonly before: Record<string, string>;
  readonly after: Record<string, string>;
}

/** One run whose worker tries everything at once, while the user goes on working. */
async function tryWays(uid: number, word: string): Promise<Tried> {
  const verify = ['`grep -q please greet.txt`'];
  const own = new Lab({ 'greet.txt': 'hello\n', 'at.json': '{}' });
  const text = spec('escape', { files: ['MODIFY greet.txt', 'CREATE escapes.json'], verify });
  writeFileSync(join(own.folder, 'spec.md'), text);
  const secrets = [...SECRET_FILES, '.local/share/kimi-dispatch/mailbox/x', 'notes.txt', 'work/other/secret.txt'];
  for (const path of secrets) own.write({ [path]: 'SECRET\n' }, own.home);
  own.write({ '.config/kimi-dispatch/config.toml': '# SECRET\n' }, own.home);
  appendFileSync(join(own.home, '.gitconfig'), '[url "https://u:SECRET@git.example/"]\ninsteadOf = x:\n');
  const config = join(own.home, '.kimi-code', 'config.toml');
  writeFileSync(config, `# SECRET\n${readFileSync(config, 'utf8')}`);
  own.write({ '.env': 'SECRET\n', '.envrc': 'SECRET\n', 'notes.txt': 'SECRET\n', '.gitignore': '.env*\nnotes.txt\n' });
  own.git('config', 'remote.other.url', 'https://x:SECRET@git.example/x.git');
  own.write({ '.git/hooks/pre-push': '# SECRET\n', '.git/modules/sub/config': 'SECRET\n' });
  const tcp = await listen(0);
  const socket = join(own.folder, 's');
  await listen(socket);
  const remote = join(own.folder, 'remote.git');
  execFileSync('git', ['init', '-q', '--bare', remote]);
  const { dir } = JSON.parse((await own.run(['run', '../spec.md', '--dry-run', '--json'])).stdout);
  const state = dirname(dirname(dir));
  own.write({ 'worktrees/other/x.txt': 'SECRET\n', 'homes/other/config.toml': 'SECRET\n' }, state);
  own.write({ 'ffffffffffff/homes/x/config.toml': 'SECRET\n' }, join(state, '..'));
  own.write({ '.git/kimi-dispatch/runs/other/report.md': 'SECRET\n' });
  own.write({ temp: 'SECRET\n' }, own.folder);
  const namespace = (kind: string): string => readlinkSync(`/proc/self/ns/${kind}`);
  const at = {
    home: own.home,
    checkout: own.repo,
    common: join(own.repo, '.git'),
    state,
    remote,
    temp: join(own.folder, 'temp'),
    port: (tcp.address() as { port: number }).port,
    socket,
    pid: process.pid,
    word,
    ipc: namespace('ipc'),
    uts: namespace('uts'),
    pidNamespace: namespace('pid'),
    net: namespace('net'),
    user: namespace('user'),
  };
  own.write({ 'at.json': JSON.stringify(at) });
  own.commit('Where things are');
  const before = own.snapshot();
  const shared = readFileSync(join(own.repo, '.git', 'config'));
  const give = (who: number): void => {
    if (ROOTED) execFileSync('chown', ['-R', `${who}:${who}`, own.folder]);
  };
  give(uid);
  // What the user goes on doing meanwhile.
  const late = setInterval(() => {
    writeFileSync(join(own.folder, 'config.next'), shared);
    renameSync(join(own.folder, 'config.next'), join(at.common, 'config'));
    own.write({ '.late-secret': 'SECRET\n' }, own.home);
    own.write({ '.env.late': 'SECRET\n' });
    own.write({ 'late-secret': 'SECRET\n', 'kimi-dispatch/runs/late/report.md': 'SECRET\n' }, at.common);
    own.write({ 'worktrees/late/x.txt': 'SECRET\n' }, state);
  }, 100);
  const ended = await own.run(['run', '../spec.md'], { env: on, uid }).finally(() => clearInterval(late));
  for (const path of ['.env.late', '.git/late-secret']) rmSync(join(own.repo, path));
  give(process.getuid?.() ?? 0);
  expect(ended.stderr + ended.stdout).toContain('sandbox on');
  const result = await own.result();
  return {
    lab: own,
    said: JSON.parse(own.git('show', `${result.branch}:escapes.json`)),
    state,
    run: result.run,
    notes: result.notes.join('\n'),
    before,
    after: own.snapshot(),
  };
}

describe.skipIf(!probe.works).each(CALLERS)('stops every way out that is tried, for %s', (_who, uid) => {
  const word = `98${process.pid}${uid}`;
  let said: { tried: string[]; worked: string[] };
  let tried: Tried;
  beforeAll(async () => {
    tried = await tryWays(uid, word);
    said = tried.said;
  }, 120_000);
  afterAll(() => {
    for (const server of servers.splice(0)) server.close();
    tried?.lab.remove();
  });

  it.each(Object.keys(ways({})).filter((name) => !MEMORY.includes(name)))('%s', (name) => {
    expect(said.tried).toContain(name);
    expect(said.worked).not.toContain(name);
  });

  it.each(MEMORY)('%s: is memory, and nowhere on the host', (name) => expect(said.tried).toContain(name));

  it('what was written into closed folders is nowhere on the host', () => {
    const { lab: own, before, state, run: id } = tried;
    expect(tried.after).toEqual(before);
    const found = spawnSync('grep', ['-rlF', '# escaped', own.home, own.repo], { encoding: 'utf8' });
    expect(found.stdout).toBe('');
    for (const path of ['.ssh/authorized_keys', '.cache/kimi-dispatch/x', '.local/state/kimi-dispatch/claude-x'])
      expect(existsSync(join(own.home, path)), path).toBe(false);
    expect(existsSync(join(state, 'worktrees', 'other', 'x'))).toBe(false);
    expect(existsSync(join(state, 'worktrees', 'other', 'x.txt'))).toBe(true);
    for (const path of [`/tmp/escaped-${id}`, '/tmp/claude/escaped', join(own.home, 'remounted')])
      expect(existsSync(path), path).toBe(false);
  });

  it('nothing stays behind, and the hosts that were tried are named', () => {
    expect(sleepers(word)).toEqual([]);
    expect(tried.notes).toMatch(/sandbox refused Kimi the host example\.com:443/);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith(`kd-${tried.run}`))).toEqual([]);
  });
});
