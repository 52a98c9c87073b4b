import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab, ROOT } from '../helpers/repo.ts';

/** Everything below a folder: path → kind, mode and content. */
function photograph(folder: string, at = folder, seen: Record<string, string> = {}): Record<string, string> {
  for (const name of existsSync(at) ? readdirSync(at) : []) {
    const path = join(at, name);
    const stat = lstatSync(path);
    const content = stat.isSymbolicLink() ? readlinkSync(path) : stat.isFile() ? readFileSync(path, 'utf8') : '';
    seen[relative(folder, path)] = `${stat.mode} ${content}`;
    if (stat.isDirectory()) photograph(folder, path, seen);
  }
  return seen;
}

describe('install and uninstall', () => {
  let lab: Lab;
  let claude: string;
  beforeEach(() => {
    lab = new Lab({ 'greet.txt': 'hello\n' });
    claude = join(lab.home, '.claude');
    mkdirSync(join(claude, 'commands'), { recursive: true });
    writeFileSync(join(claude, 'settings.json'), '{ "theme": "dark" }\n');
    writeFileSync(join(claude, 'commands', 'mine.md'), 'mine\n');
  });
  afterEach(() => lab.remove());

  it('is exact: after uninstall the Claude home is byte-identical, and so is what lies beside it', async () => {
    const before = photograph(claude);
    const plan = await lab.run(['install', '--dry-run']);
    expect(plan.stdout).toContain('Nothing was changed.');
    expect(photograph(claude)).toEqual(before);
    expect((await lab.run(['install'])).code).toBe(0);
    for (const path of [
      'commands/kimi-spec.md',
      'commands/kimi-dispatch.md',
      'skills/kimi-dispatch/rules/kimi-delegation.md',
      'templates/hybrid/spec-template.md',
      'skills/kimi-dispatch/.claude-plugin/plugin.json',
    ])
      expect(existsSync(join(claude, path)), path).toBe(true);
    expect(readFileSync(join(claude, 'settings.json'), 'utf8')).toBe('{ "theme": "dark" }\n');
    expect((await lab.run(['uninstall'])).code).toBe(0);
    expect(photograph(claude)).toEqual(before);
    expect(existsSync(join(lab.home, '.local', 'share', 'kimi-dispatch'))).toBe(false);
    expect((await lab.run(['uninstall'])).code).toBe(2);
  });

  it('makes a Claude home where there is none, and takes it away again', async () => {
    rmSync(claude, { recursive: true });
    expect((await lab.run(['install'])).code).toBe(0);
    expect((await lab.run(['uninstall'])).code).toBe(0);
    expect(photograph(claude)).toEqual({});
  });

  it('the program it leaves runs without the folder that it came from', async () => {
    await lab.run(['install']);
    const shim = join(claude, 'skills', 'kimi-dispatch', 'bin', 'kimi-dispatch');
    expect(execFileSync(shim, ['status'], { cwd: lab.repo, env: lab.env, encoding: 'utf8' })).toContain('No runs');
    expect(readFileSync(shim, 'utf8')).not.toContain(ROOT);
    rmSync(join(lab.home, '.local', 'share', 'kimi-dispatch', 'runtime'), { recursive: true });
    expect(() => execFileSync(shim, ['status'], { env: lab.env, stdio: 'pipe' })).toThrow(/npx kimi-dispatch install/);
  });

  it("keeps what the user edited, puts the new version beside it, and does not take somebody else's file", async () => {
    writeFileSync(join(claude, 'commands', 'kimi-status.md'), 'my own\n');
    await lab.run(['install']);
    expect(readFileSync(join(claude, 'commands', 'kimi-status.md'), 'utf8')).toBe('my own\n');
    expect(existsSync(join(claude, 'commands', 'kimi-status.md.new'))).toBe(true);
    writeFileSync(join(claude, 'commands', 'kimi-spec.md'), 'edited\n');
    const again = await lab.run(['upgrade']);
    expect(again.stdout).toContain('kimi-spec.md was changed by you and is kept');
    const gone = await lab.run(['uninstall']);
    expect(gone.stdout).toContain(`kept ${join(claude, 'commands', 'kimi-spec.md')}`);
    expect(Object.keys(photograph(claude)).sort()).toEqual([
      'commands',
      'commands/kimi-spec.md',
      'commands/kimi-status.md',
      'commands/mine.md',
      'settings.json',
    ]);
  });

  it('honours CLAUDE_CONFIG_DIR, a linked home and linked files, and --project', async () => {
    const other = join(lab.folder, 'dot files');
    mkdirSync(other);
    symlinkSync(other, join(lab.folder, 'linked'));
    writeFileSync(join(lab.folder, 'rule.md'), 'old rule\n');
    const env = { CLAUDE_CONFIG_DIR: join(lab.folder, 'linked') };
    expect((await lab.run(['install'], { env })).code).toBe(0);
    expect(existsSync(join(other, 'commands', 'kimi-spec.md'))).toBe(true);
    expect(lstatSync(join(lab.folder, 'linked')).isSymbolicLink()).toBe(true);
    const twice = await lab.run(['install', '--project'], { env });
    expect([twice.code, twice.stderr]).toEqual([2, expect.stringContaining('ask twice')]);
    expect((await lab.run(['uninstall'], { env })).code).toBe(0);
    expect((await lab.run(['install', '--project'])).code).toBe(0);
    expect(existsSync(join(lab.repo, '.claude', 'commands', 'kimi-spec.md'))).toBe(true);
    expect((await lab.run(['uninstall', '--project'])).code).toBe(0);
    expect(lab.git('status', '--porcelain')).toBe('');
  });

  it('ends with the table of doctor, and says how an open session gets it', async () => {
    const said = (await lab.run(['install'])).stdout;
    expect(said).toMatch(/is installed[\s\S]*ok {6}Kimi {9}kimi-code[\s\S]*Sandbox[\s\S]*\/reload-plugins/);
    expect(said).toContain('install --allow-look');
  });

  it('puts the command onto the PATH where a place of the user is on it, and takes only its own away', async () => {
    const bin = join(lab.home, '.local', 'bin');
    mkdirSync(bin, { recursive: true });
    const env = { PATH: `${bin}:${lab.env.PATH}` };
    const file = join(bin, 'kimi-dispatch');
    expect((await lab.run(['install'], { env })).stdout).toContain(`Command      ${file}`);
    expect(execFileSync(file, ['status'], { cwd: lab.repo, env: lab.env, encoding: 'utf8' })).toContain('No runs');
    await lab.run(['uninstall'], { env });
    expect(existsSync(file)).toBe(false);
    writeFileSync(file, 'mine');
    await lab.run(['install'], { env });
    await lab.run(['uninstall'], { env });
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });

  it('where no such place is, doctor names the way that works', async () => {
    await lab.run(['install']);
    const { rows } = JSON.parse((await lab.run(['doctor', '--json'])).stdout) as {
      rows: { check: string; remedy?: string }[];
    };
    expect(rows.find((row) => row.check === 'Command')?.remedy).toBe(
      join(claude, 'skills', 'kimi-dispatch', 'bin', 'kimi-dispatch'),
    );
  });

  it('doctor says which command of the same name is active', async () => {
    writeFileSync(join(claude, 'commands', 'kimi-status.md'), 'my own\n');
    await lab.run(['install']);
    expect((await lab.run(['doctor'])).stdout).toMatch(/note {4}\/kimi-status +your own is active: .*kimi-status\.md/);
  });

  it('--allow-look adds the two narrow rules, and uninstall restores the settings byte for byte', async () => {
    const file = join(claude, 'settings.json');
    await lab.run(['install', '--allow-look']);
    await lab.run(['install', '--allow-look']);
    const allowed = ['Bash(kimi-dispatch show:*)', 'Bash(kimi-dispatch diff:*)'];
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ theme: 'dark', permissions: { allow: allowed } });
    await lab.run(['uninstall']);
    expect(readFileSync(file, 'utf8')).toBe('{ "theme": "dark" }\n');
    await lab.run(['install', '--allow-look']);
    writeFileSync(file, JSON.stringify({ theme: 'light', permissions: { allow: ['Read', ...allowed] } }));
    await lab.run(['uninstall']);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ theme: 'light', permissions: { allow: ['Read'] } });
  });

  it('two installs at once end well', async () => {
    const both = await Promise.all([lab.run(['install']), lab.run(['install'])]);
    expect(both.map((ended) => ended.code)).toEqual([0, 0]);
    expect((await lab.run(['doctor', '--json'])).stdout).toContain('"as files"');
    expect((await lab.run(['uninstall'])).code).toBe(0);
    expect(Object.keys(photograph(claude)).sort()).toEqual(['commands', 'commands/mine.md', 'settings.json']);
  });

  it.each([
    ['an invalid settings.json', () => writeFileSync(join(claude, 'settings.json'), '{ "a": 1, }'), /not valid JSON/],
    ['a file in the place of a folder', () => writeFileSync(join(claude, 'skills'), 'a file'), /not a directory/],
    [
      'a folder in the place of a file',
      () => mkdirSync(join(claude, 'commands', 'kimi-status.md', 'x'), { recursive: true }),
      /Cannot read/,
    ],
    [
      'the plugin already there',
      () => {
        mkdirSync(join(claude, 'plugins'));
        writeFileSync(join(claude, 'plugins', 'installed_plugins.json'), '{"plugins":{"kimi-dispatch@market":[]}}');
      },
      /ask twice/,
    ],
  ])('%s: a clear error and nothing half done', async (_name, spoil, message) => {
    spoil();
    const before = photograph(claude);
    const ended = await lab.run(['install']);
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(photograph(claude)).toEqual(before);
    expect(existsSync(join(lab.home, '.local', 'share', 'kimi-dispatch', 'runtime'))).toBe(false);
  });

  it.skipIf(!canMount())('a disk that is full half way, and one that is read-only (needs mount)', async () => {
    const small = join(lab.folder, 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=28k', 'tmpfs', small]);
    try {
      const env = { CLAUDE_CONFIG_DIR: small };
      const full = await lab.run(['install'], { env });
      expect([full.code, full.stderr]).toEqual([6, expect.stringContaining('The disk is full')]);
      expect(photograph(small)).toEqual({});
      execFileSync('mount', ['-o', 'remount,ro', small]);
      const readOnly = await lab.run(['install'], { env });
      expect([readOnly.code, readOnly.stderr]).toEqual([2, expect.stringContaining('read-only')]);
    } finally {
      execFileSync('umount', [small]);
    }
  });

  it('doctor: a table with a remedy for each row, exit 1 when something is broken', async () => {
    const healthy = await lab.run(['doctor']);
    expect(healthy.code).toBe(0);
    expect(healthy.stdout).toMatch(/ok {6}Kimi {9}kimi-code 2\.1\.0/);
    expect(healthy.stdout).toContain('fix: npx kimi-dispatch install');
    const broken = await lab.run(['doctor', '--json'], { env: { KIMI_BIN: '/nowhere' } });
    expect(broken.code).toBe(1);
    const rows = JSON.parse(broken.stdout).rows as { check: string; verdict: string; remedy?: string }[];
    expect(rows.find((row) => row.check === 'Kimi')).toMatchObject({
      verdict: 'broken',
      remedy: expect.stringContaining('npm install'),
    });
    expect(rows.every((row) => row.verdict === 'ok' || row.remedy !== undefined)).toBe(true);
  });
});

function canMount(): boolean {
  return process.getuid?.() === 0 && statSync('/proc/mounts', { throwIfNoEntry: false }) !== undefined && tryMount();
}
function tryMount(): boolean {
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}
