import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { marked } from '../../src/process/kill.ts';
import { killProcess } from '../helpers/model/kill.ts';
import { has, Lab, shell, spec } from '../helpers/repo.ts';
import { until } from '../helpers/until.ts';

let lab: Lab;
afterEach(() => lab?.remove());

/** Runs a worker that is a shell script, in a repository with these files. */
async function work(
  script: string,
  more: { files?: Record<string, string>; declare?: string[]; verify?: string[]; prepare?: (lab: Lab) => void } = {},
) {
  lab = new Lab({ 'greet.txt': 'hello\n', ...more.files });
  more.prepare?.(lab);
  const text = spec(shell(script), {
    ...(more.declare === undefined ? {} : { files: more.declare }),
    verify: more.verify ?? ['`test -f greet.txt`'],
  });
  writeFileSync(join(lab.folder, 'spec.md'), text);
  const ended = await lab.run(['run', '../spec.md', '--no-baseline']);
  return { ended, result: await lab.result() };
}

const paths = (result: { changes: readonly { path: string }[] }): string[] =>
  result.changes.map(({ path }) => path).sort();

describe('what the change holds', () => {
  it('is a declared file, whatever ignores it', async () => {
    const { result } = await work('mkdir lib; echo x > lib/new.py; echo "*.md" >> .gitignore; echo y > note.md', {
      files: { '.gitignore': 'lib/\n' },
      declare: ['CREATE lib/new.py', 'MODIFY .gitignore', 'CREATE note.md'],
      verify: ['`test -f lib/new.py`', '`test -f note.md`'],
    });
    expect(result.outcome).toBe('succeeded');
    expect(paths(result)).toEqual(['.gitignore', 'lib/new.py', 'note.md']);
    expect(readFileSync(result.files.patch, 'utf8')).toContain('+++ b/lib/new.py');
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    expect(readFileSync(join(lab.repo, 'lib/new.py'), 'utf8')).toBe('x\n');
    expect(lab.git('ls-files', 'lib', 'note.md')).toBe('lib/new.py\nnote.md');
  });

  it('names an ignored file that is not declared, and does not verify with it', async () => {
    const { ended, result } = await work('mkdir dist; echo ok > dist/out; echo please > greet.txt', {
      files: { '.gitignore': 'dist/\n' },
      verify: ['`test -f dist/out`'],
    });
    expect(ended.code).toBe(3);
    expect(result.outcome).toBe('verification-failed');
    expect(result.notes.join('\n')).toContain('dist/');
  });

  it.each([
    ['a repository without a commit', 'git init -q inner; echo x > inner/x', 'inner/'],
    [
      'a repository with a commit',
      'git init -q inner; cd inner; echo x > x; git add x; git -c user.name=a -c user.email=a@a commit -qm x',
      'inner',
    ],
    ['a name that git does not take', 'mkdir .GIT; echo x > .GIT/x', '.GIT/x'],
  ])('is everything but %s', async (_name, script, path) => {
    const { result } = await work(`echo please > greet.txt; (${script})`);
    expect(paths(result)).toEqual(['greet.txt']);
    expect(result.notes.join('\n')).toContain(path);
    const discarded = await lab.run(['discard', '@last']);
    expect(discarded.code).toBe(0);
    expect(existsSync(join(result.files.folder, 'saved', path.replace(/\/$/, '')))).toBe(true);
  });

  it('is everything but a file whose line ends git does not take', async () => {
    const { result } = await work('echo please > greet.txt; printf "a\\nb\\r\\n" > mixed.txt; echo z > z.txt', {
      declare: ['MODIFY greet.txt', 'CREATE mixed.txt', 'CREATE z.txt'],
      prepare: (it) => {
        it.git('config', 'core.autocrlf', 'input');
        it.git('config', 'core.safecrlf', 'true');
      },
    });
    expect(paths(result)).toEqual(['greet.txt', 'z.txt']);
    expect(result.notes.join('\n')).toMatch(/not in the change: mixed\.txt \(.*CRLF/);
  });

  it('is a file outside of a sparse checkout, too', async () => {
    const { result } = await work('mkdir -p other; echo o > other/new.txt; echo please > greet.txt', {
      files: { 'in/a.txt': 'a\n', 'other/b.txt': 'b\n' },
      declare: ['MODIFY greet.txt', 'CREATE other/new.txt'],
      verify: ['`test -f other/new.txt`'],
      prepare: (it) => it.git('sparse-checkout', 'set', 'in'),
    });
    expect(result.outcome).toBe('succeeded');
    expect(paths(result)).toEqual(['greet.txt', 'other/new.txt']);
  });

  it('is a file in the place of a folder that a sparse checkout leaves out', async () => {
    const { ended, result } = await work('echo please > greet.txt; echo x > away', {
      files: { 'in/a.txt': 'a\n', 'away/b.txt': 'b\n' },
      prepare: (it) => it.git('sparse-checkout', 'set', 'in'),
    });
    expect(ended.code, ended.stderr).toBe(4);
    expect(paths(result)).toContain('away');
  });

  it('is verified with the tools of the checkout, whatever the worker put in their place', async () => {
    const { ended, result } = await work(
      'echo please > greet.txt; rm -rf node_modules/.bin; mkdir node_modules/.bin; echo "exit 0" > node_modules/.bin/tool',
      {
        files: {
          '.gitignore': 'node_modules/\n',
          'package.json': '{"devDependencies":{"tool":"1.0.0"}}',
          'package-lock.json': '{"lockfileVersion":3}',
          'other.txt': 'x\n',
        },
        verify: ['`sh node_modules/.bin/tool`'],
        prepare: (it) => it.write({ 'node_modules/.bin/tool': 'exit 1\n' }),
      },
    );
    expect(ended.code).toBe(3);
    expect(result.outcome).toBe('verification-failed');
  });

  it('is what every command sees, whatever an earlier one wrote over it', async () => {
    const { ended } = await work('echo please > greet.txt', {
      files: { 'fix.sh': 'echo fixed > greet.txt\n' },
      verify: ['`sh fix.sh`', '`grep -q fixed greet.txt`'],
    });
    expect(ended.code).toBe(3);
  });

  it('never holds what an earlier verification wrote', async () => {
    const { result } = await work('echo please > greet.txt', {
      verify: ['`sh -c "echo junk > junk.txt; test -f greet.txt"`'],
    });
    expect(paths(result)).toEqual(['greet.txt']);
    writeFileSync(join(lab.folder, 'findings.md'), '- greet.txt:1 say more\n');
    await lab.run(['revise', '@last', '--findings', '../findings.md']);
    expect(paths(await lab.result())).toEqual(['greet.txt']);
  });

  it('never holds what a verification wrote before its dispatcher was killed', async () => {
    const script = 'echo junk > junk.txt; echo worse > greet.txt; pwd > "$HOME/at"; sleep 600';
    lab = new Lab({ 'greet.txt': 'hello\n', 'check.sh': `test ! -f please.txt || { ${script}; }\n` });
    const change = shell('echo "hello please" > greet.txt; echo x > please.txt');
    const files = ['MODIFY greet.txt', 'CREATE please.txt'];
    writeFileSync(join(lab.folder, 'spec.md'), spec(change, { files, verify: ['`sh check.sh`'] }));
    let pid = 0;
    const run = lab.run(['run', '../spec.md'], { after: (started) => (pid = started) });
    await until('the verification wrote', () => existsSync(join(lab.home, 'at')));
    killProcess(pid);
    await run;
    expect((await lab.run(['recover'])).stdout).toContain('2 changed files saved');
    const result = await lab.result();
    expect(result.outcome).toBe('lost');
    expect(paths(result)).toEqual(['greet.txt', 'please.txt']);
    expect(lab.git('show', `${result.branch}:greet.txt`)).toBe('hello please');
    expect(marked(result.run)).toEqual([]);
  });

  it('is everything but a file that is not in its working-tree-encoding', async () => {
    const { result } = await work(
      'echo please > greet.txt; printf "odd" > bad.u16; printf "\\376\\377\\0a" > good.u16',
      {
        files: { '.gitattributes': '*.u16 working-tree-encoding=UTF-16\n' },
        declare: ['MODIFY greet.txt', 'CREATE bad.u16', 'CREATE good.u16'],
      },
    );
    expect(paths(result)).toEqual(['good.u16', 'greet.txt']);
    expect(result.notes.join('\n')).toMatch(/not in the change: bad\.u16 \(.*UTF-16/);
    expect((await lab.run(['discard', '@last'])).code).toBe(0);
    expect(readFileSync(join(result.files.folder, 'saved', 'bad.u16'), 'utf8')).toBe('odd');
  });

  it('is kept from discard where what git did not take is too large to be saved', async () => {
    const { result } = await work('echo please > greet.txt; git init -q inner; truncate -s 257M inner/large');
    const ended = await lab.run(['discard', '@last']);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/more than 256 MB .*inner/);
    expect(ended.stderr).toContain(`Move what you need out of ${result.worktree}`);
    expect(statSync(join(result.worktree, 'inner/large')).size).toBe(257 * 2 ** 20);
    expect(lab.git('branch', '--list', 'kimi/*')).toContain(result.branch);
    rmSync(join(result.worktree, 'inner/large'));
    expect((await lab.run(['discard', '@last'])).code).toBe(0);
  });
});

describe('filters', () => {
  it.skipIf(!has('git-lfs'))('commits the pointer of an LFS file, as git would (needs git-lfs)', async () => {
    const { result } = await work('printf "\\001\\002binary" > logo.bin', {
      files: { '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n' },
      declare: ['CREATE logo.bin'],
      verify: ['`sh -c "! grep -q git-lfs logo.bin"`'],
      prepare: (it) => execFileSync('git', ['lfs', 'install', '--skip-repo'], { cwd: it.repo, env: it.env }),
    });
    expect(result.outcome).toBe('succeeded');
    expect(lab.git('show', `${result.branch}:logo.bin`)).toContain('version https://git-lfs.github.com/spec/v1');
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    expect(readFileSync(join(lab.repo, 'logo.bin'))).toEqual(Buffer.from('\x01\x02binary'));
    expect(lab.git('status', '--porcelain')).toBe('');
  });

  it('runs no other filter, and says that the file is not what git would commit', async () => {
    const { ended, result } = await work('echo secret > a.enc; echo more > other.txt', {
      files: { '.gitattributes': '*.enc filter=own\n', 'clean.sh': 'touch "$HOME/ran"; rev\n' },
      declare: ['CREATE a.enc'],
      prepare: (it) => it.git('config', 'filter.own.clean', 'sh clean.sh'),
    });
    expect(ended.code).toBe(4);
    expect(result.scope.violations.map(({ why }) => why).join()).toContain('the filter own');
    expect(existsSync(join(lab.home, 'ran'))).toBe(false);
    // Allowing another path says nothing of this one.
    expect((await lab.run(['allow', '@last', 'other.txt'])).code).toBe(4);
  });
});
