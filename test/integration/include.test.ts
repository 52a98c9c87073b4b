import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openRepo } from '../../src/git/repo.ts';
import { planProvision } from '../../src/run/provision.ts';
import { Lab } from '../helpers/repo.ts';

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
