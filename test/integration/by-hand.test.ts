import { existsSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Ended, Lab, shell, spec } from '../helpers/repo.ts';

let lab: Lab;
beforeEach(() => {
  lab = new Lab({ 'greet.txt': 'hello\n', 'other.txt': 'other\n', '.gitignore': '*.log\n' });
});
afterEach(() => lab?.remove());

/** A run that waits for review; its worktree. */
async function run(): Promise<string> {
  writeFileSync(join(lab.folder, 'spec.md'), spec(shell('echo "hello please" > greet.txt')));
  const ended = await lab.run(['run', '../spec.md', '--no-baseline']);
  expect(ended.code, ended.stdout + ended.stderr).toBe(0);
  return (await lab.result()).worktree ?? '';
}
const revise = (): Promise<Ended> => lab.run(['revise', '@last', '--finding', 'once more']);
const savedRef = (): string => lab.git('for-each-ref', '--count=1', '--format=%(refname)', 'refs/kimi-dispatch/saved');
/** What lies in the folders of saved files. */
const savedFiles = (name: string): string[] =>
  readdirSync(lab.record())
    .filter((folder) => folder.startsWith('saved'))
    .map((folder) => readFileSync(join(lab.record(), folder, name), 'utf8'))
    .sort();

describe('a worktree that git no longer knows', () => {
  const losses: [string, (dir: string) => void][] = [
    ['its .git file', (dir) => rmSync(join(dir, '.git'))],
    ["git's own folder of it", () => rmSync(join(lab.repo, '.git', 'worktrees'), { recursive: true })],
  ];
  const acts: [string, () => Promise<Ended>][] = [
    ['merge', () => lab.run(['merge', '@last'])],
    ['discard', () => lab.run(['discard', '@last'])],
    ['revise', revise],
  ];
  const cases = losses.flatMap(([what, lose]) => acts.map(([name, act]) => ({ what, lose, name, act })));

  it.each(cases)('without $what, keeps what a person made in it: $name', async ({ lose, act }) => {
    const dir = await run();
    writeFileSync(join(dir, 'mine.txt'), 'mine\n');
    lose(dir);
    const ended = await act();
    expect(ended.stderr).not.toContain('defect');
    expect(lab.git('show', `${savedRef()}:mine.txt`)).toBe('mine');
  });

  it("never takes another worktree's folder for its own", async () => {
    const dir = await run();
    rmSync(join(lab.repo, '.git', 'worktrees'), { recursive: true });
    lab.git('worktree', 'add', '-q', '-b', 'mine', '../slot-1');
    const index = readFileSync(join(lab.repo, '.git', 'worktrees', 'slot-1', 'index'));
    writeFileSync(join(dir, 'mine.txt'), 'mine\n');
    expect((await lab.run(['discard', '@last'])).code).toBe(0);
    expect(lab.git('show', `${savedRef()}:mine.txt`)).toBe('mine');
    expect(lab.git('-C', '../slot-1', 'symbolic-ref', 'HEAD')).toBe('refs/heads/mine');
    expect(readFileSync(join(lab.repo, '.git', 'worktrees', 'slot-1', 'index'))).toEqual(index);
  });
});

describe('what a person made in the worktree before it was sent back', () => {
  it('is kept although git ignores it, each time', async () => {
    const dir = await run();
    for (const text of ['first', 'second', 'third']) {
      writeFileSync(join(dir, 'note.log'), text);
      expect((await (text === 'third' ? lab.run(['discard', '@last']) : revise())).code).toBe(0);
    }
    expect(savedFiles('note.log')).toEqual(['first', 'second', 'third']);
  });

  it('is kept where it came with a folder that is older than the run', async () => {
    lab.write({ 'data/note.log': 'mine' }, lab.folder);
    const dir = await run();
    renameSync(join(lab.folder, 'data'), join(dir, 'data'));
    expect((await lab.run(['discard', '@last'])).code).toBe(0);
    expect(savedFiles('data/note.log')).toEqual(['mine']);
  });

  it('is kept although the clock was put back since', async () => {
    const dir = await run();
    const events = join(lab.record(), 'events.ndjson');
    const later = new Date(Date.now() + 3_600_000).toISOString();
    const ended = /"t":"[^"]*","type":"run-ended"/;
    writeFileSync(events, readFileSync(events, 'utf8').replace(ended, `"t":"${later}","type":"run-ended"`));
    writeFileSync(join(dir, 'note.log'), 'mine');
    expect((await lab.run(['discard', '@last'])).code).toBe(0);
    expect(savedFiles('note.log')).toEqual(['mine']);
  });

  it('is kept although Kimi may write over it', async () => {
    const dir = await run();
    writeFileSync(join(dir, 'greet.txt'), 'hello please, by hand\n');
    await revise();
    expect(readFileSync(join(dir, 'greet.txt'), 'utf8')).toBe('hello please\n');
    expect(lab.git('show', `${savedRef()}:greet.txt`)).toBe('hello please, by hand');
  });

  it('is named where it is too large to be kept, and Kimi goes on', async () => {
    const dir = await run();
    writeFileSync(join(dir, 'big.log'), '');
    truncateSync(join(dir, 'big.log'), 300 * 1024 * 1024);
    const ended = await revise();
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stderr).toContain('big.log');
    expect(existsSync(join(dir, 'big.log'))).toBe(true);
  });
});

it.each(['plan.json', 'ready.json'])('a %s that is damaged is no defect, and costs nothing', async (name) => {
  const dir = await run();
  writeFileSync(join(dir, 'mine.txt'), 'mine\n');
  writeFileSync(join(lab.record(), name), name === 'plan.json' ? '{"run":' : 'null');
  const revised = await revise();
  expect(revised.stderr).not.toContain('defect');
  expect((await lab.run(['discard', '@last'])).code).toBe(0);
  expect(lab.git('show', `${savedRef()}:mine.txt`)).toBe('mine');
});

it('a worktree whose run is no longer on record is given to no other', async () => {
  const dir = await run();
  writeFileSync(join(dir, 'mine.txt'), 'mine\n');
  rmSync(lab.record(), { recursive: true });
  expect(await run()).not.toBe(dir);
  expect(existsSync(join(dir, 'mine.txt'))).toBe(true);
});

it('a merge that cannot give its worktree back has merged, and neither that nor prune removes it', async () => {
  const dir = await run();
  writeFileSync(join(dir, 'big.log'), '');
  truncateSync(join(dir, 'big.log'), 300 * 1024 * 1024);
  const merged = await lab.run(['merge', '@last']);
  expect(merged.code, merged.stderr).toBe(0);
  expect(merged.stdout).toContain('big.log');
  expect(merged.stdout).toMatch(/Fix: .*kimi-dispatch discard/);
  const pruned = await lab.run(['prune', '--older', '0', '--yes']);
  expect(pruned.code).toBe(2);
  expect(pruned.stderr).toContain('Move what you need');
  expect(existsSync(join(dir, 'big.log'))).toBe(true);
});

it('a merge moves no branch that was checked out while its hooks ran', async () => {
  await run();
  const hook = `#!/bin/sh\nunset $(git rev-parse --local-env-vars)\ngit -C '${lab.repo}' switch -q -c mine\n`;
  writeFileSync(join(lab.repo, '.git', 'hooks', 'pre-commit'), hook, { mode: 0o755 });
  const tip = lab.git('rev-parse', 'main');
  const ended = await lab.run(['merge', '@last'], { env: { KIMI_DISPATCH_UNREVIEWED: 'run' } });
  expect(ended.code, ended.stdout).toBe(9);
  expect(ended.stderr).toContain('git switch main');
  expect(lab.git('for-each-ref', '--format=%(objectname)', 'refs/heads/main', 'refs/heads/mine')).toBe(
    `${tip}\n${tip}`,
  );
});

it('core.ignoreStat hides neither what Kimi wrote nor what a person did', async () => {
  lab.git('config', 'core.ignoreStat', 'true');
  writeFileSync(join(await run(), 'other.txt'), 'mine\n');
  expect((await lab.run(['merge', '@last'])).code).toBe(0);
  expect(lab.git('show', 'HEAD:greet.txt')).toBe('hello please');
  expect(lab.git('show', `${savedRef()}:other.txt`)).toBe('mine');
});

it('variables that lead git elsewhere, and its traces, have no effect', async () => {
  const env = {
    GIT_QUARANTINE_PATH: '/nowhere',
    GIT_SHALLOW_FILE: '/nowhere',
    GIT_ATTR_SOURCE: 'none',
    GIT_TRACE: '1',
  };
  writeFileSync(join(lab.folder, 'spec.md'), spec(shell('echo "hello please" > greet.txt')));
  const ended = await lab.run(['run', '../spec.md', '--no-baseline'], { env });
  expect(ended.code, ended.stdout).toBe(0);
  expect((await lab.run(['merge', '@last'], { env })).code).toBe(0);
});

it('a merge without an identity says in one line how to get one', async () => {
  await run();
  writeFileSync(join(lab.home, '.gitconfig'), '[user]\nuseConfigOnly = true\n');
  const ended = await lab.run(['merge', '@last']);
  expect(ended.code).toBe(2);
  expect(ended.stderr).toContain('git config --global user.name');
  expect(ended.stderr.trim().split('\n')).toHaveLength(2);
});
