import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withAgreement } from '../../src/cli/confirm.ts';
import { notAgreed } from '../../src/run/agreement.ts';
import type { World } from '../../src/world.ts';
import { Lab, shell, spec } from '../helpers/repo.ts';

const agreed = { env: { KIMI_DISPATCH_UNREVIEWED: 'run' } };
/** Kimi changes a lock file, and what the setup of the profile runs with it. */
const POISON = shell('echo two > go.sum; echo "touch $HOME/ran-outside; echo made > made" > setup.sh');
const FILES = ['MODIFY go.sum (ALLOW PROTECTED)', 'MODIFY setup.sh'];

let lab: Lab;
beforeEach(() => {
  lab = new Lab({ 'go.sum': 'one\n', 'setup.sh': 'echo made > made\n', '.gitignore': 'made\n' });
  lab.write({ 'kimi-dispatch/profiles.toml': "[default]\nsetup = 'sh setup.sh'\n" }, join(lab.home, '.config'));
  const text = spec(POISON, { files: FILES, verify: ['`grep -q two go.sum`'] });
  writeFileSync(join(lab.folder, 'spec.md'), text);
});
afterEach(() => lab.remove());
const ran = (): boolean => existsSync(join(lab.home, 'ran-outside'));
const poisoned = async (): Promise<{ run: string; branch: string }> => {
  const ended = await lab.run(['run', '../spec.md', '--json']);
  expect([ended.code, ended.stderr]).toEqual([11, expect.anything()]);
  return JSON.parse(ended.stdout);
};

describe('without a sandbox, what Kimi wrote and nobody merged is set up only after the user agreed', () => {
  it('a verification says so and runs nothing; another attempt is verified after the agreement', async () => {
    const { run } = await poisoned();
    const { reason } = await lab.result();
    expect(reason).toMatch(/nobody has merged.*KIMI_DISPATCH_UNREVIEWED=run kimi-dispatch resume/);
    expect(ran()).toBe(false);
    expect((await lab.run(['resume', run], agreed)).code).toBe(0);
    expect(ran()).toBe(true);
  });

  it('a run that starts at a branch of Kimi', async () => {
    const { branch } = await poisoned();
    const refused = await lab.run(['run', '../spec.md', '--base', branch]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('KIMI_DISPATCH_UNREVIEWED=run')]);
    expect(ran()).toBe(false);
  });

  it('a merge onto a branch that moved', async () => {
    const { run } = await poisoned();
    lab.write({ 'other.txt': 'x\n' });
    const tip = lab.commit('Meanwhile');
    const refused = await lab.run(['merge', run, '--unverified']);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('KIMI_DISPATCH_UNREVIEWED=run')]);
    expect([ran(), lab.git('rev-parse', 'HEAD')]).toEqual([false, tip]);
  });

  it('a worktree that is made again for another attempt', async () => {
    const { run } = await poisoned();
    const { dir } = JSON.parse((await lab.run(['status', '--json'])).stdout).runs[0];
    lab.git('worktree', 'remove', '--force', dir);
    const refused = await lab.run(['resume', run]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('KIMI_DISPATCH_UNREVIEWED=run')]);
    expect(ran()).toBe(false);
  });

  it('a refresh onto other lock files, which changes nothing until then', async () => {
    const { run, branch } = await poisoned();
    lab.write({ 'yarn.lock': 'x\n' });
    lab.commit('Other dependencies');
    const before = lab.git('rev-parse', branch);
    const refused = await lab.run(['refresh', run]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('KIMI_DISPATCH_UNREVIEWED=run')]);
    expect([ran(), lab.git('rev-parse', branch)]).toEqual([false, before]);
    expect((await lab.run(['refresh', run], agreed)).code).toBe(0);
  });

  it('the same lock files and setup are made by the base, and need no agreement', async () => {
    const text = spec(shell('echo "touch $HOME/ran-outside" > setup.sh'), { files: FILES, verify: ['`test -f made`'] });
    writeFileSync(join(lab.folder, 'spec.md'), text);
    expect((await lab.run(['run', '../spec.md'])).code).toBe(0);
    expect(ran()).toBe(false);
  });
});

describe('the person at the terminal', () => {
  const world = (confirm?: World['confirm']): World => ({
    argv: [],
    cwd: '/',
    env: {},
    root: '/',
    now: () => new Date(0),
    out: () => {},
    err: () => {},
    control: () => {},
    lively: false,
    signal: new AbortController().signal,
    ...(confirm === undefined ? {} : { confirm }),
  });
  const start = (asked: World): Promise<number> =>
    asked.env.KIMI_DISPATCH_UNREVIEWED === 'run' ? Promise.resolve(0) : Promise.reject(notAgreed('`npm ci`'));

  it('is asked, and a yes is the agreement', async () => {
    const asked: string[] = [];
    const yes = (question: string): Promise<boolean> => Promise.resolve(asked.push(question) === 1);
    expect(await withAgreement(world(yes), start)).toBe(0);
    expect(asked).toEqual([expect.stringContaining('npm ci')]);
  });

  it('says no, or is not there: the refusal stands', async () => {
    await expect(
      withAgreement(
        world(() => Promise.resolve(false)),
        start,
      ),
    ).rejects.toThrow('nobody has merged');
    await expect(withAgreement(world(), start)).rejects.toThrow('nobody has merged');
  });
});
