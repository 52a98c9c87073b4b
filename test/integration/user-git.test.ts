import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { AGREED } from '../../src/run/agreement.ts';
import { type Ended, Lab, shell, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab?.remove());

const polite = 'echo "hello please" > greet.txt';

/** A repository with a run that waits for review. */
async function make(script = polite, files = ['MODIFY greet.txt']): Promise<void> {
  lab = new Lab({ 'greet.txt': 'hello\n' });
  // There is no sandbox here, so hooks run as the user, who agreed.
  Object.assign(lab.env, AGREED);
  await run(script, files);
}
async function run(script = polite, files = ['MODIFY greet.txt']): Promise<void> {
  writeFileSync(join(lab.folder, 'spec.md'), spec(shell(script), { files, verify: ['`test -f greet.txt`'] }));
  const ended = await lab.run(['run', '../spec.md', '--no-baseline']);
  expect(ended.code, ended.stdout + ended.stderr).toBe(0);
}
async function expectCode(code: number, ...args: string[]): Promise<Ended> {
  const ended = await lab.run(args);
  expect(ended.code, ended.stdout + ended.stderr).toBe(code);
  return ended;
}
function hook(name: string, script: string): void {
  lab.write({ [`.git/hooks/${name}`]: `#!/bin/sh\n${script}\n` });
  chmodSync(join(lab.repo, '.git', 'hooks', name), 0o755);
}
/** Hooks that write their names into a file beside the repository. */
function listen(names: readonly string[]): void {
  for (const name of names) hook(name, `echo ${name} >> ${lab.folder}/heard`);
}
const heard = (): string[] => readFileSync(join(lab.folder, 'heard'), 'utf8').trim().split('\n');
const greeting = (): string => readFileSync(join(lab.repo, 'greet.txt'), 'utf8');
/** What a refused move leaves: files, index and refs; git's own notes of what it tried are not counted. */
const state = (): unknown => [
  lab.git('status', '--porcelain'),
  lab.git('ls-files', '-s'),
  lab.git('for-each-ref', 'refs/heads/main'),
  lab.git('symbolic-ref', 'HEAD'),
  greeting(),
];

describe('the hooks of the repository', () => {
  const COMMIT = ['pre-commit', 'pre-merge-commit', 'prepare-commit-msg', 'commit-msg', 'post-commit', 'post-merge'];

  it('that run are those of a commit, for a squashed merge', async () => {
    await make();
    listen(COMMIT);
    await expectCode(0, 'merge', '@last');
    expect(heard()).toEqual(['pre-commit', 'prepare-commit-msg', 'commit-msg', 'post-merge', 'post-commit']);
  });

  it('that run are those of a merge, with --no-ff', async () => {
    await make();
    listen(COMMIT);
    await expectCode(0, 'merge', '@last', '--no-ff');
    expect(heard()).toEqual(['pre-merge-commit', 'prepare-commit-msg', 'commit-msg', 'post-merge']);
    expect(lab.git('log', '-1', '--format=%P').split(' ')).toHaveLength(2);
  });

  it('see what is merged, and may change the message', async () => {
    await make();
    hook('pre-merge-commit', 'git rev-parse -q --verify MERGE_HEAD && git diff --cached --quiet -- other.txt');
    hook('prepare-commit-msg', 'test "$2" = merge && echo "Ticket: 12" >> "$1"');
    await expectCode(0, 'merge', '@last', '--no-ff');
    expect(lab.git('log', '-1', '--format=%B')).toMatch(/^Merge kimi\/[\s\S]*Ticket: 12$/);
  });

  it.each(['pre-merge-commit', 'commit-msg'])('%s refuses --no-ff, in its own words', async (name) => {
    await make();
    hook(name, 'echo "not on a Friday" >&2; exit 1');
    const before = lab.snapshot();
    const ended = await expectCode(2, 'merge', '@last', '--no-ff');
    expect(ended.stderr).toContain(`${name}: not on a Friday`);
    expect(lab.snapshot()).toEqual(before);
  });

  it.each(['merge', 'undo'])(
    'reference-transaction refuses a %s, in its own words, before anything moves',
    async (act) => {
      await make();
      if (act === 'undo') await expectCode(0, 'merge', '@last');
      hook(
        'reference-transaction',
        'test "$1" != prepared || ! grep refs/heads/main || { echo "main is frozen" >&2; exit 1; }',
      );
      const before = lab.snapshot();
      const ended = await expectCode(2, act, '@last');
      expect(ended.stderr).toContain('main is frozen');
      expect(lab.snapshot()).toEqual(before);
    },
  );

  it('reference-transaction that refuses late, at the branch itself, leaves an undo undone', async () => {
    await make();
    await expectCode(0, 'merge', '@last');
    const count = `grep -q refs/heads/main && test "$1" = prepared && echo x >> ${lab.folder}/asked`;
    hook('reference-transaction', `${count}; test "$(cat ${lab.folder}/asked 2>/dev/null | wc -l)" -lt 2`);
    const before = state();
    await expectCode(9, 'undo', '@last');
    expect(state()).toEqual(before);
  });
});

describe('a lock of another git that appears in the middle', () => {
  it.each([
    ['merge', 'index.lock'],
    ['merge', 'HEAD.lock'],
    ['undo', 'index.lock'],
  ])('refuses a %s by %s, and leaves all as it was', async (act, lock) => {
    await make();
    if (act === 'undo') await expectCode(0, 'merge', '@last');
    const before = state();
    hook('reference-transaction', `test "$1" != aborted || touch .git/${lock}`);
    const ended = await expectCode(2, act, '@last');
    expect(ended.stderr).toContain(`${lock} exists`);
    hook('reference-transaction', 'true');
    rmSync(join(lab.repo, '.git', lock));
    expect(state()).toEqual(before);
    expect(readdirSync(join(lab.repo, '.git', 'kimi-dispatch', 'moves'))).toEqual([]);
    await expectCode(0, act, '@last');
  });

  it('is waited for', async () => {
    await make();
    hook(
      'reference-transaction',
      `test "$1" != aborted || { touch .git/index.lock; (sleep 0.5; rm .git/index.lock) >/dev/null 2>&1 & }`,
    );
    await expectCode(0, 'merge', '@last');
    expect(greeting()).toBe('hello please\n');
  });
});

describe('edits that git was told not to see', () => {
  it.each([
    ['merge', 'assume-unchanged'],
    ['merge', 'skip-worktree'],
    ['undo', 'assume-unchanged'],
    ['undo', 'skip-worktree'],
  ])('are not overwritten by a %s of a file marked %s', async (act, bit) => {
    await make();
    if (act === 'undo') await expectCode(0, 'merge', '@last');
    lab.git('update-index', `--${bit}`, 'greet.txt');
    lab.write({ 'greet.txt': 'mine\n' });
    const before = lab.snapshot();
    const ended = await expectCode(9, act, '@last');
    expect(ended.stderr).toContain(`git update-index --no-${bit} greet.txt`);
    expect(lab.snapshot()).toEqual(before);
  });

  it.each(['assume-unchanged', 'skip-worktree'])('are none where a file marked %s is as it was', async (bit) => {
    await make();
    lab.git('update-index', `--${bit}`, 'greet.txt');
    await expectCode(0, 'merge', '@last');
    expect(greeting()).toBe('hello please\n');
  });
});
