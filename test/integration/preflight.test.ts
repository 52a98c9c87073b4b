import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { Lab, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab.remove());

type Case = [string, (lab: Lab) => { env?: Record<string, string>; cwd?: string; args?: string[] } | undefined, RegExp];
const cases: Case[] = [
  ['not a repository', (it) => ({ cwd: it.home }), /Not a git repository.*git init/s],
  ['no commits', (it) => void it.git('checkout', '-q', '--orphan', 'empty'), /no commits yet/],
  ['a core.worktree elsewhere', (it) => void it.git('config', 'core.worktree', it.home), /core\.worktree.*--unset/s],
  [
    'a core.worktree that is not there',
    (it) => void it.git('config', 'core.worktree', '/nowhere/at/all'),
    /--unset core\.worktree/,
  ],
  [
    'a bogus GIT_CONFIG_COUNT',
    () => ({ env: { GIT_CONFIG_COUNT: 'many' } }),
    /git fails here.*unset GIT_CONFIG_COUNT/s,
  ],
  ['an unknown base', () => ({ args: ['--base', 'nowhere'] }), /Unknown base: nowhere/],
  [
    'an unfinished merge',
    (it) => void writeFileSync(join(it.repo, '.git', 'MERGE_HEAD'), `${it.git('rev-parse', 'HEAD')}\n`),
    /merge is not finished.*git merge --abort/s,
  ],
  ['no Kimi', () => ({ env: { KIMI_BIN: '/nowhere/kimi' } }), /npm install -g @moonshot-ai\/kimi-code/],
  ['a program that is no Kimi', () => ({ env: { KIMI_BIN: process.execPath } }), /does not answer --version/],
  ['no login', (it) => void rmSync(join(it.home, '.kimi-code', 'config.toml')), /no model configured.*\/login/s],
  [
    'a broken Kimi config',
    (it) => void writeFileSync(join(it.home, '.kimi-code', 'config.toml'), 'a = ['),
    /not valid TOML/,
  ],
  ['an unknown profile', () => ({ args: ['--profile', 'huge'] }), /Choose one of: default, moderato, swarm/],
  ['a number that is none', () => ({ args: ['--timeout', 'soon'] }), /--timeout takes a number/],
  ['an unknown flag', () => ({ args: ['--turbo'] }), /unknown option/],
];

it.each(cases)('refuses %s with exit 2 and a remedy', async (_, change, pattern) => {
  lab = new Lab({ 'greet.txt': 'hello\n' });
  writeFileSync(join(lab.folder, 'spec.md'), spec('success'));
  const more = change(lab) ?? {};
  const ended = await lab.run(['run', join(lab.folder, 'spec.md'), ...(more.args ?? [])], more);
  expect(ended.stderr).toMatch(pattern);
  expect(ended.code).toBe(2);
});

it('refuses a bare repository, and a spec with errors', async () => {
  lab = new Lab({ 'greet.txt': 'hello\n' });
  lab.git('clone', '-q', '--bare', '.', '../bare.git');
  writeFileSync(join(lab.folder, 'spec.md'), spec('success', { files: ['MODIFY missing.txt'] }));
  const bare = await lab.run(['run', '../spec.md'], { cwd: join(lab.folder, 'bare.git') });
  expect(bare.stderr).toContain('bare repository');
  expect(bare.code).toBe(2);
  const bad = await lab.run(['run', '../spec.md']);
  expect(bad.code).toBe(2);
  expect(bad.stderr).toMatch(
    /spec\.md:9:1: error: missing\.txt does not exist at the base.*\n {4}- MODIFY missing\.txt\n {4}\^/,
  );
});

it('tells an older Node what is needed, in one sentence', async () => {
  lab = new Lab({});
  const { readFileSync } = await import('node:fs');
  const { ROOT } = await import('../helpers/repo.ts');
  const { spawnSync } = await import('node:child_process');
  const source = readFileSync(join(ROOT, 'bin', 'kimi-dispatch.js'), 'utf8').replaceAll(
    'process.versions.node',
    '"20.20.2"',
  );
  writeFileSync(join(lab.folder, 'launcher.mjs'), source);
  const ended = spawnSync(process.execPath, [join(lab.folder, 'launcher.mjs'), 'status'], { encoding: 'utf8' });
  expect(ended.status).toBe(2);
  expect(ended.stderr).toBe('kimi-dispatch needs Node 22.19 or newer (Kimi does too), and this is Node 20.20.2.\n');
});

it('what the environment says of another repository is not followed', async () => {
  lab = new Lab({ 'greet.txt': 'hello\n' });
  writeFileSync(join(lab.folder, 'spec.md'), spec('success'));
  const env = { GIT_DIR: '/nowhere', GIT_WORK_TREE: '/nowhere', GIT_INDEX_FILE: '/nowhere/index' };
  expect((await lab.run(['run', '../spec.md'], { env })).code).toBe(0);
  expect((await lab.run(['merge', '@last'], { env })).code).toBe(0);
});
