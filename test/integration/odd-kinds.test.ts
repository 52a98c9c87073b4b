import { lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { Lab, shell, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab?.remove());

const FILES = { 'greet.txt': 'hello\n', 'a.txt': 'a\n', 'dir/b.txt': 'b\n' };

async function run(script: string): Promise<string> {
  const files = ['MODIFY greet.txt'];
  const text = spec(shell(`echo "hello please" > greet.txt; ${script}`), { files, verify: ['`test -f greet.txt`'] });
  writeFileSync(join(lab.folder, 'spec.md'), text);
  await lab.run(['run', '../spec.md', '--no-baseline']);
  return (await lab.result()).scope.violations.map(({ path, why }) => `${path}: ${why}`).join('\n');
}
async function mergeAndUndo(): Promise<void> {
  const tree = lab.git('write-tree');
  for (const args of [
    ['merge', '@last', '--force'],
    ['undo', '@last'],
  ]) {
    const ended = await lab.run(args);
    expect(ended.code, ended.stdout + ended.stderr).toBe(0);
    expect(lab.git('status', '--porcelain')).toBe('');
  }
  expect(lab.git('write-tree')).toBe(tree);
}

it.each([
  ['file', 'a.txt', 'rm a.txt; ln -s greet.txt a.txt', 'a.txt: a file became a link'],
  ['folder', 'dir', 'rm -r dir; ln -s . dir', 'dir: a folder became a link'],
])('a %s that becomes a link is said so, merged and undone', async (_kind, path, script, why) => {
  lab = new Lab(FILES);
  expect(await run(script)).toContain(why);
  await mergeAndUndo();
  expect(lstatSync(join(lab.repo, path)).isSymbolicLink()).toBe(false);
});

it('a submodule that becomes a file is merged and undone', async () => {
  lab = new Lab(FILES);
  lab.git('init', '-q', '../sub');
  lab.git('-C', '../sub', 'commit', '-q', '--allow-empty', '-m', 'Sub');
  lab.git('update-index', '--add', '--cacheinfo', `160000,${lab.git('-C', '../sub', 'rev-parse', 'HEAD')},sub`);
  lab.git('commit', '-q', '-m', 'A submodule');
  lab.git('checkout', '-q', '--', '.');
  expect(await run('rmdir sub; echo file > sub')).toContain('sub: a submodule was changed');
  await mergeAndUndo();
  expect(lstatSync(join(lab.repo, 'sub')).isDirectory()).toBe(true);
  expect(readFileSync(join(lab.repo, 'greet.txt'), 'utf8')).toBe('hello\n');
});
