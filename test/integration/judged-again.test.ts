import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Ended, Lab, shell, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab?.remove());

const FILES = {
  'greet.txt': 'hello\n',
  'other.txt': 'one\n',
  'check.sh': 'grep -q please greet.txt && ! grep -q broken other.txt\n',
};

async function run(
  script: string,
  more: { declare?: string[]; verify?: string[]; args?: string[] } = {},
): Promise<Ended> {
  const files = more.declare ?? ['MODIFY greet.txt'];
  writeFileSync(join(lab.folder, 'spec.md'), spec(shell(script), { files, verify: more.verify ?? ['`sh check.sh`'] }));
  return lab.run(['run', '../spec.md', ...(more.args ?? ['--no-baseline'])]);
}
const read = (path: string): string => readFileSync(join(lab.repo, path), 'utf8');
const polite = 'echo "hello please" > greet.txt';

describe('refresh', () => {
  it('puts the change onto the new tip, verifies it there, and asks no model', async () => {
    lab = new Lab(FILES);
    expect((await run(polite)).code).toBe(0);
    const attempts = (await lab.result()).kimi?.steps;
    lab.write({ 'new.txt': 'x\n' });
    const tip = lab.commit('Moved');
    expect((await lab.run(['refresh', '@last'])).code).toBe(0);
    const result = await lab.result();
    expect(result.base).toBe(tip);
    expect(result.kimi?.steps).toBe(attempts);
    expect(result.rounds).toBe(0);
    expect(result.changes.map(({ path }) => path)).toEqual(['greet.txt']);
    const merged = await lab.run(['merge', '@last']);
    expect(merged.stdout).not.toContain('verified again');
    expect([read('greet.txt'), read('new.txt')]).toEqual(['hello please\n', 'x\n']);
  });

  it('says when the change no longer works there', async () => {
    lab = new Lab(FILES);
    await run(polite);
    lab.write({ 'other.txt': 'broken\n' });
    lab.commit('Breaks with it');
    expect((await lab.run(['refresh', '@last'])).code).toBe(3);
    expect((await lab.run(['merge', '@last'])).code).toBe(3);
  });

  it('sends a conflict back to Kimi, whose marks are a violation until they are gone', async () => {
    lab = new Lab(FILES);
    await run(polite);
    lab.write({ 'greet.txt': 'good day\n' });
    lab.commit('Other greeting');
    const conflict = await lab.run(['merge', '@last']);
    expect(conflict.code).toBe(9);
    expect(conflict.stderr).toContain('kimi-dispatch refresh');
    // The session plays on what it began with: the whole file is written again, without marks.
    expect((await lab.run(['refresh', '@last'])).code).toBe(0);
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    expect(read('greet.txt')).toBe('hello please\n');
  });

  it('a conflict is one round: Kimi is called once for it, and not at all by the merge', async () => {
    lab = new Lab(FILES);
    const calls = join(lab.folder, 'calls');
    const called = (): number => readFileSync(calls, 'utf8').trim().split('\n').length;
    await run(`echo x >> '${calls}'; ${polite}`);
    lab.write({ 'greet.txt': 'good day\n' });
    lab.commit('Other greeting');
    expect([(await lab.run(['merge', '@last'])).code, called()]).toEqual([9, 1]);
    expect([(await lab.run(['refresh', '@last'])).code, called()]).toEqual([0, 2]);
    expect((await lab.result()).rounds).toBe(1);
    const { runs } = JSON.parse((await lab.run(['status', '--json'])).stdout);
    expect([runs[0].rounds, runs[0].attempts]).toEqual([1, 2]);
  });

  it('a conflict after the last round is refused, and nothing has moved', async () => {
    lab = new Lab(FILES);
    await run(polite);
    const { run: id, commit, branch, base } = await lab.result();
    const sentBack = { t: new Date().toISOString(), type: 'reviewed', commit, round: 3 };
    appendFileSync(join(lab.record(id), 'events.ndjson'), `${JSON.stringify(sentBack)}\n`);
    lab.write({ 'greet.txt': 'good day\n' });
    lab.commit('Other greeting');
    const ended = await lab.run(['refresh', '@last']);
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining('sent back 3 times; that is the limit')]);
    expect(lab.git('rev-parse', branch)).toBe(commit);
    expect((await lab.result()).base).toBe(base);
  });

  it('keeps marks out of a merge', async () => {
    lab = new Lab(FILES);
    await run('test -f seen || echo "hello please" > greet.txt; touch ../seen; touch seen', {
      declare: ['MODIFY greet.txt', 'CREATE seen'],
    });
    lab.write({ 'greet.txt': 'good day\n' });
    lab.commit('Other greeting');
    const ended = await lab.run(['refresh', '@last']);
    expect(ended.code).toBe(4);
    expect(ended.stdout).toContain('conflict');
    expect((await lab.run(['merge', '@last'])).code).toBe(4);
  });

  it('keeps what was made in the worktree by hand', async () => {
    lab = new Lab(FILES);
    await run(polite);
    const { worktree } = await lab.result();
    lab.write({ 'greet.txt': 'by hand, please\n', 'note.txt': 'mine\n' }, worktree);
    lab.write({ 'new.txt': 'x\n' });
    lab.commit('Moved');
    const ended = await lab.run(['refresh', '@last']);
    expect((await lab.result()).changes.map(({ path }) => path)).toEqual(['greet.txt']);
    const ref = /git show (refs\/kimi-dispatch\/saved\/\S+)/.exec(ended.stderr)?.[1] ?? '';
    expect(lab.git('show', `${ref}:greet.txt`)).toBe('by hand, please');
  });
});

describe('allow', () => {
  it('accepts an undeclared path on record, and the merge stands by it', async () => {
    lab = new Lab(FILES);
    const ended = await run(`${polite}; echo two >> other.txt`);
    expect(ended.code).toBe(4);
    expect(ended.stdout).toMatch(/kimi-dispatch allow \S+ PATH/);
    expect((await lab.run(['merge', '@last'])).code).toBe(4);
    expect((await lab.run(['allow', '@last', 'nothing.txt'])).code).toBe(2);
    const allowed = await lab.run(['allow', '@last', 'other.txt']);
    expect(allowed.code, allowed.stderr).toBe(0);
    expect(allowed.stdout).toContain('allowed by hand');
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
  });

  it('takes a folder as all that the run changed in it', async () => {
    lab = new Lab(FILES);
    await run(
      `${polite}; mkdir -p src/gen src/general; echo 1 > src/gen/a; echo 2 > src/gen/b; echo 3 > src/general/c`,
    );
    const first = await lab.run(['allow', '@last', 'src/gen/']);
    expect(first.code, first.stderr).toBe(4);
    const { scope, flags } = await lab.result();
    expect(scope.violations.map(({ path }) => path)).toEqual(['src/general/c']);
    expect(flags.map(({ path }) => path)).toEqual(['src/gen/a', 'src/gen/b']);
    expect((await lab.run(['allow', '@last', './src/general'])).code).toBe(0);
  });

  it('says why the result is unverified when all paths are allowed', async () => {
    lab = new Lab(FILES);
    await run(`${polite}; echo two >> other.txt`, { verify: ['Read it. (manual)'] });
    const ended = await lab.run(['allow', '@last', 'other.txt']);
    expect(ended.code).toBe(11);
    expect(ended.stdout).toContain('names no verification command');
  });

  it('refuses a name that means none of the changed paths', async () => {
    lab = new Lab(FILES);
    await run(`${polite}; echo two >> other.txt`);
    for (const name of ['', 'oth', '..', 'src/']) expect((await lab.run(['allow', '@last', name])).code, name).toBe(2);
  });

  it('accepts that tests are gone, after the verification ran again', async () => {
    lab = new Lab({
      ...FILES,
      'a.test.mjs': "import test from 'node:test';\ntest('a', () => {});\ntest('b', () => {});\n",
    });
    const fewer = `printf "import test from 'node:test';\\ntest('a', () => {});\\n" > a.test.mjs; ${polite}`;
    const how = { declare: ['MODIFY greet.txt', 'MODIFY a.test.mjs'], verify: ['`node --test a.test.mjs`'], args: [] };
    const ended = await run(fewer, how);
    expect(ended.code).toBe(3);
    expect(ended.stdout).toMatch(/2 tests ran before, 1 now/);
    const allowed = await lab.run(['allow', '@last', '--tests', 'a.test.mjs']);
    expect(allowed.code, allowed.stdout).toBe(0);
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
  });
});

describe('what nothing could verify', () => {
  it('is unverified, and merges only when that is said', async () => {
    lab = new Lab(FILES);
    const ended = await run(polite, { verify: ['`no-such-program`'] });
    expect(ended.code).toBe(3);
    const docs = await run(`${polite} ; true`, { verify: ['Read it. (manual)'] });
    expect(docs.code, docs.stdout + docs.stderr).toBe(11);
    expect(docs.stdout).toContain('UNVERIFIED');
    const plain = await lab.run(['merge', '@last']);
    expect(plain.code).toBe(2);
    expect(plain.stderr).toContain('--unverified');
    expect((await lab.run(['merge', '@last', '--unverified'])).code).toBe(0);
  });

  it('a check that fails once is flaky, and says so', async () => {
    lab = new Lab(FILES);
    const once = join(lab.folder, 'once');
    writeFileSync(
      join(lab.folder, 'flaky.sh'),
      `test -f seen.txt || exit 0\nmkdir ${once} 2>/dev/null && exit 1\nexit 0\n`,
    );
    const verify = [`\`sh ${join(lab.folder, 'flaky.sh')}\``];
    const ended = await run('touch seen.txt', { declare: ['CREATE seen.txt'], verify, args: [] });
    expect(ended.code, ended.stdout).toBe(0);
    expect(ended.stdout).toContain('FLAKY');
    expect(existsSync(once)).toBe(true);
  });
});

describe('without a sandbox', () => {
  it('a dropped stash and changed packages are violations that name the way back', async () => {
    lab = new Lab({
      ...FILES,
      '.gitignore': 'node_modules/\n',
      'package.json': '{"dependencies":{"dep":"1.0.0"}}',
      'package-lock.json': '{"lockfileVersion":3}',
    });
    lab.write({ 'node_modules/dep/index.js': 'module.exports = 1\n', 'other.txt': 'stashed\n' });
    lab.git('stash', '-q');
    const ended = await run(`${polite}; git stash drop -q; echo evil > node_modules/dep/index.js`);
    expect(ended.code).toBe(4);
    expect(ended.stdout).toMatch(/GATE: git stash lost an entry.*git stash store [0-9a-f]{40}/);
    expect(ended.stdout).toMatch(/node_modules .*install the packages again/);
  });
});

describe('a file that git ignores and Kimi left in its worktree', () => {
  const needed = 'test ! -f strict.txt || test -f dist/ok\n';
  const leftover = `${polite}; mkdir dist; echo ok > dist/ok`;

  it.each(['merge', 'refresh'])('does not make the verification of a %s pass', async (command) => {
    lab = new Lab({ ...FILES, '.gitignore': 'dist/\n', 'check.sh': needed });
    expect((await run(leftover)).code).toBe(0);
    lab.write({ 'strict.txt': 'x\n' });
    lab.commit('The check needs dist/ok now');
    const ended = await lab.run([command, '@last']);
    expect(ended.code, ended.stderr).toBe(3);
    expect(read('greet.txt')).toBe('hello\n');
    const { worktree } = await lab.result();
    if (command === 'merge') expect(existsSync(join(worktree, 'dist/ok'))).toBe(true);
  });

  it('does not make the verification of a revise pass', async () => {
    lab = new Lab({ ...FILES, '.gitignore': 'dist/\n', 'check.sh': needed });
    const declare = ['MODIFY greet.txt', 'CREATE strict.txt'];
    expect((await run(leftover, { declare })).code).toBe(0);
    writeFileSync(join(lab.folder, 'findings.md'), `Be strict. SCENARIO ${shell('echo x > strict.txt; ls dist/ok')}\n`);
    expect((await lab.run(['revise', '@last', '--findings', '../findings.md'])).code).toBe(3);
    const { changes, worktree } = await lab.result();
    expect(changes.map(({ path }) => path).sort()).toEqual(['greet.txt', 'strict.txt']);
    expect(existsSync(join(worktree, 'dist/ok'))).toBe(true);
  });
});

it('a check that removes its own folder has failed, and the run ends as one that failed', async () => {
  lab = new Lab({ ...FILES, 'gone.sh': 'cd ..; rm -rf "$OLDPWD"\n' });
  const ended = await run(polite, { verify: ['`sh gone.sh`', '`sh check.sh`'], args: ['--no-baseline'] });
  expect(ended.code, ended.stdout + ended.stderr).toBe(3);
  expect(ended.stdout).toContain('it removed the folder');
});
