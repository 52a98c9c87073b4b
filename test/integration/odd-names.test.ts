import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Ended, Lab, shell, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab?.remove());

/** A run of a shell script that waits for review. */
async function run(script: string, files: string[], args = ['--no-baseline']): Promise<Ended> {
  writeFileSync(join(lab.folder, 'spec.md'), spec(shell(script), { files, verify: ['`test -f greet.txt`'] }));
  return lab.run(['run', '../spec.md', ...args]);
}
/** A command that ends with this exit code. */
async function expectCode(code: number, ...args: string[]): Promise<Ended> {
  const ended = await lab.run(args);
  expect(ended.code, ended.stdout + ended.stderr).toBe(code);
  return ended;
}
const polite = 'echo "hello please" > greet.txt';

/** `café` as Latin-1 writes it: the last letter is one byte that is not UTF-8. */
const LATIN = Buffer.from('caf\xe9', 'latin1');
const named = (folder: string, ...rest: string[]): Buffer =>
  Buffer.concat([Buffer.from(`${folder}/`), LATIN, Buffer.from(rest.join(''))]);
const listed = (): string => lab.git('ls-files');

describe('a name that is not UTF-8', () => {
  /** A repository with such a file and such a folder in it. */
  const make = (): void => {
    lab = new Lab({ 'greet.txt': 'hello\n' });
    mkdirSync(named(lab.repo, '-folder'));
    writeFileSync(named(lab.repo, '-folder/inner.txt'), 'inner\n');
    writeFileSync(named(lab.repo, '.txt'), 'old\n');
    lab.commit('Old names');
  };

  it('in the base is left alone by a run, its merge and its undo', async () => {
    make();
    const ended = await run(polite, ['MODIFY greet.txt'], []);
    expect(ended.code, ended.stdout + ended.stderr).toBe(0);
    await expectCode(0, 'merge', '@last');
    await expectCode(0, 'undo', '@last');
    expect(lab.git('status', '--porcelain')).toBe('');
  });

  it('in a change is a violation that says how to see its bytes', async () => {
    make();
    const ended = await run(`${polite}; echo new > "$(printf 'n\\351w.txt')"`, ['MODIFY greet.txt']);
    expect(ended.code, ended.stdout + ended.stderr).toBe(4);
    const why = (await lab.result()).scope.violations.map((item) => item.why).join('\n');
    const look = /its name is not UTF-8 \(its bytes: (git .*)\)/.exec(why)?.[1] ?? '';
    expect(lab.git(...look.split(' ').slice(1))).toContain('"n\\351w.txt"');
  });

  it('can be looked at, allowed in vain, merged by force, and undone', async () => {
    make();
    const before = lab.git('write-tree');
    const script = `mkdir "$(printf 'd\\351')"; echo new > "$(printf 'd\\351/n\\351w.txt')"; rm "$(printf 'caf\\351.txt')"`;
    await run(`${polite}; ${script}`, ['MODIFY greet.txt']);
    await expectCode(0, 'show', '@last');
    await expectCode(0, 'show', '@last', '--json');
    await expectCode(0, 'diff', '@last');
    await expectCode(2, 'allow', '@last', 'd\ufffd/n\ufffdw.txt');
    await expectCode(0, 'merge', '@last', '--force');
    expect(listed()).toContain('"d\\351/n\\351w.txt"');
    expect(lab.git('status', '--porcelain')).toBe('');
    await expectCode(0, 'undo', '@last');
    expect(lab.git('status', '--porcelain')).toBe('');
    expect(lab.git('write-tree')).toBe(before);
  });

  it('is put back when a merge fails on the way', async () => {
    make();
    lab.write({ '.gitattributes': 'zz.txt filter=picky\n' });
    lab.commit('A filter');
    await run(
      `${polite}; echo new > "$(printf 'n\\351w.txt')"; echo changed > "$(printf 'caf\\351.txt')"; echo x > zz.txt`,
      ['MODIFY greet.txt'],
    );
    lab.git('config', 'filter.picky.smudge', 'false');
    lab.git('config', 'filter.picky.required', 'true');
    const tree = lab.git('write-tree');
    await expectCode(9, 'merge', '@last', '--force');
    expect(lab.git('status', '--porcelain')).toBe('');
    expect(lab.git('write-tree')).toBe(tree);
  });

  it('that you have there yourself is not overwritten', async () => {
    make();
    await run(`${polite}; echo new > "$(printf 'caf\\351.md')"`, ['MODIFY greet.txt']);
    writeFileSync(named(lab.repo, '.md'), 'mine\n');
    await expectCode(9, 'merge', '@last', '--force');
    expect(readFileSync(named(lab.repo, '.md'), 'utf8')).toBe('mine\n');
  });

  it('is saved at discard when you made it by hand', async () => {
    make();
    await run(polite, ['MODIFY greet.txt']);
    const { worktree } = await lab.result();
    writeFileSync(named(worktree, '.md'), 'by hand\n');
    mkdirSync(named(worktree, '-repo'));
    execFileSync('git', ['init', '-q'], { cwd: worktree, env: lab.env });
    const ended = await expectCode(0, 'discard', '@last');
    const ref = /git show (\S+)/.exec(ended.stdout + ended.stderr)?.[1] ?? '';
    expect(lab.git('ls-tree', '--name-only', ref)).toContain('"caf\\351.md"');
  });
});

describe('a rename that changes the case alone', () => {
  const rename = `${polite}; mv Readme.md README.md`;
  const declared = ['MODIFY greet.txt', 'DELETE Readme.md', 'CREATE README.md'];
  const make = (): void => {
    lab = new Lab({ 'greet.txt': 'hello\n', 'Readme.md': 'read me\n' });
  };

  it('is in the change although core.ignorecase came along from another machine', async () => {
    make();
    lab.git('config', 'core.ignorecase', 'true');
    await run(rename, declared);
    expect((await lab.result()).changes.map(({ status, path }) => `${status} ${path}`)).toEqual([
      'A README.md',
      'D Readme.md',
      'M greet.txt',
    ]);
  });

  it.each(['true', 'false'])('is merged and undone with core.ignorecase=%s', async (value) => {
    make();
    lab.git('config', 'core.ignorecase', value);
    const ended = await run(rename, declared);
    expect(ended.code, ended.stdout + ended.stderr).toBe(0);
    await expectCode(0, 'merge', '@last');
    expect(readdirSync(lab.repo).sort()).toEqual(['.git', 'README.md', 'greet.txt']);
    expect(lab.git('ls-files')).toBe('README.md\ngreet.txt');
    await expectCode(0, 'undo', '@last');
    expect(readdirSync(lab.repo).sort()).toEqual(['.git', 'Readme.md', 'greet.txt']);
    expect(lab.git('status', '--porcelain')).toBe('');
  });

  it('keeps a file of yours whose name differs in its case', async () => {
    make();
    lab.git('config', 'core.ignorecase', 'true');
    await run(`${polite}; echo new > Notes.txt`, ['MODIFY greet.txt', 'CREATE Notes.txt']);
    lab.write({ 'NOTES.txt': 'mine\n' });
    await expectCode(0, 'merge', '@last');
    await expectCode(0, 'undo', '@last');
    expect(readFileSync(join(lab.repo, 'NOTES.txt'), 'utf8')).toBe('mine\n');
  });
});

describe('a file that makes way for a folder', () => {
  it('is declared by a DELETE and a CREATE, merged and undone', async () => {
    lab = new Lab({ 'greet.txt': 'hello\n', a: 'a file\n' });
    const script = `${polite}; rm a; mkdir a; echo b > a/b.ts`;
    const ended = await run(script, ['MODIFY greet.txt', 'DELETE a', 'CREATE a/b.ts']);
    expect(ended.code, ended.stdout + ended.stderr).toBe(0);
    await expectCode(0, 'merge', '@last');
    expect(readFileSync(join(lab.repo, 'a/b.ts'), 'utf8')).toBe('b\n');
    await expectCode(0, 'undo', '@last');
    expect(readFileSync(join(lab.repo, 'a'), 'utf8')).toBe('a file\n');
  });

  it('works the other way round too, when all files of the folder go', async () => {
    lab = new Lab({ 'greet.txt': 'hello\n', 'a/b.ts': 'b\n', 'a/c/d.ts': 'd\n' });
    const script = `${polite}; rm -r a; echo file > a`;
    const ended = await run(script, ['MODIFY greet.txt', 'DELETE a/b.ts', 'DELETE a/c/d.ts', 'CREATE a']);
    expect(ended.code, ended.stdout + ended.stderr).toBe(0);
    await expectCode(0, 'merge', '@last');
    expect(readFileSync(join(lab.repo, 'a'), 'utf8')).toBe('file\n');
    await expectCode(0, 'undo', '@last');
    expect(lab.git('status', '--porcelain')).toBe('');
    expect(readFileSync(join(lab.repo, 'a/c/d.ts'), 'utf8')).toBe('d\n');
  });
});
