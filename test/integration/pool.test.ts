import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { probeSandbox } from '../../src/process/sandbox.ts';
import { Lab, ROOT, shell, spec } from '../helpers/repo.ts';

const probe = await probeSandbox(ROOT, {
  PATH: process.env.PATH,
  HOME: tmpdir(),
  XDG_CACHE_HOME: join(tmpdir(), 'kd-probe'),
});
const FILES = {
  'greet.txt': 'hello\n',
  '.gitignore': 'ignored*\n.venv\nnode_modules\n',
  'requirements.txt': 'dep==1\n',
  'src/a.txt': 'PLAINER\nlines\n',
  'src/b.txt': 'b\n',
  'src/c.txt': 'c\n',
  'deep/er/d.txt': 'd\n',
  'moved/e.txt': 'e\n',
  'packages/one/f.txt': 'f\n',
};
/** A run has two worktrees: the worker's, and the one in which its commit is verified. */
const TREES = 2;
/** Makes dependencies, and says so: the log of provisioning is outside of the sandbox. */
const SETUP =
  'echo kd-setup; for d in .venv node_modules packages/one/node_modules; do mkdir -p $d && cat requirements.txt > $d/dep.txt; done';

let lab: Lab;
beforeEach(() => {
  lab = new Lab(FILES);
});
afterEach(() => lab.remove());

const on = { KIMI_DISPATCH_SANDBOX: 'required' };
const write = (name: string, scenario: string, files = ['MODIFY greet.txt']): string => {
  writeFileSync(join(lab.folder, name), spec(scenario, { files }));
  return `../${name}`;
};
const useSetup = (text = SETUP): void => {
  mkdirSync(join(lab.home, '.config', 'kimi-dispatch'), { recursive: true });
  writeFileSync(join(lab.home, '.config', 'kimi-dispatch', 'profiles.toml'), `[default]\nsetup = '''${text}'''\n`);
};
const setups = (): number => {
  const runs = join(lab.repo, '.git', 'kimi-dispatch', 'runs');
  const logs = readdirSync(runs).map((id) => join(runs, id, 'provision.log'));
  return logs.filter(existsSync).flatMap((log) => readFileSync(log, 'utf8').match(/^kd-setup$/gm) ?? []).length;
};
const run = async (file: string, ...more: string[]): Promise<{ run: string; worktree: string; branch: string }> => {
  const ended = await lab.run(['run', file, '--json', ...more], { env: on });
  if (ended.code !== 0) throw new Error(`${ended.code} ${ended.stdout} ${ended.stderr}`);
  return JSON.parse(ended.stdout);
};
const slots = (worktree: string): string[] => readdirSync(join(worktree, '..')).sort();

describe.skipIf(!probe.works)(`the warm pool (needs the sandbox)${probe.reason}`, () => {
  it('nothing that one run wrote can be seen by the next', async () => {
    useSetup();
    lab.git('update-index', '--add', '--cacheinfo', `160000,${'1'.repeat(40)},module`);
    lab.git('commit', '-qm', 'A submodule');
    const leaves = write('leaves.md', 'leaves', [
      ...['MODIFY greet.txt', 'MODIFY src/a.txt', 'MODIFY src/b.txt', 'MODIFY src/c.txt', 'MODIFY .gitignore'],
      'CREATE refused.json',
    ]);
    const first = JSON.parse((await lab.run(['run', leaves, '--json'], { env: on })).stdout);
    const refused = JSON.parse(readFileSync(join(first.worktree, 'refused.json'), 'utf8'));
    expect(refused).toEqual(
      expect.arrayContaining(['a file in .venv', 'a changed dependency', 'another .venv', 'a hook']),
    );
    expect((await lab.run(['discard', first.run])).code).toBe(0);
    const second = await run(write('seeks.md', 'seeks', ['MODIFY greet.txt', 'CREATE found.json']));
    expect(second.worktree).toBe(first.worktree);
    expect(JSON.parse(readFileSync(join(second.worktree, 'found.json'), 'utf8'))).toEqual([]);
    expect(readFileSync(join(second.worktree, 'moved', 'e.txt'), 'utf8')).toBe('e\n');
    expect(readdirSync(join(second.worktree, 'module'))).toEqual([]);
  });

  it('a slot goes to the next run after merge or discard, and not before', async () => {
    const file = write('spec.md', 'success');
    const [first, second] = [await run(file), await run(file)];
    expect(second.worktree).not.toBe(first.worktree);
    const inode = statSync(join(first.worktree, 'src', 'b.txt')).ino;
    expect((await lab.run(['merge', first.run])).code).toBe(0);
    expect((await lab.run(['discard', second.run])).code).toBe(0);
    lab.write({ 'src/new.txt': 'new\n', 'greet.txt': 'hello again\n' });
    lab.commit('More');
    const third = await run(file);
    expect(third.worktree).toBe(first.worktree);
    expect(statSync(join(third.worktree, 'src', 'b.txt')).ino).toBe(inode);
    expect(readFileSync(join(third.worktree, 'src', 'new.txt'), 'utf8')).toBe('new\n');
    const log = lab.git('log', '--format=%s', `${third.branch}`, '-2');
    expect(log.split('\n')[1]).toBe('More');
  });

  it('setup runs again only when a lock file changed; dependencies are kept and cannot be written', async () => {
    useSetup();
    const file = write('spec.md', 'success');
    const next = async (): Promise<string> => {
      const made = await run(file);
      expect(readFileSync(join(made.worktree, '.venv', 'dep.txt'), 'utf8')).toBe(
        readFileSync(join(lab.repo, 'requirements.txt'), 'utf8'),
      );
      expect((await lab.run(['discard', made.run])).code).toBe(0);
      return made.worktree;
    };
    const worktree = await next();
    const before = lstatSync(join(worktree, '.venv')).ino;
    await next();
    lab.write({ 'src/b.txt': 'changed\n' });
    lab.commit('No lock file');
    await next();
    expect(setups()).toBe(TREES);
    expect(lstatSync(join(worktree, '.venv')).ino).toBe(before);
    lab.write({ 'requirements.txt': 'dep==2\n' });
    lab.commit('A lock file');
    await next();
    expect(setups()).toBe(2 * TREES);
    useSetup(`${SETUP}; true`);
    await next();
    expect(setups()).toBe(3 * TREES);
  });

  it('setup that makes more than dependency folders runs for each run', async () => {
    useSetup(`${SETUP}; mkdir -p ignored-build; touch ignored-build/x`);
    const file = write('spec.md', 'success');
    for (const count of [1, 2]) {
      const made = await run(file);
      expect(existsSync(join(made.worktree, 'ignored-build'))).toBe(true);
      await lab.run(['discard', made.run]);
      // Once for the worker, and for the base and for the commit in the judge's worktree.
      expect(setups()).toBe(count * 3);
    }
  });

  it('an install that builds something beside the dependencies is made for each run', async () => {
    const prepare = `node -e "console.log('kd-setup'); require('fs').writeFileSync('ignored-built', 'x')"`;
    const empty = { name: 'nothing', version: '1.0.0' };
    lab.write({
      'package.json': JSON.stringify({ ...empty, workspaces: ['packages/*'], scripts: { prepare } }),
      'package-lock.json': JSON.stringify({ ...empty, lockfileVersion: 3, packages: { '': empty } }),
    });
    lab.commit('A package');
    const file = write('spec.md', 'success');
    for (const count of [1, 2]) {
      const made = await run(file);
      expect(existsSync(join(made.worktree, 'ignored-built'))).toBe(true);
      await lab.run(['discard', made.run]);
      // Once for the worker, and for the base and for the commit in the judge's worktree.
      expect(setups()).toBe(count * 3);
    }
  });

  it('a lock file in any folder counts', async () => {
    lab.write({ 'services/api/go.sum': 'one\n' });
    lab.commit('A service');
    useSetup();
    const file = write('spec.md', 'success');
    for (const [text, count] of [
      ['one\n', 1],
      ['two\n', 2],
    ] as const) {
      lab.write({ 'services/api/go.sum': text });
      if (count > 1) lab.commit('Another sum');
      await lab.run(['discard', (await run(file)).run]);
      expect(setups()).toBe(count * TREES);
    }
    const own = await run(
      write('own.md', 'success', ['MODIFY greet.txt', 'MODIFY services/api/go.sum (ALLOW PROTECTED)']),
    );
    const record = join(lab.repo, '.git', 'kimi-dispatch', 'runs', own.run, 'ready.json');
    expect(JSON.parse(readFileSync(record, 'utf8')).readOnly).toEqual([]);
  });

  it('a dependency folder stays whatever its path is made of', async () => {
    lab.write({ 'app/[id]/page.txt': 'x\n' });
    lab.commit('A page');
    useSetup('echo kd-setup; mkdir -p "app/[id]/node_modules" && touch "app/[id]/node_modules/dep"');
    const file = write('spec.md', 'success', ['MODIFY greet.txt']);
    for (const _round of [1, 2]) {
      const made = await run(file);
      expect(existsSync(join(made.worktree, 'app', '[id]', 'node_modules', 'dep'))).toBe(true);
      await lab.run(['discard', made.run]);
    }
    expect(setups()).toBe(TREES);
  });

  it('the verification cannot write the dependencies either', async () => {
    useSetup();
    const text = spec('success', { verify: ['`sh -c "! touch .venv/x"`', '`test -f .venv/dep.txt`'] });
    writeFileSync(join(lab.folder, 'spec.md'), text);
    const made = await run('../spec.md');
    expect(existsSync(join(made.worktree, '.venv', 'x'))).toBe(false);
  });

  it('a spec that may change a lock file gets dependencies of its own, which it may write', async () => {
    useSetup();
    const first = await run(write('one.md', 'success'));
    await lab.run(['discard', first.run]);
    const second = await run(write('two.md', 'success', ['MODIFY greet.txt', 'MODIFY requirements.txt']));
    // The judge's worktree has the dependencies of the first run still.
    expect(setups()).toBe(TREES + 1);
    const ready = JSON.parse(
      readFileSync(join(lab.repo, '.git', 'kimi-dispatch', 'runs', second.run, 'ready.json'), 'utf8'),
    );
    expect(ready.readOnly).toEqual([]);
  });

  it('after undo the run gets a worktree again, also when its slot has another run by now', async () => {
    const file = write('spec.md', 'success');
    const first = await run(file);
    expect((await lab.run(['merge', first.run])).code).toBe(0);
    expect((await lab.run(['undo', first.run])).code).toBe(0);
    const second = await run(file);
    expect(second.worktree).toBe(first.worktree);
    writeFileSync(join(lab.folder, 'findings.md'), 'greet.txt:1 say it twice\n');
    const again = await lab.run(['revise', first.run, '--findings', '../findings.md', '--json'], { env: on });
    expect(again.code).toBe(0);
    expect(JSON.parse(again.stdout).worktree).not.toBe(first.worktree);
    expect((await lab.run(['merge', first.run])).code).toBe(0);
    expect(readFileSync(join(second.worktree, 'greet.txt'), 'utf8')).toBe('hello please\n');
    expect((await lab.run(['merge', second.run, '--force'])).stderr).not.toContain('is not');
  });

  it('SIGKILL at any moment of a run or of its end leaves nothing for the next', async () => {
    useSetup();
    const first = await run(write('first.md', 'success'));
    await lab.run(['discard', first.run]);
    const leaves = write('leaves.md', 'leaves', ['MODIFY greet.txt', 'CREATE refused.json']);
    const killAfter = async (args: string[], ms: number): Promise<void> => {
      let timer: NodeJS.Timeout | undefined;
      const kill = (pid: number): void => {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It was faster.
        }
      };
      const after = (pid: number): void => {
        timer = setTimeout(() => kill(pid), ms);
      };
      await lab.run(args, { env: on, after }).finally(() => clearTimeout(timer));
    };
    for (const ms of [250, 350, 450, 600, 900]) {
      await killAfter(['run', leaves], ms);
      await lab.run(['recover']);
      for (const waiting of JSON.parse((await lab.run(['status', '--json'])).stdout).runs) {
        await killAfter(['discard', waiting.id], ms / 3);
        await lab.run(['discard', waiting.id]);
      }
    }
    const last = await run(write('seeks.md', 'seeks', ['MODIFY greet.txt', 'CREATE found.json']));
    expect(JSON.parse(readFileSync(join(last.worktree, 'found.json'), 'utf8'))).toEqual([]);
    expect(lab.git('fsck', '--no-dangling')).toBe('');
    expect(lab.git('worktree', 'list').split('\n').length).toBeLessThanOrEqual(3);
  });

  it('several at once get a slot each', async () => {
    const file = write('spec.md', 'success');
    const warm = await Promise.all([run(file), run(file)]);
    for (const { run: id } of warm) await lab.run(['discard', id]);
    const all = await Promise.all(Array.from({ length: 4 }, () => run(file)));
    expect(new Set(all.map(({ worktree }) => worktree)).size).toBe(4);
  });

  it('prune lists and removes what waits; a profile may keep none', async () => {
    const file = write('spec.md', 'success');
    const made = await run(file);
    await lab.run(['discard', made.run]);
    expect(slots(made.worktree)).toContain('slot-1.json');
    expect((await lab.run(['prune', '--older', '0'])).stdout).toMatch(/slot-1 +[\d.]+ MB/);
    expect(existsSync(made.worktree)).toBe(true);
    expect((await lab.run(['prune', '--older', '0', '--yes'])).code).toBe(0);
    expect(slots(made.worktree)).toEqual([]);
    expect(lab.git('worktree', 'list').split('\n')).toHaveLength(1);
    mkdirSync(join(lab.home, '.config', 'kimi-dispatch'), { recursive: true });
    writeFileSync(join(lab.home, '.config', 'kimi-dispatch', 'profiles.toml'), '[default]\npool = 0\n');
    const other = await run(file);
    await lab.run(['discard', other.run]);
    expect(slots(other.worktree)).toEqual([]);
  });
});

describe('a slot', () => {
  it('of a run at work is not pruned, and the run goes on in it', async () => {
    const waits = shell('while test ! -e "$HOME/go"; do sleep 0.1; done; echo please > greet.txt');
    const work = lab.run(['run', write('spec.md', waits)]);
    await lab.heard('"attempt-started"');
    const { dir } = JSON.parse((await lab.run(['status', '--json'])).stdout).runs[0];
    const pruned = await lab.run(['prune', '--older', '0', '--keep', '0', '--yes']);
    expect([pruned.code, existsSync(dir)]).toEqual([0, true]);
    expect(pruned.stdout).not.toContain('slot-');
    lab.write({ go: '' }, lab.home);
    expect((await work).code).toBe(0);
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
  });

  it('of a run without the sandbox is removed, and --dry-run claims none', async () => {
    const file = write('spec.md', 'success');
    expect((await lab.run(['run', file])).code).toBe(0);
    const { run: id, worktree } = await lab.result();
    expect((await lab.run(['discard', id])).code).toBe(0);
    expect(slots(worktree)).toEqual([]);
    const plan = JSON.parse((await lab.run(['run', file, '--dry-run', '--json'])).stdout);
    expect(plan.dir).toBe(worktree);
    expect(slots(worktree)).toEqual([]);
  });
});
