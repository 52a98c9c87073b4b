import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Ended, Lab, shell, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab?.remove());

const polite = 'echo "hello please" > greet.txt';

function fresh(): void {
  lab = new Lab({ 'greet.txt': 'hello\n', 'other.txt': 'one\n', '.gitignore': '.env\n' });
  lab.git('tag', 'v1');
  lab.write({ 'other.txt': 'stashed\n' });
  lab.git('stash', '-q');
}

/** What the verification runs from now on; $R is the checkout. */
const check = (script: string): void =>
  writeFileSync(join(lab.folder, 'check.sh'), `R='${lab.repo}'\n{ ${script}; } >/dev/null 2>&1\n`);

function run(worker: string, args: string[] = ['--no-baseline']): Promise<Ended> {
  const how = { files: ['MODIFY greet.txt'], verify: [`\`sh ${join(lab.folder, 'check.sh')}\``] };
  writeFileSync(join(lab.folder, 'spec.md'), spec(shell(`R='${lab.repo}'; ${polite}; ${worker}`), how));
  return lab.run(['run', '../spec.md', ...args]);
}

const DROP = 'git -C $R stash drop -q';
const LOST = /GATE: git stash lost an entry.*: git stash store [0-9a-f]{40}$/m;

describe('what a run does outside its worktree without a sandbox', () => {
  it.each([
    ['by its verification', 'true', DROP, ['--no-baseline']],
    ['by its baseline', 'true', `test -f $R/../once || ${DROP}; touch $R/../once`, []],
    ['by Kimi', DROP, 'true', ['--no-baseline']],
  ])('gates the merge: %s', async (_name, worker, verify, args) => {
    fresh();
    check(verify);
    const ended = await run(worker, args);
    expect(ended.code, ended.stdout).toBe(4);
    expect(ended.stdout).toMatch(LOST);
    expect((await lab.run(['merge', '@last'])).code).toBe(4);
  });

  it('gates the merge: by provisioning', async () => {
    fresh();
    check('true');
    const profiles = join(lab.home, '.config/kimi-dispatch');
    mkdirSync(profiles, { recursive: true });
    writeFileSync(join(profiles, 'profiles.toml'), `[default]\nsetup = 'git config core.hooksPath evil'\n`);
    const ended = await run('true');
    expect(ended.stdout).toMatch(/GATE: git config core\.hookspath was set/);
    expect(ended.code).toBe(4);
  });

  it('is told where the run is refused before Kimi', async () => {
    fresh();
    check('true');
    const profiles = join(lab.home, '.config/kimi-dispatch');
    mkdirSync(profiles, { recursive: true });
    writeFileSync(join(profiles, 'profiles.toml'), `[default]\nsetup = 'git tag -d v1; false'\n`);
    const ended = await run('true');
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/refs\/tags\/v1 is gone.*git update-ref refs\/tags\/v1 [0-9a-f]{40}/);
  });

  it('stands after a revision that does nothing of it, until a person allows it by its name', async () => {
    fresh();
    check('true');
    expect((await run('git -C $R config alias.st "!evil"')).code).toBe(4);
    writeFileSync(join(lab.folder, 'findings.md'), '- greet.txt:1 fine\n');
    const revised = await lab.run(['revise', '@last', '--findings', '../findings.md']);
    expect(revised.code, revised.stdout + revised.stderr).toBe(4);
    expect(revised.stdout).toMatch(/GATE: git config alias\.st was set/);
    expect((await lab.run(['allow', '@last', 'git config alias.other'])).code).toBe(2);
    const allowed = await lab.run(['allow', '@last', 'git config alias.st']);
    expect(allowed.code, allowed.stdout + allowed.stderr).toBe(0);
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
  });

  it('gates a refreshed run', async () => {
    fresh();
    check('true');
    expect((await run('true')).code).toBe(0);
    lab.write({ 'more.txt': 'x\n' });
    lab.commit('Moved');
    check(DROP);
    const refreshed = await lab.run(['refresh', '@last']);
    expect(refreshed.code, refreshed.stdout).toBe(4);
    expect(refreshed.stdout).toMatch(LOST);
  });

  it('gates a run whose tests were allowed, where verifying it again did it', async () => {
    fresh();
    check('true');
    expect((await run('true')).code).toBe(0);
    check(DROP);
    const allowed = await lab.run(['allow', '@last', '--tests', 'a.test.ts']);
    expect(allowed.code, allowed.stdout + allowed.stderr).toBe(4);
    expect(allowed.stdout).toMatch(LOST);
    expect((await lab.run(['merge', '@last'])).code).toBe(4);
  });

  it('gates a run in waves, where the verification of the whole did it', async () => {
    fresh();
    const task = (n: number, file: string): string =>
      `### Task ${n}: ${file} [INDEPENDENT]\nFiles:\n- CREATE ${file}.txt\nRequirements:\n- SCENARIO file ${file}\n`;
    const text = `# Spec: 001 -- Two\n\n## Tasks\n${task(1, 'a')}\n${task(2, 'b')}\n## Verification\n- \`sh ${lab.folder}/check.sh\`\n`;
    writeFileSync(join(lab.folder, 'spec.md'), text);
    check(`test -f a.txt && test -f b.txt && ${DROP}; true`);
    const ended = await lab.run(['run', '../spec.md', '--waves', '--no-baseline']);
    expect(ended.stdout, ended.stderr).toMatch(LOST);
    expect(ended.code).toBe(4);
  });

  it('is none where the user commits, fetches and edits', async () => {
    fresh();
    lab.git('update-ref', 'refs/remotes/origin/main', 'HEAD');
    check(
      'echo x >> $R/other.txt; git -C $R commit -qam Mine; git -C $R update-ref refs/remotes/origin/main HEAD; echo y >> $R/other.txt',
    );
    const ended = await run('true');
    expect(ended.code, ended.stdout).toBe(0);
    expect(ended.stdout).toContain('main changed meanwhile');
    check('true');
    const merged = await lab.run(['merge', '@last']);
    expect(merged.code, merged.stderr).toBe(0);
  });
});

describe('what a merge runs without a sandbox', () => {
  async function moved(): Promise<void> {
    fresh();
    check('true');
    expect((await run('true')).code).toBe(0);
    lab.write({ 'more.txt': 'x\n', '.env': 'A=1\n' });
    lab.git('add', 'more.txt');
    lab.git('commit', '-q', '-m', 'Moved');
  }

  it.each([
    ['drops the stash', DROP, /git stash lost an entry.*git stash store [0-9a-f]{40}/],
    [
      'moves the branch',
      'git -C $R commit -q --allow-empty -m x',
      /refs\/heads\/main was moved.*git update-ref refs\/heads\/main/,
    ],
    ['edits a file', 'echo evil > $R/other.txt', /other\.txt was changed.*git restore .*-- other\.txt/],
    ['deletes a file that git ignores', 'rm $R/.env', /\.env is gone/],
  ])('refuses it where the verification %s', async (_name, script, said) => {
    await moved();
    check(script);
    const ended = await lab.run(['merge', '@last']);
    expect(ended.code, ended.stdout + ended.stderr).toBe(4);
    expect(ended.stderr).toMatch(said);
    expect(lab.git('log', '-3', '--format=%s')).not.toContain('Change the greeting');
    expect((await lab.result()).outcome).toBe('succeeded');
  });

  it('refuses it where a hook runs something that deletes a tag, and forced it says so', async () => {
    // A hook runs inside the sandbox, where there is one; with the user's word it runs as the user.
    const agreed = { env: { KIMI_DISPATCH_UNREVIEWED: 'run' } };
    fresh();
    check('true');
    expect((await run('true')).code).toBe(0);
    lab.write({ '.git/hooks/pre-commit': '#!/bin/sh\ngit tag -d v1\n' });
    chmodSync(join(lab.repo, '.git/hooks/pre-commit'), 0o755);
    const ended = await lab.run(['merge', '@last'], agreed);
    expect(ended.code).toBe(4);
    expect(ended.stderr).toMatch(/refs\/tags\/v1 is gone/);
    lab.git('tag', 'v1');
    const forced = await lab.run(['merge', '@last', '--force'], agreed);
    expect(forced.code, forced.stderr).toBe(0);
    expect(forced.stdout).toMatch(/refs\/tags\/v1 is gone.*git update-ref refs\/tags\/v1/);
  });
});
