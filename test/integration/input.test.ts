import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab, spec } from '../helpers/repo.ts';

let lab: Lab;
beforeEach(() => {
  lab = new Lab({ 'greet.txt': 'hello\n', 'plan.md': 'Change `greet.txt`.\n' }, { kimi: 'none' });
  mkdirSync(join(lab.repo, 'folder'));
});
afterEach(() => lab.remove());

describe('what cannot be read or written is told in a line, without a stack', () => {
  it.each([
    ['run', '.'],
    ['check', '.'],
    ['spec', 'missing.md'],
    ['run', 'a\nb.md'],
    ['update-template', 'folder'],
    ['dashboard', '-o', 'folder'],
    ['dashboard', '-o', 'nowhere/page.md'],
    ['check', '/dev/zero'],
    ['run', ''],
    ['merge', '@last', '--message', ''],
    ['run', 'plan.md', '--junit', '.'],
    ['run', 'plan.md', '--junit', 'nowhere/x.xml'],
    ['run', 'plan.md', '--artifacts', 'greet.txt'],
    ['run', 'plan.md', '--model', ''],
  ])('%s %s', async (...args) => {
    const ended = await lab.run(args);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/^kimi-dispatch: .+[\s\S]*\n {2}Fix: .+\n$/);
    expect(ended.stderr).not.toMatch(/\n\s+at |defect/);
  });
});

describe('--json tells a refusal as data too', () => {
  it.each([
    [['show', 'nope', '--json'], 'not-found'],
    [['check', '.', '--json'], 'usage'],
    [['status', '--bad', '--json'], 'usage'],
  ])('%j', async (args, code) => {
    const ended = await lab.run(args);
    expect(ended.code).toBe(2);
    expect(JSON.parse(ended.stdout)).toMatchObject({ version: 1, error: { code, message: expect.any(String) } });
    expect(ended.stderr).not.toBe('');
  });
});

describe('check names a declared file that git ignores, before Kimi starts', () => {
  beforeEach(() => {
    lab.write({ '.gitignore': '# Python\nlib/\n' });
    lab.commit('Ignores lib');
    const files = ['MODIFY greet.txt', 'CREATE lib/new.py'];
    writeFileSync(join(lab.folder, 'spec.md'), spec('success', { files, verify: ['`test -f lib/new.py`'] }));
  });

  it('in text', async () => {
    const ended = await lab.run(['check', '../spec.md']);
    expect(ended.code, ended.stdout + ended.stderr).toBe(0);
    expect(ended.stdout + ended.stderr).toMatch(/lib\/new\.py is ignored by \.gitignore:2.*path\/ignored/);
  });

  it('as data', async () => {
    const ended = await lab.run(['check', '../spec.md', '--json']);
    const { findings } = JSON.parse(ended.stdout);
    expect(findings.filter(({ code }: { code: string }) => code === 'path/ignored')).toEqual([
      expect.objectContaining({ severity: 'info', message: expect.stringContaining('lib/new.py is ignored') }),
    ]);
  });
});

describe('files of the user are not written over', () => {
  it('a spec never replaces its plan, and no file without --force', async () => {
    expect((await lab.run(['spec', 'plan.md', '-o', 'plan.md', '--force'])).code).toBe(2);
    expect((await lab.run(['spec', 'plan.md', '-o', 'greet.txt'])).stderr).toContain('exists and is not replaced');
    expect(readFileSync(join(lab.repo, 'greet.txt'), 'utf8')).toBe('hello\n');
    await lab.run(['spec', 'plan.md', '-o', 'greet.txt', '--force']);
    expect(readFileSync(join(lab.repo, 'greet.txt'), 'utf8')).toContain('## Tasks');
  });

  it('a dashboard replaces dashboards only', async () => {
    expect((await lab.run(['dashboard', '-o', 'page.md'])).code).toBe(0);
    expect((await lab.run(['dashboard', '-o', 'page.md'])).code).toBe(0);
    expect((await lab.run(['dashboard', '-o', 'greet.txt'])).code).toBe(2);
    expect(existsSync(join(lab.repo, 'page.md'))).toBe(true);
  });
});

it('options that a command would ignore are refused, and a list filters by its own', async () => {
  await lab.run(['agent', 'add', 'claude']);
  await lab.run(['agent', 'add', 'kimi']);
  await lab.run(['task', 'create', 'One', '--to', 'kimi']);
  const tasks = async (state: string) =>
    JSON.parse((await lab.run(['task', 'list', '--status', state, '--json'])).stdout).tasks.length;
  expect([await tasks('pending'), await tasks('completed')]).toEqual([1, 0]);
  expect((await lab.run(['task', 'show', 'x', '--status', 'pending'])).stderr).toContain('does not take --status');
  expect((await lab.run(['show', '@last', '--json', '--full'])).code).toBe(2);
});

it.each([
  ['run', 'x.md', '--concurrency', '2'],
  ['run', 'x.md', '--verify-each'],
  ['run', 'x.md', '--background', '--json'],
  ['run', 'x.md', '--background', '--ndjson'],
  ['run', 'x.md', '--dry-run', '--junit', 'x.xml'],
  ['run', 'x.md', '--dry-run', '--artifacts', 'x'],
  ['run', 'x.md', '--dry-run', '--background'],
  ['run', 'x.md', '--dry-run', '--ndjson'],
  ['import', 'spec', 'x.md', '--yes'],
  ['spec', 'x.md', '--force'],
  ['dashboard', '--force'],
  ['merge', '@last', '--squash', '--no-ff'],
  ['resume', '@last', '--background', '--json'],
])('%s %s %s %s %s is refused: a flag of it would be ignored', async (...args) => {
  const ended = await lab.run(args);
  expect(ended.code).toBe(2);
  expect(ended.stderr).toMatch(/ takes one of .*not both|takes --\S+ only with|does not take --/);
});

it('a profile that is added or used is told as data too', async () => {
  for (const args of [
    ['add', 'quick', 'steps=3'],
    ['use', 'quick'],
  ])
    expect(JSON.parse((await lab.run(['profile', ...args, '--json'])).stdout)).toEqual({
      version: 1,
      profile: 'quick',
    });
});

it('run --json tells the findings of a spec with errors', async () => {
  lab.write({ 'bad.md': spec('success', { files: ['MODIFY nowhere.txt'] }) });
  const ended = await lab.run(['run', 'bad.md', '--json']);
  expect(ended.code).toBe(2);
  const told = JSON.parse(ended.stdout);
  expect(told.error.code).toBe('spec-invalid');
  expect(told.findings.map((item: { code: string }) => item.code)).toContain('spec/missing');
});

it('an answer must keep what fills a template and what programs read in it', async () => {
  const file = (name: string, text: string): void => writeFileSync(join(lab.folder, name), text);
  const take = async (template: string, answer: string) => {
    file('template', template);
    file('answer', answer);
    return (await lab.run(['update-template', '../template', '--answer', '../answer', '--yes'])).code;
  };
  expect(await take('Hello {{name}}.\n', 'Good day, {{ name }}.\n')).toBe(0);
  expect(await take('Hello {{name}}.\n', 'Good day.\n')).toBe(2);
  expect(await take('Hello {{name}}.\n', 'Good day, {{name}} of {{town}}.\n')).toBe(2);
  expect(await take('Hello {{name}}.\n', '{{!-- {{name}} --}}Hello.\n')).toBe(2);
  expect(await take('Hello {{name}}.\n', '{{#if}}{{name}}\n')).toBe(2);
  expect(await take(spec('success'), spec('wrong'))).toBe(0);
  expect(await take(spec('success'), spec('success').replace('## Verification', '## Checks'))).toBe(2);
});
