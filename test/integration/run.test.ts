import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Lab, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab.remove());

const FILES = { 'greet.txt': 'hello\n', 'src/a.ts': 'export const a = 1;\n' };
const withSpec = (
  text: string,
  files: Record<string, string> = FILES,
  options: ConstructorParameters<typeof Lab>[1] = {},
): Lab => {
  lab = new Lab(files, options);
  writeFileSync(join(lab.folder, 'spec.md'), text);
  return lab;
};
/** False also for a zombie, which waits only for its parent to take note. */
function isRunning(pid: string): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

const run = (...more: string[]) => lab.run(['run', '../spec.md', ...more]);

describe('every ending leaves the checkout as it was', () => {
  const endings: [string, number, string, string[]][] = [
    ['success', 0, 'succeeded', []],
    ['wrong', 3, 'verification-failed', ['--no-baseline']],
    ['elsewhere', 4, 'out-of-scope', []],
    ['nothing', 5, 'no-changes', []],
    ['stubborn', 6, 'deadline', ['--timeout', '1']],
    ['crash', 7, 'agent-failed', []],
    ['quota', 7, 'agent-failed', []],
    ['blocked', 8, 'blocked', []],
    ['commits', 0, 'succeeded', []],
  ];
  it.each(endings)('%s ends with %i', async (scenario, code, outcome, more) => {
    withSpec(spec(scenario));
    lab.write({ 'dirty.txt': 'mine', 'greet.txt': 'my own edit\n' });
    lab.git('stash', 'push', '-q', '-m', 'kept', '--', 'greet.txt');
    const before = lab.snapshot();
    const ended = await run(...more);
    expect(ended.stdout + ended.stderr).toContain(outcome.toUpperCase());
    expect(ended.code).toBe(code);
    expect(lab.snapshot()).toEqual(before);
    const result = await lab.result();
    expect(result.outcome).toBe(outcome);
    expect(result.notes.join()).toContain('dirty.txt');
    expect(ended.stdout.trimEnd().split('\n').length).toBeLessThanOrEqual(40);
    expect(ended.stdout.length).toBeLessThanOrEqual(4800);
  });
});

describe('a run', () => {
  it('collects every kind of change, and not what is ignored', async () => {
    withSpec(
      spec('everything', {
        files: [
          'MODIFY greet.txt',
          'DELETE `old name.txt`',
          'CREATE `neu ü.txt`',
          'DELETE gone.txt',
          'CREATE image.bin',
          'CREATE `-dash.txt`',
          'CREATE run.sh',
          'CREATE link',
        ],
      }),
      {
        ...FILES,
        'old name.txt': 'same\n',
        'gone.txt': 'x\n',
        '.gitignore': 'ignored/\n',
      },
    ); // prettier-ignore
    const ended = await run();
    expect(ended.code).toBe(0);
    const { changes, branch } = await lab.result();
    expect(changes.map((change: { status: string; path: string }) => `${change.status} ${change.path}`).sort()).toEqual(
      [
        'A -dash.txt',
        'A image.bin',
        'A link',
        'A neu ü.txt',
        'A run.sh',
        'D gone.txt',
        'D old name.txt',
        'M greet.txt',
      ].sort(),
    );
    const tree = lab.git('ls-tree', branch);
    expect(tree).toContain('120000');
    expect(tree).toMatch(/100755.*run\.sh/);
    const message = lab.git('log', '-1', '--format=%B', branch);
    expect(message).toMatch(/Kimi-Dispatch-Run: \S+\nKimi-Dispatch-Spec: sha256:[0-9a-f]{64}\nKimi-Version: 2\.1\.0/);
    lab.git('checkout', '-q', '-b', 'copy');
    lab.git('apply', join(lab.repo, '.git/kimi-dispatch/runs', (await lab.result()).run, 'changes.patch'));
  });

  it('does not count the commits of the worker, and says that it made them', async () => {
    withSpec(spec('commits'));
    await run();
    const result = await lab.result();
    expect(result.notes.join()).toMatch(/HEAD was moved.*commits were made/s);
    expect(lab.git('rev-list', '--count', `${result.base}..${result.commit}`)).toBe('1');
  });

  it('keeps lines that are no records as a count', async () => {
    withSpec(spec('garbage'));
    expect((await run()).code).toBe(0);
    expect((await lab.result()).kimi?.unreadableLines).toBe(3);
  });

  it('lets nothing outlive it', async () => {
    withSpec(spec('orphans'));
    expect((await run()).code).toBe(0);
    const result = await lab.result();
    expect(result.kimi?.survivors).toBeGreaterThan(0);
    const pids = readFileSync(join(lab.kimiHome(result.run), 'pids'), 'utf8')
      .trim()
      .split('\n');
    for (const pid of pids) expect(isRunning(pid)).toBe(false);
  });

  it('shows the worker an environment without credentials', async () => {
    withSpec(spec('environment'));
    const ended = await lab.run(['run', '../spec.md'], {
      env: { AWS_SECRET_ACCESS_KEY: 'x', GITHUB_TOKEN: 'y', KIMI_MODEL_API_KEY: 'z' },
    });
    expect(ended.code).toBe(0);
    const seen = lab.git('show', `${(await lab.result()).branch}:greet.txt`);
    expect(seen).toContain('KIMI_CODE_HOME');
    expect(seen).not.toMatch(/AWS_|GITHUB_TOKEN|API_KEY/);
  });

  it('is cancelled by a signal, and saves the work', async () => {
    withSpec(spec('stubborn'));
    const before = lab.snapshot();
    const ended = await lab.run(['run', '../spec.md', '--no-baseline'], {
      after: (pid) => void lab.heard('"tool-call"').then(() => process.kill(pid, 'SIGINT')),
    });
    expect(ended.code).toBe(130);
    expect((await lab.result()).changes).toHaveLength(1);
    expect(lab.snapshot()).toEqual(before);
  });

  it('prints the steps and starts nothing with --dry-run', async () => {
    withSpec(spec('success'));
    const ended = await run('--dry-run', '--json');
    expect(ended.code).toBe(0);
    expect(JSON.parse(ended.stdout).steps.map((step: { id: string }) => step.id)).toEqual([
      'worktree',
      'provision',
      'baseline',
      'kimi',
      'collect',
      'verify',
      'result',
    ]);
    expect(lab.git('branch', '--list', 'kimi/*')).toBe('');
    expect((await lab.run(['status'])).stdout).toContain('No runs');
  });

  it('prints events as data with --ndjson', async () => {
    withSpec(spec('success'));
    const lines = (await run('--ndjson')).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines[0].type).toBe('run-started');
    expect(lines.at(-1)).toMatchObject({ type: 'run-ended', outcome: 'succeeded' });
  });

  const counted = async (greeting: string): Promise<number> => {
    withSpec(spec('success', { verify: [greeting, '`sh count.sh`'] }), {
      ...FILES,
      'count.sh': 'echo x >> "$HOME/count"\n',
    });
    await run();
    await run();
    return readFileSync(join(lab.home, 'count'), 'utf8').trim().split('\n').length;
  };

  it('uses the cached baseline of the same base', async () => {
    expect(await counted('`grep -q please greet.txt` (baseline fail)')).toBe(3);
  });

  it('looks again at a base that was red', async () => {
    expect(await counted('`grep -q please greet.txt`')).toBe(4);
  });

  it('starts from a subfolder, a linked worktree, and a path with spaces', async () => {
    withSpec(spec('success'), FILES, { name: 'a repo ü' });
    expect((await lab.run(['run', '../../spec.md'], { cwd: join(lab.repo, 'src') })).code).toBe(0);
    lab.git('worktree', 'add', '-q', '../linked', '-b', 'side');
    expect((await lab.run(['run', '../spec.md'], { cwd: join(lab.folder, 'linked') })).code).toBe(0);
    expect((await lab.run(['status', '--json'])).stdout).toMatch(/"version":1/);
  });

  it('runs a plan without a spec file', async () => {
    lab = new Lab({ 'package.json': '{"scripts":{"test":"grep -q please greet.txt"}}', ...FILES });
    writeFileSync(
      join(lab.folder, 'plan.md'),
      '# Polite greeting\n\nSCENARIO success\n\n## Step 1: Greeting\n\nMake `greet.txt` polite.\n\n## Verification\n\n- `npm test`\n',
    );
    const ended = await lab.run(['run', '../plan.md']);
    expect(ended.stderr).not.toContain('error');
    expect(ended.code).toBe(0);
  });
});

describe('provisioning', () => {
  it('copies what .worktreeinclude names and git ignores', async () => {
    withSpec(spec('success', { verify: ['`test -f .env.local`', '`test ! -f tracked-only`'] }), {
      ...FILES,
      '.gitignore': '.env.local\nsecret\n',
      '.worktreeinclude': '.env.local\n',
    });
    lab.write({ '.env.local': 'A=1\n', secret: 'no\n' });
    const e1 = await run();
    expect(e1.code).toBe(0);
    expect((await lab.result()).changes.map((change: { path: string }) => change.path)).toEqual(['greet.txt']);
  });

  it('links packages, keeps their caches apart, and does not collect them', async () => {
    const lock = '{"name":"x","lockfileVersion":3,"packages":{}}';
    withSpec(spec('success', { verify: ['`node check.cjs`'] }), {
      ...FILES,
      'package.json': '{"dependencies":{"dep":"1.0.0"}}',
      'package-lock.json': lock,
      'check.cjs':
        'require("fs").writeFileSync("node_modules/.cache-me", "x"); if (require("dep") !== 7) process.exit(1);',
    });
    lab.write({ 'node_modules/dep/index.js': 'module.exports = 7;', 'node_modules/.vite/x': 'cache' });
    lab.git('config', 'status.showUntrackedFiles', 'no');
    writeFileSync(join(lab.repo, '.git/info/exclude'), '');
    const before = lab.snapshot();
    const e1 = await run();
    expect(e1.code).toBe(0);
    expect(lab.snapshot()).toEqual(before);
    expect((await lab.result()).changes).toHaveLength(1);
  });

  it('never lets a workspace test read the checkout', async () => {
    const root = { name: 'root', private: true, workspaces: ['lib', 'app'] };
    withSpec(spec('success', { verify: ['`node app/test.cjs` (baseline fail)'], files: ['MODIFY greet.txt'] }), {
      ...FILES,
      '.gitignore': 'node_modules\n',
      'package.json': JSON.stringify(root),
      'package-lock.json': JSON.stringify({
        name: 'root',
        lockfileVersion: 3,
        requires: true,
        packages: {
          '': root,
          app: { name: 'app', version: '1.0.0' },
          lib: { name: '@s/lib', version: '1.0.0' },
          'node_modules/@s/lib': { resolved: 'lib', link: true },
          'node_modules/app': { resolved: 'app', link: true },
        },
      }),
      'lib/package.json': '{"name":"@s/lib","version":"1.0.0","main":"index.js"}',
      'lib/index.js': 'module.exports = "committed";\n',
      'app/package.json': '{"name":"app","version":"1.0.0"}',
      'app/test.cjs': 'process.exit(require("@s/lib") === "uncommitted edit" ? 0 : 1);\n',
    }); // prettier-ignore
    mkdirSync(join(lab.repo, 'node_modules/@s'), { recursive: true });
    lab.write({ 'node_modules/@s/lib': 'link:../../lib', 'lib/index.js': 'module.exports = "uncommitted edit";\n' });
    const ended = await run();
    expect(ended.code).toBe(3);
    expect((await lab.result()).verification[0]?.before?.code).toBe(1);
  });

  it('refuses before Kimi when no verification command can start', async () => {
    withSpec(spec('success', { verify: ['`no-such-program-here --test`'] }));
    const ended = await run();
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('No verification command can be started');
    expect(lab.git('branch', '--list', 'kimi/*')).toBe('');
  });
});
