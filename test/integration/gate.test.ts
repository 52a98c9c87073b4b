import { generateKeyPairSync } from 'node:crypto';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { checkGate } from '../../src/gate/gate.ts';
import { weakened } from '../../src/gate/tests.ts';
import { changesBetween } from '../../src/git/change.ts';
import { openRepo } from '../../src/git/repo.ts';
import { parseSpec } from '../../src/spec/parse.ts';
import { Lab, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab?.remove());

/** The gate's judgement on a change of a real repository, under a spec that declares `files`. */
async function judge(change: (lab: Lab) => void, files: string[], before: Record<string, string> = {}) {
  lab = new Lab({ 'src/a.ts': 'a\n', ...before });
  const base = lab.git('rev-parse', 'HEAD');
  change(lab);
  const commit = lab.commit('Change');
  const repo = await openRepo(lab.repo, lab.env);
  const list = files.map((file) => `- ${file}`).join('\n');
  const { spec } = parseSpec(`# Spec: 001 -- X\n\n## Tasks\n\n### Task 1: X\nFiles:\n${list}\n`);
  const gate = await checkGate(repo, spec, { changes: await changesBetween(repo, base, commit), base, commit });
  const text = (items: readonly { path: string; why: string }[]): string[] =>
    items.map(({ path, why }) => `${path}: ${why}`);
  return { violations: text(gate.violations), flags: text(gate.flags) };
}
// Made here, so that no scanner of this repository finds one.
const KEY = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ type: 'pkcs1', format: 'pem' });

describe('the gate: violations', () => {
  const cases: [string, (lab: Lab) => void, string[], Record<string, string>, RegExp][] = [
    ['an undeclared path', (it) => it.write({ 'b.ts': 'b' }), ['MODIFY src/a.ts'], {}, /b\.ts: declared by no task/],
    [
      'an undeclared CI definition',
      (it) => it.write({ '.github/workflows/x.yml': 'on: push' }),
      ['MODIFY src/a.ts'],
      {},
      /a CI definition/,
    ],
    [
      'an undeclared lock file',
      (it) => it.write({ 'package-lock.json': '{}' }),
      ['MODIFY src/a.ts'],
      {},
      /a lock file/,
    ],
    [
      'a git hook, even declared',
      (it) => it.write({ '.husky/pre-commit': 'x' }),
      ['CREATE .husky/pre-commit'],
      {},
      /a git hook was changed/,
    ],
    [
      'package scripts, even declared',
      (it) => it.write({ 'package.json': '{"scripts":{"test":"true"}}' }),
      ['MODIFY package.json'],
      { 'package.json': '{"scripts":{"test":"vitest"}}' },
      /package scripts/,
    ],
    [
      'agent configuration',
      (it) => it.write({ '.claude/settings.json': '{}' }),
      ['MODIFY src/a.ts'],
      {},
      /agent configuration/,
    ],
    [
      'a link that leaves the tree',
      (it) => symlinkSync('../../etc/passwd', join(it.repo, 'src/l')),
      ['CREATE src/l'],
      {},
      /a link that leaves the tree/,
    ],
    [
      'an absolute link',
      (it) => symlinkSync('/etc/passwd', join(it.repo, 'src/l')),
      ['CREATE src/l'],
      {},
      /a link that leaves the tree/,
    ],
    [
      'a name that differs in its case',
      (it) => it.write({ 'src/A.ts': 'x' }),
      ['CREATE src/A.ts'],
      {},
      /only in its case/,
    ],
    [
      'a secret',
      (it) => it.write({ 'src/a.ts': `export const key = \`${KEY}\`;\n` }),
      ['MODIFY src/a.ts'],
      {},
      /src\/a\.ts: a secret, line 1/,
    ],
    [
      'a huge file',
      (it) => writeFileSync(join(it.repo, 'src/a.ts'), 'x'.repeat(6 * 1024 * 1024)),
      ['MODIFY src/a.ts'],
      {},
      /larger than 5 MB/,
    ],
  ];
  it.each(cases)('%s', async (_name, change, files, before, expected) => {
    expect((await judge(change, files, before)).violations.join('\n')).toMatch(expected);
  });

  it('a submodule', async () => {
    const change = (it: Lab): void => {
      it.write({ 'sub/x': 'x' });
      it.git('init', '-q', 'sub');
      it.git('-C', 'sub', 'add', '-A');
      it.git('-C', 'sub', 'commit', '-q', '-m', 'x');
    };
    expect((await judge(change, ['MODIFY src/a.ts'])).violations.join('\n')).toMatch(/sub: a submodule was changed/);
  });

  it('a secret that was there before, and links inside the tree, are none', async () => {
    const change = (it: Lab): void => {
      it.write({ 'src/a.ts': `// moved\nexport const key = \`${KEY}\`;\n` });
      symlinkSync('../src/a.ts', join(it.repo, 'src/l'));
    };
    const { violations } = await judge(change, ['MODIFY src/a.ts', 'CREATE src/l'], {
      'src/a.ts': `export const key = \`${KEY}\`;\n`,
    });
    expect(violations).toEqual([]);
  });
});

describe('the gate: flags', () => {
  it('rank the review and gate nothing', async () => {
    const change = (it: Lab): void => {
      it.write({ 'vitest.config.ts': 'export default { a: 1 };\n', 'test/a.test.ts': "it.skip('a', () => {});\n" });
      writeFileSync(join(it.repo, 'src/run.sh'), '#!/bin/sh\n', { mode: 0o755 });
      it.git('update-index', '--chmod=+x', 'src/old.sh');
      it.git('rm', '-q', 'src/a.ts');
    };
    const before = {
      'vitest.config.ts': 'export default {};\n',
      'test/a.test.ts': "it('a', () => { expect(1).toBe(1); });\n",
      'src/old.sh': 'x\n',
    };
    const files = [
      'MODIFY vitest.config.ts',
      'MODIFY test/a.test.ts',
      'CREATE src/run.sh',
      'DELETE src/a.ts',
      'MODIFY src/old.sh',
    ];
    const { violations, flags } = await judge(change, files, before);
    expect(violations).toEqual([]);
    expect(flags.join('\n')).toMatch(/vitest\.config\.ts: may decide what the verification runs/);
    expect(flags.join('\n')).toMatch(/test\/a\.test\.ts: 1 tests were skipped/);
    expect(flags.join('\n')).toMatch(/test\/a\.test\.ts: 1 assertions fewer/);
    expect(flags.join('\n')).toMatch(/src\/a\.ts: was deleted/);
  });

  it.each([
    ["it('a'); it('b')", "it('a')", ['1 tests were removed']],
    [
      'def test_a():\n  assert x\n',
      '@pytest.mark.skip\ndef test_a():\n  assert x\n',
      ['1 tests were skipped or focused'],
    ],
    [
      'func TestA(t *testing.T) {\n t.Fatal(1)\n}',
      'func TestA(t *testing.T) {\n t.Skip()\n}',
      ['1 tests were skipped or focused', '1 assertions fewer'],
    ],
    [
      '#[test]\nfn a() { assert!(x); }',
      '#[test]\n#[ignore]\nfn a() { assert!(x); }',
      ['1 tests were skipped or focused'],
    ],
    ["it('a', () => expect(1))", undefined, ['a test file was removed']],
    ["it('a', () => expect(1))", "it('a', () => expect(1)); it('b', () => expect(2))", []],
  ])('%j → %j', (before, after, said) => expect(weakened(before, after)).toEqual(said));
});

describe('the tripwire, without a sandbox', () => {
  const run = async (scenario: string) => {
    lab = new Lab({ 'greet.txt': 'hello\n' });
    writeFileSync(join(lab.folder, 'spec.md'), spec(scenario));
    return lab.run(['run', '../spec.md', '--no-baseline']);
  };

  it('a hook and an alias gate the merge', async () => {
    const ended = await run('plants');
    expect(ended.code).toBe(4);
    expect(ended.stdout).toMatch(/GATE: .*hooks\/post-merge was changed outside the worktree/);
    expect(ended.stdout).toMatch(/GATE: git config was changed/);
    expect((await lab.run(['merge', '@last'])).code).toBe(4);
  });

  it('does not cry at daily work: an upstream and a new branch', async () => {
    const ended = await run('upstream');
    expect(ended.code).toBe(0);
    expect((await lab.result()).notes.join()).toContain('feature changed meanwhile');
  });
});
