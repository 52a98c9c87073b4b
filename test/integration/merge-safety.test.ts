import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Ended, has, Lab, shell, spec } from '../helpers/repo.ts';

const agreed = { env: { KIMI_DISPATCH_UNREVIEWED: 'run' } };
let lab: Lab;
afterEach(() => lab?.remove());

const FILES = { 'greet.txt': 'hello\n', 'other.txt': 'one\ntwo\nthree\nfour\nfive\n', '.gitignore': '*.log\nbuild/\n' };

type Git = (...args: string[]) => string;

/** A run of a shell script that waits for review. */
async function run(script: string, declare: string[], args: string[] = []): Promise<Ended> {
  const text = spec(shell(script), { files: declare, verify: ['`test -f greet.txt`'] });
  writeFileSync(join(lab.folder, 'spec.md'), text);
  return lab.run(['run', '../spec.md', '--no-baseline', ...args]);
}
async function again(script: string, declare: string[], args: string[] = []): Promise<Ended> {
  const ended = await run(script, declare, args);
  expect(ended.code, ended.stdout + ended.stderr).toBe(0);
  return ended;
}
const fresh = (files: Record<string, string> = FILES): void => {
  lab = new Lab(files);
};
const read = (path: string): string => readFileSync(join(lab.repo, path), 'utf8');
const polite = 'echo "hello please" > greet.txt';

describe('a merge and the files of the user', () => {
  it.each([
    ['an ignored file', 'note.log', 'CREATE note.log', 'echo kimi > note.log'],
    [
      'an ignored file where a folder must be',
      'note.log',
      'CREATE note.log/x.txt',
      'mkdir note.log; echo kimi > note.log/x.txt',
    ],
    ['an ignored folder where a file must be', 'build/mine.txt', 'CREATE build', 'echo kimi > build'],
  ])('never overwrites %s', async (_name, mine, declare, script) => {
    fresh();
    await again(`${polite}; ${script}`, ['MODIFY greet.txt', declare]);
    lab.write({ [mine]: 'mine\n' });
    const before = lab.snapshot();
    const ended = await lab.run(['merge', '@last']);
    expect(ended.code).toBe(9);
    expect(ended.stderr).toContain(mine.split('/')[0]);
    expect(lab.snapshot()).toEqual(before);
  });

  it('never removes a submodule with what lies in it', async () => {
    fresh();
    lab.git('init', '-q', '../sub');
    lab.git('-C', '../sub', 'commit', '-q', '--allow-empty', '-m', 'Sub');
    lab.git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', '../sub', 'sub');
    lab.commit('A submodule');
    await run(`${polite}; rmdir sub; echo file > sub`, ['MODIFY greet.txt']);
    lab.write({ 'sub/mine.txt': 'mine\n' });
    const ended = await lab.run(['merge', '@last', '--force']);
    expect(ended.code).toBe(9);
    expect(read('sub/mine.txt')).toBe('mine\n');
  });

  it('keeps the staged half of another file, through merge and undo', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    lab.write({ 'other.txt': 'staged\n' });
    lab.git('add', 'other.txt');
    lab.write({ 'other.txt': 'staged\nand edited\n' });
    const staged = lab.git('ls-files', '-s', 'other.txt');
    for (const command of ['merge', 'undo']) {
      expect((await lab.run([command, '@last'])).code).toBe(0);
      expect(lab.git('ls-files', '-s', 'other.txt')).toBe(staged);
      expect(read('other.txt')).toBe('staged\nand edited\n');
    }
    expect(read('greet.txt')).toBe('hello\n');
  });

  it.each([
    ['an untracked file in the place of a deleted one', 'old.txt', 'old.txt'],
    ['an untracked file where a deleted folder was', 'old/x.txt', 'old'],
    ['an untracked folder in the place of a deleted file', 'old.txt', 'old.txt/mine.txt'],
  ])('leaves, in an undo, %s byte for byte', async (_name, deleted, mine) => {
    fresh({ ...FILES, [deleted]: 'old\n' });
    await again(`${polite}; rm ${deleted}`, ['MODIFY greet.txt', `DELETE ${deleted}`]);
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    lab.write({ [mine]: 'mine \r\n\0' });
    const before = lab.snapshot();
    const ended = await lab.run(['undo', '@last']);
    expect(ended.code).toBe(9);
    expect(ended.stderr).toContain('old');
    expect(read(mine)).toBe('mine \r\n\0');
    const after = lab.snapshot();
    for (const name of [mine, 'greet.txt', '.git/HEAD', '.git/refs/heads/main']) expect(after[name]).toBe(before[name]);
  });

  it('does not overwrite, in an undo, an ignored file that took the place of a deleted one', async () => {
    fresh({ ...FILES, 'old.txt': 'old\n' });
    await again(`${polite}; rm old.txt; echo old.txt >> .gitignore`, [
      'MODIFY greet.txt',
      'DELETE old.txt',
      'MODIFY .gitignore',
    ]);
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    lab.write({ 'old.txt': 'mine now\n' });
    const before = lab.snapshot();
    expect((await lab.run(['undo', '@last'])).code).toBe(9);
    expect(read('old.txt')).toBe('mine now\n');
    expect(lab.snapshot()['.git/HEAD']).toBe(before['.git/HEAD']);
  });

  it.each([
    ['branch.main.mergeOptions', '--squash'],
    ['branch.main.mergeOptions', '--no-commit'],
    ['merge.ff', 'false'],
    ['merge.autoStash', 'true'],
    ['pull.rebase', 'true'],
  ])('is a fast-forward whatever %s=%s says', async (key, value) => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    lab.git('config', key, value);
    lab.write({ 'other.txt': 'edited\n' });
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    expect(lab.git('show', 'HEAD:greet.txt')).toBe('hello please');
    expect(read('other.txt')).toBe('edited\n');
    expect(lab.git('stash', 'list')).toBe('');
  });

  it('leaves everything as it was when a smudge filter fails on the way', async () => {
    fresh({ ...FILES, '.gitattributes': '*.txt filter=picky\n' });
    await again(`${polite}; echo x > zz.txt`, ['MODIFY greet.txt', 'CREATE zz.txt']);
    lab.git('config', 'filter.picky.smudge', 'sh -c "test %f != zz.txt && cat"');
    lab.git('config', 'filter.picky.required', 'true');
    const before = lab.snapshot();
    const ended = await lab.run(['merge', '@last', '--force']);
    expect(ended.code, ended.stderr).toBe(9);
    expect(ended.stderr).toContain('nothing was changed');
    const after = lab.snapshot();
    for (const name of Object.keys(before).filter((path) => !/ORIG_HEAD|logs|\.git\/index$/.test(path)))
      expect(after[name], name).toBe(before[name]);
    expect(existsSync(join(lab.repo, 'zz.txt'))).toBe(false);
    expect(lab.git('status', '--porcelain')).toBe('');
  });
});

describe.skipIf(process.getuid?.() !== 0)('a merge onto a full disk (needs mount)', () => {
  it('leaves the checkout as it was, and works once there is room', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kd-full-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', folder]);
    try {
      fresh();
      // The checkout lies on the small disk, its git folder does not.
      const small = join(folder, 'checkout');
      lab.git('worktree', 'add', '-q', small, '-b', 'small');
      await again('head -c 3000000 /dev/urandom > big.txt; head -c 10 big.txt > small.txt', [
        'CREATE big.txt',
        'CREATE small.txt',
      ]);
      const { run } = await lab.result();
      writeFileSync(join(folder, 'filler'), Buffer.alloc(5 * 1024 * 1024));
      const ended = await lab.run(['merge', run, '--force'], { cwd: small });
      expect(ended.code, ended.stdout + ended.stderr).toBe(6);
      const git = (...args: string[]): string =>
        execFileSync('git', args, { cwd: small, env: lab.env, encoding: 'utf8' });
      expect(git('status', '--porcelain')).toBe('');
      expect(existsSync(join(small, 'big.txt'))).toBe(false);
      rmSync(join(folder, 'filler'));
      const then = await lab.run(['merge', run, '--force'], { cwd: small });
      expect(then.code, then.stderr).toBe(0);
      expect(git('status', '--porcelain')).toBe('');
    } finally {
      execFileSync('umount', ['-l', folder]);
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('what arrives', () => {
  it('is the change of the run and not what was amended away', async () => {
    fresh();
    lab.write({ 'private.txt': 'not for others\n' });
    lab.commit('Draft');
    await again(polite, ['MODIFY greet.txt']);
    lab.git('rm', '-q', 'private.txt');
    lab.write({ 'public.txt': 'for others\n' });
    lab.git('add', '-A');
    lab.git('commit', '-q', '--amend', '-m', 'Without it');
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    expect(lab.git('ls-files', 'private.txt')).toBe('');
    expect(lab.git('show', '--name-only', '--format=', 'HEAD')).toBe('greet.txt');
  });

  it('holds nothing of the branch that the run was based on', async () => {
    fresh();
    lab.git('switch', '-q', '-c', 'feature');
    lab.write({ 'feature.txt': 'f\n' });
    lab.commit('Feature');
    await again(polite, ['MODIFY greet.txt'], ['--base', 'feature']);
    lab.git('switch', '-q', 'main');
    const noFf = await lab.run(['merge', '@last', '--no-ff']);
    expect(noFf.code).toBe(2);
    expect(noFf.stderr).toContain('without --no-ff');
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    expect(existsSync(join(lab.repo, 'feature.txt'))).toBe(false);
  });

  it("leaves another worktree that stands on the run's branch as it is", async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    const { branch } = await lab.result();
    lab.git('worktree', 'add', '-q', '--force', '../mine', branch);
    const there = () => lab.git('-C', '../mine', 'status', '--porcelain', '--branch');
    const before = there();
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    expect(there()).toBe(before);
    expect(read('greet.txt')).toBe('hello please\n');
  });

  it('is verified and gated again when a hook changed it', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    lab.write({ '.git/hooks/pre-commit': '#!/bin/sh\necho x > added.txt\ngit add added.txt\n' });
    chmodSync(join(lab.repo, '.git/hooks/pre-commit'), 0o755);
    const before = lab.snapshot();
    const ended = await lab.run(['merge', '@last'], agreed);
    expect(ended.code).toBe(4);
    expect(ended.stderr).toContain('added.txt');
    expect(lab.snapshot()).toEqual(before);
  });

  it('holds nothing that the verification left, although a hook stages everything', async () => {
    fresh({ ...FILES, 'check.sh': 'echo junk > junk.txt; mkdir -p left; echo x > left/x; test -f greet.txt\n' });
    writeFileSync(join(lab.folder, 'spec.md'), spec(shell(polite), { verify: ['`sh check.sh`'] }));
    expect((await lab.run(['run', '../spec.md'])).code).toBe(0);
    lab.write({ 'other.txt': 'moved on\n', '.git/hooks/pre-commit': '#!/bin/sh\ngit add -A\ntouch "$HOME/ran"\n' });
    chmodSync(join(lab.repo, '.git/hooks/pre-commit'), 0o755);
    lab.commit('Moved');
    for (const name of ['junk.txt', 'left/x']) expect(existsSync(join(lab.repo, name))).toBe(false);
    rmSync(join(lab.home, 'ran'));
    const ended = await lab.run(['merge', '@last'], agreed);
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stdout).toContain('verified again');
    expect(existsSync(join(lab.home, 'ran'))).toBe(true);
    expect(lab.git('show', '--name-only', '--format=', 'HEAD')).toBe('greet.txt');
    expect(lab.git('status', '--porcelain')).toBe('');
  });

  it('carries the message that was given, where a hook refuses the other', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    lab.write({ '.git/hooks/commit-msg': '#!/bin/sh\ngrep -q "^feat: " "$1"\n' });
    chmodSync(join(lab.repo, '.git/hooks/commit-msg'), 0o755);
    expect((await lab.run(['merge', '@last'], agreed)).code).toBe(2);
    expect((await lab.run(['merge', '@last', '--message', 'feat: be polite'], agreed)).code).toBe(0);
    expect(lab.git('log', '-1', '--format=%s')).toBe('feat: be polite');
  });

  it.skipIf(!has('ssh-keygen'))(
    'is signed with --no-ff, too, where commits are signed (needs ssh-keygen)',
    async () => {
      fresh();
      await again(polite, ['MODIFY greet.txt']);
      const key = join(lab.folder, 'key');
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
      for (const [name, value] of [
        ['gpg.format', 'ssh'],
        ['user.signingkey', key],
        ['commit.gpgSign', 'true'],
      ] as const)
        lab.git('config', name, value);
      expect((await lab.run(['merge', '@last', '--no-ff'])).code).toBe(0);
      expect(lab.git('cat-file', 'commit', 'HEAD')).toContain('BEGIN SSH SIGNATURE');
      expect((await lab.run(['undo', '@last'])).code).toBe(0);
      expect(read('greet.txt')).toBe('hello\n');
    },
  );

  it('is the commit and the branch that were shown', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    const { commit } = await lab.result();
    expect((await lab.run(['merge', '@last', '--commit', '0123456789'])).stderr).toContain('another commit');
    lab.git('switch', '-q', '-c', 'elsewhere');
    expect((await lab.run(['merge', '@last', '--commit', commit ?? '', '--onto', 'main'])).stderr).toContain(
      'git switch main',
    );
    lab.git('switch', '-q', 'main');
    expect((await lab.run(['merge', '@last', '--commit', commit ?? '', '--onto', 'main'])).code).toBe(0);
  });
});

describe('refused in one line, with a way out', () => {
  const refused = async (args: string[], words: string): Promise<void> => {
    const ended = await lab.run(args);
    expect(ended.code).toBeGreaterThan(1);
    expect(ended.stderr).toContain(words);
    expect(ended.stderr).not.toMatch(/\n {4}at /);
  };

  /** The first pick conflicts and is committed by hand, the second one waits. */
  const betweenPicks = (git: Git): void => {
    try {
      git('cherry-pick', 'side', 'side~1');
    } catch {
      git('commit', '-q', '-a', '-m', 'By hand');
    }
  };

  it.each([
    ['MERGE_HEAD', 'a merge', 'git merge --abort', (git: Git) => git('merge', 'side')],
    ['CHERRY_PICK_HEAD', 'a cherry-pick', 'git cherry-pick --abort', (git: Git) => git('cherry-pick', 'side')],
    ['REVERT_HEAD', 'a revert', 'git revert --abort', (git: Git) => git('revert', '--no-edit', 'HEAD~1')],
    ['BISECT_START', 'a bisect', 'git bisect reset', (git: Git) => git('bisect', 'start')],
    ['sequencer', 'several cherry-picks', 'git cherry-pick --abort', betweenPicks],
    ['rebase-apply', 'an am', 'git am --abort', (git: Git) => git('am', '../side.patch')],
  ])('in the middle of %s: %s', async (state, _name, way, begin) => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    lab.git('switch', '-q', '-c', 'side');
    lab.write({ 'other.txt': 'side\n' });
    lab.commit('Side');
    writeFileSync(join(lab.folder, 'side.patch'), `${lab.git('format-patch', '-1', '--stdout')}\n`);
    lab.git('switch', '-q', 'main');
    for (const text of ['main\n', 'more\n']) {
      lab.write({ 'other.txt': text });
      lab.commit('Main');
    }
    try {
      begin((...args) => lab.git(...args));
    } catch {
      // A conflict, which is what it is for.
    }
    expect(existsSync(join(lab.repo, '.git', state))).toBe(true);
    const before = lab.snapshot();
    await refused(['merge', '@last'], way);
    expect(lab.snapshot()).toEqual(before);
  });

  it('in the middle of a rebase', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    lab.git('switch', '-q', '-c', 'side');
    lab.write({ 'other.txt': 'side\n' });
    lab.commit('Side');
    lab.git('switch', '-q', 'main');
    lab.write({ 'other.txt': 'main\n' });
    lab.commit('Main');
    expect(() => lab.git('rebase', 'side')).toThrow();
    await refused(['merge', '@last'], 'git rebase --abort');
  });

  it('a branch without common history', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    lab.git('checkout', '-q', '--orphan', 'alone');
    lab.git('commit', '-q', '-m', 'Alone');
    await refused(['merge', '@last'], 'no history in common');
  });

  it('a branch named kimi', async () => {
    fresh();
    lab.git('branch', 'kimi');
    writeFileSync(join(lab.folder, 'spec.md'), spec('success'));
    await refused(['run', '../spec.md', '--no-baseline'], 'git branch -m kimi');
  });

  it('after a manual reset, and an undo takes note of it', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    lab.git('reset', '-q', '--hard', 'HEAD~1');
    await refused(['merge', '@last'], 'no longer holds that merge');
    expect((await lab.run(['undo', '@last'])).code).toBe(0);
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    expect(read('greet.txt')).toBe('hello please\n');
  });

  it('an undo of a merge that was amended since', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    await lab.run(['merge', '@last']);
    lab.git('commit', '-q', '--amend', '-m', 'My own words');
    await refused(['undo', '@last'], 'amended or rebased');
    expect(read('greet.txt')).toBe('hello please\n');
  });

  it('an undo on a branch that is gone', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    await lab.run(['merge', '@last']);
    lab.git('switch', '-q', '-c', 'side', 'HEAD~1');
    lab.git('branch', '-q', '-D', 'main');
    await refused(['undo', '@last'], 'git revert');
  });

  it('another worktree, naming the one where the branch is', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    lab.git('worktree', 'add', '-q', '-b', 'side', '../mine');
    const mine = { cwd: join(lab.folder, 'mine') };
    const { run: id } = await lab.result();
    const shown = await lab.run(['merge', id, '--onto', 'main'], mine);
    expect(shown.stderr).toContain(`cd '${lab.repo}' && kimi-dispatch merge ${id}`);
    expect((await lab.run(['merge', id])).code).toBe(0);
    expect((await lab.run(['merge', id], mine)).stderr).toContain('is merged already');
    const ended = await lab.run(['undo', id], mine);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain(`Fix: cd '${lab.repo}' && kimi-dispatch undo ${id}`);
  });

  it("the run's branch in another worktree", async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    const { branch } = await lab.result();
    lab.git('worktree', 'add', '-q', '--force', '../mine', branch);
    await refused(['discard', '@last'], '/mine switch --detach');
    expect(lab.git('rev-parse', branch)).not.toBe('');
  });

  it.each(['revise', 'refresh'])('a %s of a run whose branch is in another worktree', async (command) => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    const { branch } = await lab.result();
    lab.git('worktree', 'add', '-q', '--force', '../mine', branch);
    lab.write({ 'other.txt': 'moved\n' });
    lab.commit('Moved');
    const there = () => [lab.git('-C', '../mine', 'status', '--porcelain'), lab.git('rev-parse', branch)];
    const before = there();
    writeFileSync(join(lab.folder, 'findings.md'), `More. SCENARIO ${shell('echo more please > greet.txt')}\n`);
    await refused([command, '@last', ...(command === 'revise' ? ['--findings', '../findings.md'] : [])], '/mine');
    expect(there()).toEqual(before);
  });

  it('a revert of a merge commit that other commits stand on', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    await lab.run(['merge', '@last', '--no-ff']);
    lab.write({ 'later.txt': 'x\n' });
    lab.commit('Later');
    const ended = await lab.run(['undo', '@last']);
    const command = /git (revert -m 1 [0-9a-f]+)/.exec(ended.stderr)?.[1] ?? '';
    lab.git(...command.split(' '), '--no-edit');
    expect(read('greet.txt')).toBe('hello\n');
  });
});

describe('a run at work, and work by hand', () => {
  it('a run that was sent back cannot be merged or discarded meanwhile', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    writeFileSync(join(lab.folder, 'findings.md'), 'SCENARIO slow 4\n');
    const back = lab.run(['revise', '@last', '--findings', '../findings.md']);
    await new Promise((done) => setTimeout(done, 2500));
    for (const command of ['merge', 'discard']) {
      const ended = await lab.run([command, '@last']);
      expect(ended.code).toBe(2);
    }
    expect((await back).code).toBe(0);
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
  });

  it.each(['merge', 'discard'])('edits in the worktree and commits on the branch survive %s', async (command) => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    const { worktree, files } = await lab.result();
    lab.write({ 'greet.txt': 'by hand\n', 'new.txt': 'new\n', 'mine.log': 'ignored\n' }, worktree);
    const ended = await lab.run([command, '@last']);
    expect(ended.code).toBe(0);
    const ref = /git show (refs\/kimi-dispatch\/saved\/\S+)/.exec(ended.stdout)?.[1] ?? '';
    expect(lab.git('show', `${ref}:greet.txt`)).toBe('by hand');
    expect(lab.git('show', `${ref}:new.txt`)).toBe('new');
    expect(readFileSync(join(files.folder, 'saved', 'mine.log'), 'utf8')).toBe('ignored\n');
  });

  it('commits on the branch are named at merge and kept at discard', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    const { worktree } = await lab.result();
    lab.write({ 'new.txt': 'new\n' }, worktree);
    execFileSync('git', ['-C', worktree, 'add', '-A'], { env: lab.env });
    execFileSync('git', ['-C', worktree, 'commit', '-qm', 'By hand'], { env: lab.env });
    expect((await lab.run(['merge', '@last'])).stderr).toContain('moved by hand');
    const ended = await lab.run(['discard', '@last']);
    const ref = /git log (refs\/kimi-dispatch\/saved\/\S+)/.exec(ended.stdout)?.[1] ?? '';
    expect(lab.git('show', `${ref}:new.txt`)).toBe('new');
  });

  it('merges in a repository that was moved since the run', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    const { run } = await lab.result();
    const moved = join(lab.folder, 'moved');
    renameSync(lab.repo, moved);
    mkdirSync(lab.repo);
    const ended = await lab.run(['merge', run], { cwd: moved });
    expect(ended.code, ended.stderr).toBe(0);
    expect(readFileSync(join(moved, 'greet.txt'), 'utf8')).toBe('hello please\n');
  });

  it('two merges wait for each other', async () => {
    fresh();
    await again(polite, ['MODIFY greet.txt']);
    const first = (await lab.result()).run;
    await again('echo more >> other.txt', ['MODIFY other.txt']);
    const second = (await lab.result()).run;
    const ended = await Promise.all([lab.run(['merge', first]), lab.run(['merge', second])]);
    expect(ended.map(({ code }) => code)).toEqual([0, 0]);
    expect(lab.git('rev-list', '--count', 'HEAD')).toBe('3');
    expect(read('greet.txt')).toBe('hello please\n');
    expect(read('other.txt')).toContain('more');
  });
});

it('an undo follows a branch that was renamed', async () => {
  fresh();
  await again(polite, ['MODIFY greet.txt']);
  await lab.run(['merge', '@last']);
  lab.git('branch', '-m', 'main', 'trunk');
  const ended = await lab.run(['undo', '@last']);
  expect(ended.code, ended.stderr).toBe(0);
  expect(read('greet.txt')).toBe('hello\n');
  expect(lab.git('symbolic-ref', 'HEAD')).toBe('refs/heads/trunk');
});

it('a commit is UTF-8 and says nothing else, whatever i18n.commitEncoding is', async () => {
  fresh();
  lab.git('config', 'i18n.commitEncoding', 'ISO-8859-1');
  await again(polite, ['MODIFY greet.txt']);
  expect((await lab.run(['merge', '@last', '--message', 'Grüße an 東京'])).code).toBe(0);
  const raw = lab.git('cat-file', 'commit', 'HEAD');
  expect(raw).toContain('Grüße an 東京');
  expect(raw).not.toContain('encoding');
});
