import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab, spec } from '../helpers/repo.ts';

let lab: Lab;
beforeEach(async () => {
  lab = new Lab({
    'greet.txt': 'hello\n',
    'other.txt': 'one\n',
    'check.sh': 'grep -q please greet.txt && ! grep -q broken other.txt\n',
  });
  writeFileSync(join(lab.folder, 'spec.md'), spec('success', { verify: ['`sh check.sh`'] }));
  expect((await lab.run(['run', '../spec.md'])).code).toBe(0);
});
afterEach(() => lab.remove());

const read = (path: string): string => readFileSync(join(lab.repo, path), 'utf8');

describe('merge', () => {
  it('fast-forwards one commit with provenance, and undo takes it back', async () => {
    const base = lab.git('rev-parse', 'HEAD');
    const before = lab.snapshot();
    const merged = await lab.run(['merge', '@last']);
    expect(merged.code).toBe(0);
    expect(read('greet.txt')).toBe('hello please\n');
    expect(lab.git('rev-list', '--count', `${base}..HEAD`)).toBe('1');
    expect(lab.git('log', '-1', '--format=%an %B')).toMatch(/^Tester[\s\S]*Kimi-Dispatch-Run/);
    expect(lab.git('status', '--porcelain')).toBe('');
    const undo = /^Undo: kimi-dispatch (.*)$/m.exec(merged.stdout)?.[1]?.split(' ') ?? [];
    expect((await lab.run(undo)).code).toBe(0);
    const after = lab.snapshot();
    for (const name of ['greet.txt', 'other.txt', '.git/refs/heads/main', '.git/HEAD', '.git/config'])
      expect(after[name]).toBe(before[name]);
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
  });

  it('keeps your own edits in other files', async () => {
    lab.write({ 'other.txt': 'edited\n' });
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    expect(read('other.txt')).toBe('edited\n');
  });

  it('refuses a dirty overlap by name, and changes nothing', async () => {
    lab.write({ 'greet.txt': 'my edit\n' });
    const before = lab.snapshot();
    const ended = await lab.run(['merge', '@last']);
    expect(ended.code).toBe(9);
    expect(ended.stderr).toMatch(/uncommitted changes in files that the run changed: greet\.txt/);
    expect(lab.snapshot()).toEqual(before);
  });

  it('ends with 9 on a conflict, and changes nothing', async () => {
    lab.write({ 'greet.txt': 'good day\n' });
    lab.commit('Other greeting');
    const before = lab.snapshot();
    const ended = await lab.run(['merge', '@last']);
    expect(ended.code).toBe(9);
    expect(ended.stderr).toContain('greet.txt');
    expect(lab.snapshot()).toEqual(before);
  });

  it('verifies again when the branch has moved', async () => {
    lab.write({ 'new.txt': 'x\n' });
    lab.commit('Unrelated');
    const ended = await lab.run(['merge', '@last']);
    expect(ended.stdout).toContain('verified again');
    expect(read('new.txt')).toBe('x\n');
    expect(read('greet.txt')).toBe('hello please\n');
  });

  it('refuses when the merged tree is red although the text merges', async () => {
    lab.write({ 'other.txt': 'broken\n' });
    lab.commit('Breaks with it');
    const before = lab.snapshot();
    const ended = await lab.run(['merge', '@last']);
    expect(ended.code).toBe(3);
    expect(lab.snapshot()).toEqual(before);
    expect((await lab.run(['merge', '@last', '--force'])).code).toBe(0);
  });

  it('makes a merge commit with --no-ff', async () => {
    expect((await lab.run(['merge', '@last', '--no-ff'])).code).toBe(0);
    expect(lab.git('log', '-1', '--format=%P').split(' ')).toHaveLength(2);
  });

  it('honours the commit hooks of the repository', async () => {
    lab.write({ '.git/hooks/commit-msg': '#!/bin/sh\nexit 1\n' });
    chmodSync(join(lab.repo, '.git/hooks/commit-msg'), 0o755);
    const before = lab.snapshot();
    const ended = await lab.run(['merge', '@last'], { env: { KIMI_DISPATCH_UNREVIEWED: 'run' } });
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('hooks');
    expect(lab.snapshot()).toEqual(before);
  });

  it('refuses a failed verification without --force', async () => {
    writeFileSync(join(lab.folder, 'spec.md'), spec('wrong'));
    expect((await lab.run(['run', '../spec.md', '--no-baseline'])).code).toBe(3);
    expect((await lab.run(['merge', '@last'])).code).toBe(3);
    expect((await lab.run(['merge', '@last', '--force'])).code).toBe(0);
    expect(read('greet.txt')).toBe('rude\n');
  });

  it('does not undo what other commits stand on', async () => {
    await lab.run(['merge', '@last']);
    lab.write({ 'later.txt': 'x\n' });
    lab.commit('Later');
    const ended = await lab.run(['undo', '@last']);
    expect(ended.code).toBe(9);
    expect(ended.stderr).toContain('git revert');
  });
});

describe('looking and ending', () => {
  it('shows status, result and diff', async () => {
    const { run } = await lab.result();
    expect((await lab.run(['status'])).stdout).toMatch(new RegExp(`^${run} +succeeded +Change the greeting`));
    expect((await lab.run(['show', run.slice(0, 14)])).stdout).toContain('SUCCEEDED');
    expect((await lab.run(['diff', '@last', 'greet.txt'])).stdout).toContain('+hello please');
    expect((await lab.run(['diff', '@last', 'other.txt'])).stdout.trim()).toBe('');
    const nobody = await lab.run(['show', 'nobody']);
    expect(nobody.code).toBe(2);
    expect(nobody.stderr).toContain(run);
  });

  it('discards the worktree and the branch, and keeps the patch', async () => {
    const { worktree, files } = await lab.result();
    expect((await lab.run(['discard', '@last'])).code).toBe(0);
    expect(existsSync(worktree)).toBe(false);
    expect(lab.git('branch', '--list', 'kimi/*')).toBe('');
    lab.git('apply', files.patch);
    expect(read('greet.txt')).toBe('hello please\n');
    expect((await lab.run(['merge', '@last'])).code).toBe(2);
  });
});
