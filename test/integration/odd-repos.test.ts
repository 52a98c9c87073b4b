import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { Lab, ROOT, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab.remove());
const run = (...more: string[]) => lab.run(['run', '../spec.md', ...more]);
const make = (files: Record<string, string> = {}): void => {
  lab = new Lab({ 'greet.txt': 'hello\n', ...files });
  writeFileSync(join(lab.folder, 'spec.md'), spec('success'));
};

it('a submodule survives: its commit is the same before and after, and no git is started in it', async () => {
  make();
  const sub = join(lab.folder, 'sub');
  execFileSync('git', ['init', '-q', sub], { env: lab.env });
  writeFileSync(join(sub, 'x'), 'x');
  for (const args of [
    ['add', '-A'],
    ['commit', '-q', '-m', 'x'],
  ])
    execFileSync('git', ['-C', sub, ...args], { env: lab.env });
  lab.git('-c', 'protocol.file.allow=always', 'submodule', 'add', '-q', sub, 'vendor/sub');
  lab.commit('Submodule');
  const before = lab.snapshot();
  expect((await run()).code).toBe(0);
  expect((await lab.result()).changes.map((change) => change.path)).toEqual(['greet.txt']);
  expect(lab.snapshot()).toEqual(before);
  expect((await lab.run(['merge', '@last'])).code).toBe(0);
  expect(lab.git('ls-tree', 'HEAD', 'vendor/sub')).toContain('160000 commit');
});

it('LFS pointers survive, and the filter program is not started', async () => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 5\n`;
  make({ 'big.bin': pointer });
  const ran = join(lab.folder, 'lfs-ran');
  lab.write({ '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n' });
  lab.commit('Attributes');
  for (const what of ['clean', 'smudge']) lab.git('config', `filter.lfs.${what}`, `touch ${ran}; cat`);
  lab.git('config', 'filter.lfs.required', 'true');
  const ended = await run();
  expect(ended.code).toBe(0);
  expect((await lab.result()).changes.map((change) => change.path)).toEqual(['greet.txt']);
  expect(existsSync(ran)).toBe(false);
  expect((await lab.run(['merge', '@last'])).code).toBe(0);
  expect(lab.git('show', 'HEAD:big.bin')).toBe(pointer.trim());
});

it('a target that is signed is signed, and one that cannot be signed refuses the merge and leaves everything', async () => {
  make();
  expect((await run()).code).toBe(0);
  lab.git('config', 'commit.gpgSign', 'true');
  lab.git('config', 'gpg.program', '/bin/false');
  const head = lab.git('rev-parse', 'HEAD');
  const refused = await lab.run(['merge', '@last']);
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('hooks and signing')]);
  expect(lab.git('rev-parse', 'HEAD')).toBe(head);
});

it('a closed stdout is no failure, and nothing is coloured', async () => {
  make();
  const child = spawn(process.execPath, [join(ROOT, 'bin', 'kimi-dispatch.js'), 'run', '../spec.md'], {
    cwd: lab.repo,
    env: lab.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise((done) => child.on('close', done));
  expect(code).toBe(0);
  expect(said).not.toContain('\u001b');
});

it('a detached HEAD and --strict', async () => {
  make();
  lab.git('checkout', '-q', '--detach');
  expect((await run()).code).toBe(0);
  expect((await lab.run(['merge', '@last'])).code).toBe(0);
  writeFileSync(join(lab.folder, 'weak.md'), spec('x').replace('## Context', '## Contxt'));
  expect((await lab.run(['check', '../weak.md'])).code).toBe(0);
  expect((await lab.run(['check', '../weak.md', '--strict'])).code).toBe(2);
  expect(JSON.parse((await lab.run(['check', '../weak.md', '--json'])).stdout)).toHaveProperty('findings');
});

it('merge.ff of the user, and a merge from another worktree of the repository', async () => {
  make();
  lab.git('config', 'merge.ff', 'false');
  expect((await run()).code).toBe(0);
  expect((await run()).code).toBe(0);
  const [first, second] = JSON.parse((await lab.run(['status', '--json'])).stdout).runs as { id: string }[];
  expect((await lab.run(['merge', first?.id ?? ''])).code).toBe(0);
  expect(lab.git('rev-list', '--count', 'HEAD')).toBe('2');
  const other = join(lab.folder, 'other worktree');
  lab.git('worktree', 'add', '-q', '-b', 'side', other, 'HEAD~1');
  const merged = await lab.run(['merge', second?.id ?? ''], { cwd: other });
  expect([merged.code, merged.stdout]).toEqual([0, expect.stringContaining('into side')]);
  expect(lab.git('rev-parse', 'main')).not.toBe(lab.git('rev-parse', 'side'));
  expect((await lab.run(['undo', second?.id ?? ''])).stderr).toContain(`cd '${other}' && kimi-dispatch undo`);
  expect((await lab.run(['undo', second?.id ?? ''], { cwd: other })).code).toBe(0);
});

it('a git older than 2.38 is refused, with what to do', async () => {
  make();
  const bin = join(lab.folder, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'git'), '#!/bin/sh\necho git version 2.30.2\n', { mode: 0o755 });
  const ended = await lab.run(['run', '../spec.md'], { env: { PATH: `${bin}:${process.env.PATH}` } });
  expect([ended.code, ended.stderr]).toEqual([2, expect.stringMatching(/git 2\.30 is too old[\s\S]*2\.38 or newer/)]);
});
