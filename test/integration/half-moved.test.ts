import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab, shell, spec } from '../helpers/repo.ts';

let lab: Lab;
beforeEach(() => {
  lab = new Lab({ 'greet.txt': 'hello\n', 'run.sh': 'true\n', e: 'file\n', '.gitignore': '*.log\n' });
});
afterEach(() => lab?.remove());

const moves = (): string => join(lab.repo, '.git', 'kimi-dispatch', 'moves');

/** A merge whose process died at its first file: the checkout stands where it stood, and the move is written down. */
async function died(script: string, files: string[]): Promise<{ from: string; to: string }> {
  writeFileSync(join(lab.folder, 'spec.md'), spec(shell(script), { files, verify: ['`test -f greet.txt`'] }));
  await lab.run(['run', '../spec.md', '--no-baseline']);
  const { run } = await lab.result();
  const from = lab.git('rev-parse', 'HEAD');
  expect((await lab.run(['merge', run, '--force'])).code).toBe(0);
  const to = lab.git('rev-parse', 'HEAD');
  expect((await lab.run(['undo', run])).code).toBe(0);
  const place = { root: lab.repo, gitDir: join(lab.repo, '.git'), ref: 'refs/heads/main' };
  const move = { version: 1, run, kind: 'merge', ...place, from, to, at: Date.now(), pid: 2 ** 22 + 1, start: '1' };
  mkdirSync(moves(), { recursive: true });
  writeFileSync(join(moves(), `${run}.json`), JSON.stringify(move));
  return { from, to };
}
const recover = async (): Promise<string> => {
  const { code, stdout, stderr } = await lab.run(['recover']);
  expect(code, stderr).toBe(0);
  expect(readdirSync(moves())).toEqual([]);
  return stdout;
};

describe('a merge that died half way is taken back', () => {
  it('where a file had become a folder', async () => {
    const { from, to } = await died('rm e; mkdir e; echo 1 > e/one.txt', ['DELETE e', 'CREATE e/one.txt']);
    lab.git('read-tree', '-m', '-u', from, to);
    expect(await recover()).not.toContain('but for');
    expect(readFileSync(join(lab.repo, 'e'), 'utf8')).toBe('file\n');
    expect(lab.git('status', '--porcelain')).toBe('');
  });

  it('but for a folder that holds a file of the user by now', async () => {
    const { from, to } = await died('rm e; mkdir e; echo 1 > e/one.txt', ['DELETE e', 'CREATE e/one.txt']);
    lab.git('read-tree', '-m', '-u', from, to);
    lab.write({ 'e/mine.log': 'mine\n' });
    expect(await recover()).toContain('but for e,');
    expect(readFileSync(join(lab.repo, 'e', 'mine.log'), 'utf8')).toBe('mine\n');
  });

  it('where a file had become executable', async () => {
    await died('chmod +x run.sh', ['MODIFY run.sh']);
    chmodSync(join(lab.repo, 'run.sh'), 0o755);
    await recover();
    expect(lstatSync(join(lab.repo, 'run.sh')).mode & 0o111).toBe(0);
    expect(lab.git('status', '--porcelain')).toBe('');
  });
});

describe('a merge that died is left alone, and said to be', () => {
  it('where its branch is gone by now', async () => {
    await died('echo "hello please" > greet.txt', ['MODIFY greet.txt']);
    lab.git('branch', '-m', 'trunk');
    expect(await recover()).toContain('nothing was touched');
  });

  it('where its commit is gone by now', async () => {
    await died('echo "hello please" > greet.txt', ['MODIFY greet.txt']);
    lab.git('reflog', 'expire', '--expire=now', '--all');
    lab.git('update-ref', '-d', 'ORIG_HEAD');
    lab.git('gc', '-q', '--prune=now');
    expect(await recover()).toContain('nothing was touched');
  });
});
