import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { checkGate } from '../../src/gate/gate.ts';
import { type KnownKey, readKnownKeys } from '../../src/gate/known-keys.ts';
import { weakened } from '../../src/gate/tests.ts';
import { changesBetween, writePatch } from '../../src/git/change.ts';
import { ignoredAmong } from '../../src/git/facts.ts';
import { openRepo } from '../../src/git/repo.ts';
import { parseSpec } from '../../src/spec/parse.ts';
import { FAKE_CONFIG, Lab, shell, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab?.remove());

/** The gate's judgement on a change of a real repository, under a spec that declares `files`. */
async function judge(
  change: (lab: Lab) => void,
  files: string[],
  before: Record<string, string> = {},
  known: KnownKey[] = [],
) {
  lab = new Lab({ 'src/a.ts': 'a\n', ...before });
  const base = lab.git('rev-parse', 'HEAD');
  change(lab);
  const commit = lab.commit('Change');
  const repo = await openRepo(lab.repo, lab.env);
  const list = files.map((file) => `- ${file}`).join('\n');
  const { spec } = parseSpec(`# Spec: 001 -- X\n\n## Tasks\n\n### Task 1: X\nFiles:\n${list}\n`);
  const gate = await checkGate(repo, spec, { changes: await changesBetween(repo, base, commit), base, commit, known });
  const text = (items: readonly { path: string; why: string }[]): string[] =>
    items.map(({ path, why }) => `${path}: ${why}`);
  return { violations: text(gate.violations), flags: text(gate.flags) };
}
// Made here, so that no scanner of this repository finds one.
const KEY = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ type: 'pkcs1', format: 'pem' });

it('a file with a line end in its name is judged like any other', async () => {
  const gate = await judge(
    (it) => it.write({ 'src/new\nline|a.ts': `export const key = \`${KEY}\`;\n` }),
    ['MODIFY src/a.ts'],
  );
  // What the scanner measures it reads back a little later.
  await new Promise((done) => setTimeout(done, 200));
  expect(gate.violations.join()).toContain('a secret, line 1');
});

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

  const utf16 = (it: Lab, path: string, text: string): void =>
    writeFileSync(join(it.repo, path), Buffer.from(`\ufeff${text}`, 'utf16le'));
  const more: [string, (lab: Lab) => void, string[], Record<string, string>, RegExp][] = [
    [
      'agent configuration in a folder, in another case',
      (it) => it.write({ 'sub/claude.MD': 'x' }),
      ['MODIFY src/a.ts'],
      {},
      /sub\/claude\.MD: agent configuration/,
    ],
    [
      'a file that is deleted and was to be modified',
      (it) => rmSync(join(it.repo, 'src/a.ts')),
      ['MODIFY src/a.ts'],
      {},
      /src\/a\.ts: was deleted, but the spec says MODIFY/,
    ],
    [
      'a file that is modified and was to be deleted',
      (it) => it.write({ 'src/a.ts': 'b\n' }),
      ['DELETE src/a.ts'],
      {},
      /src\/a\.ts: was not deleted, but the spec says DELETE/,
    ],
    [
      'a file that is left and was to be deleted',
      (it) => it.write({ 'src/b.ts': 'b\n' }),
      ['DELETE src/a.ts', 'CREATE src/b.ts'],
      {},
      /src\/a\.ts: was not deleted, but the spec says DELETE/,
    ],
    [
      'a file that becomes a link',
      (it) => {
        rmSync(join(it.repo, 'src/b.ts'));
        symlinkSync('a.ts', join(it.repo, 'src/b.ts'));
      },
      ['MODIFY src/b.ts'],
      { 'src/b.ts': 'b\n' },
      /src\/b\.ts: a file became a link/,
    ],
    [
      'markers of a merge conflict',
      (it) => it.write({ 'src/a.ts': '<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n' }),
      ['MODIFY src/a.ts'],
      {},
      /src\/a\.ts: holds merge conflict markers/,
    ],
    [
      'a secret in a file with a NUL',
      (it) => it.write({ 'src/a.ts': `\0\n${KEY}` }),
      ['MODIFY src/a.ts'],
      {},
      /src\/a\.ts: a secret/,
    ],
    ['a secret in UTF-16', (it) => utf16(it, 'src/a.ts', String(KEY)), ['MODIFY src/a.ts'], {}, /src\/a\.ts: a secret/],
    [
      'package scripts in UTF-16',
      (it) => utf16(it, 'package.json', '{"scripts":{"test":"true"}}'),
      ['MODIFY package.json'],
      { 'package.json': '{"scripts":{"test":"vitest"}}' },
      /package scripts/,
    ],
    [
      'a name that is not UTF-8',
      (it) => writeFileSync(Buffer.from(`${it.repo}/src/\xff.ts`, 'latin1'), 'x'),
      ['MODIFY src/a.ts'],
      {},
      /its name is not UTF-8/,
    ],
    [
      'a folder under Protected',
      (it) => it.write({ 'src/gen/x.ts': 'x' }),
      ['CREATE src/gen/x.ts\n\n## Constraints\nProtected:\n- src/gen/'],
      {},
      /src\/gen\/x\.ts: protected by the spec/,
    ],
  ];
  it.each(more)('%s', async (_name, change, files, before, expected) => {
    expect((await judge(change, files, before)).violations.join('\n')).toMatch(expected);
  });

  it('a key of the user, named by its file and never shown', async () => {
    const key = ['zz', 'Q1w2E3r4T5y6U7i8'].join('-');
    const known = [{ from: '~/.npmrc', value: key }];
    const change = (it: Lab): void => it.write({ 'src/a.ts': `\0const key = '${key}';\n` });
    const { violations } = await judge(change, ['MODIFY src/a.ts'], {}, known);
    expect(violations).toEqual(['src/a.ts: a key of yours (from ~/.npmrc)']);
  });

  it('the last of many files is judged', async () => {
    const change = (it: Lab): void => {
      const many = Array.from({ length: 500 }, (_, index) => [`many/${index}.ts`, `export const a${index} = 1;\n`]);
      it.write({ ...Object.fromEntries(many), 'many/z.ts': `${KEY}` });
    };
    const { violations } = await judge(change, ['MODIFY src/a.ts\n\n## Constraints\nAllow generated:\n- many']);
    expect(violations.join('\n')).toMatch(/^many\/z\.ts: a secret, [^\n]*$/);
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

  it('a runner that is configured in package.json', async () => {
    const change = (it: Lab): void => it.write({ 'package.json': '{"jest":{"testMatch":[]}}' });
    const { violations, flags } = await judge(change, ['MODIFY package.json'], { 'package.json': '{"jest":{}}' });
    expect(violations).toEqual([]);
    expect(flags).toContain('package.json: the configuration of jest was changed');
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

describe('what the gate is told', () => {
  it('the keys of the user come from the places where tools keep them', () => {
    lab = new Lab({ 'a.txt': 'a\n' });
    const key = (name: string): string => `${name}-${'0a1B2c3D4e'.repeat(2)}`;
    mkdirSync(join(lab.home, '.kimi-code/credentials'), { recursive: true });
    mkdirSync(join(lab.home, '.config/kimi-dispatch'), { recursive: true });
    const files: Record<string, string> = {
      '.kimi-code/config.toml': `[providers.p]\napi_key = "${key('kimi')}"\n`,
      '.kimi-code/credentials/kimi.json': `{"refresh_token":"${key('refresh')}"}`,
      '.npmrc': `//host/:_authToken=${key('npm')}\n`,
      '.netrc': `machine host login me password ${key('netrc')}\n`,
      '.config/kimi-dispatch/config.toml': `[queue]\nurl = "redis://:${key('queue')}@host"\n`,
    };
    lab.write(files, lab.home);
    expect(readKnownKeys(lab.env)).toEqual([
      { from: '~/.kimi-code/config.toml', value: key('kimi') },
      { from: '~/.kimi-code/credentials/kimi.json', value: key('refresh') },
      { from: '~/.npmrc', value: key('npm') },
      { from: '~/.netrc', value: key('netrc') },
      { from: '~/.config/kimi-dispatch/config.toml', value: key('queue') },
    ]);
  });

  describe('a key from the configuration of the Kimi home', () => {
    const key = ['kk', '9z8Y7x6W5v'.repeat(4)].join('-');

    it('is a violation in a run, and no output shows it', async () => {
      lab = new Lab({ 'greet.txt': 'hello\n' }, { config: FAKE_CONFIG.replace('made-up', key) });
      writeFileSync(join(lab.folder, 'spec.md'), spec(shell(`echo "please ${key}" > greet.txt`)));
      const ended = await lab.run(['run', '../spec.md', '--no-baseline']);
      expect(ended.code).toBe(4);
      expect(ended.stdout).toContain('GATE: a key of yours (from ~/.kimi-code/config.toml)');
      for (const shown of [ended, await lab.run(['show', '@last']), await lab.run(['show', '@last', '--json'])])
        expect(shown.stdout + shown.stderr).not.toContain(key);
    });

    it('is refused in a merge when a hook adds it, and no output shows it', async () => {
      lab = new Lab({ 'greet.txt': 'hello\n' }, { config: FAKE_CONFIG.replace('made-up', key) });
      writeFileSync(join(lab.folder, 'spec.md'), spec('success'));
      expect((await lab.run(['run', '../spec.md', '--no-baseline'])).code).toBe(0);
      const before = lab.git('rev-parse', 'HEAD');
      lab.write({ '.git/hooks/pre-commit': `#!/bin/sh\necho ${key} >> greet.txt; git add greet.txt\n` });
      chmodSync(join(lab.repo, '.git/hooks/pre-commit'), 0o755);
      const ended = await lab.run(['merge', '@last'], { env: { KIMI_DISPATCH_UNREVIEWED: 'run' } });
      expect(ended.code).toBe(4);
      expect(ended.stderr).toContain('greet.txt: a key of yours (from ~/.kimi-code/config.toml)');
      expect(ended.stdout + ended.stderr).not.toContain(key);
      expect(lab.git('rev-parse', 'HEAD')).toBe(before);
    });
  });

  it('ignored paths come with the rule that ignores them', async () => {
    lab = new Lab({ '.gitignore': '# build\nlib/\n*.log\n!keep.log\n', 'a.txt': 'a\n' });
    const repo = await openRepo(lab.repo, lab.env);
    const asked = ['lib/x.py', 'a.txt', 'keep.log', 'b.log', '../up', '/abs'];
    expect(await ignoredAmong(repo, asked)).toEqual(
      new Map([
        ['lib/x.py', '.gitignore:2'],
        ['b.log', '.gitignore:3'],
      ]),
    );
  });
});

describe('--force', () => {
  const gated = async (): Promise<void> => {
    lab = new Lab({ 'greet.txt': 'hello\n' });
    writeFileSync(join(lab.folder, 'spec.md'), spec('elsewhere'));
    expect((await lab.run(['run', '../spec.md', '--no-baseline'])).code).toBe(4);
  };

  it('overrides the gate: the help and the refusal that offers it say so', async () => {
    await gated();
    expect((await lab.run(['merge', '--help'])).stdout).toMatch(/--force .*the gate/);
    const refused = await lab.run(['merge', '@last']);
    expect([refused.code, refused.stderr]).toEqual([4, expect.stringMatching(/--force .*the gate/)]);
  });

  it('names the gate where it is offered because a verification fails on the branch', async () => {
    lab = new Lab({ 'greet.txt': 'hello\n', 'check.sh': 'test ! -f broken\n' });
    writeFileSync(join(lab.folder, 'spec.md'), spec('success', { verify: ['`sh check.sh`'] }));
    expect((await lab.run(['run', '../spec.md'])).code).toBe(0);
    lab.write({ broken: 'x\n' });
    lab.commit('Breaks it');
    const refused = await lab.run(['merge', '@last']);
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringMatching(/--force .*the gate/)]);
    expect((await lab.run(['merge', '@last', '--force'])).stdout).not.toContain('against the gate');
  });

  it('says in a merge which violations it overrode', async () => {
    await gated();
    const merged = await lab.run(['merge', '@last', '--force']);
    expect([merged.code, merged.stdout]).toEqual([
      0,
      expect.stringContaining('\nMerged against the gate: other.txt: declared by no task'),
    ]);
    await lab.run(['undo', '@last']);
    const { overrode } = JSON.parse((await lab.run(['merge', '@last', '--force', '--json'])).stdout);
    expect(overrode).toEqual([expect.stringMatching(/^other\.txt: declared by no task/)]);
  });

  it('says of what lies outside the worktree that it overrode it, too', async () => {
    lab = new Lab({ 'greet.txt': 'hello\n' });
    writeFileSync(join(lab.folder, 'spec.md'), spec('plants'));
    await lab.run(['run', '../spec.md', '--no-baseline']);
    const merged = await lab.run(['merge', '@last', '--force']);
    expect(merged.stdout).toMatch(/^Merged against the gate: .*alias\.st/m);
  });
});

describe('the patch of a change', () => {
  it.each([
    ['diff.noprefix', 'true'],
    ['diff.mnemonicPrefix', 'true'],
    ['diff.srcPrefix', 'old/'],
    ['diff.external', '/bin/false'],
    ['diff.context', '0'],
    ['diff.relative', 'true'],
    ['diff.submodule', 'log'],
    ['diff.orderFile', '/nonexistent'],
    ['color.diff', 'always'],
  ])('applies whatever %s says', async (setting, value) => {
    lab = new Lab({ 'src/a.ts': 'a\nb\nc\nd\n', 'b.bin': '\0a' });
    const from = lab.git('rev-parse', 'HEAD');
    lab.write({ 'src/a.ts': 'a\nb\nX\nd\n', 'b.bin': '\0b', 'c.ts': 'new\n' });
    const to = lab.commit('Change');
    lab.git('config', setting, value);
    const file = join(lab.folder, 'x.patch');
    await writePatch(await openRepo(lab.repo, lab.env), { from, to, file });
    lab.git('checkout', '-q', from);
    lab.git('apply', '--index', file);
    expect(lab.git('write-tree')).toBe(lab.git('rev-parse', `${to}^{tree}`));
  });
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
    expect(ended.stdout).toMatch(/GATE: .*hooks\/post-merge was made while commands ran without a sandbox/);
    expect(ended.stdout).toMatch(/GATE: git config alias\.st was set/);
    expect((await lab.run(['merge', '@last'])).code).toBe(4);
  });

  it('does not cry at daily work: an upstream and a new branch', async () => {
    const ended = await run('upstream');
    expect(ended.code).toBe(0);
    expect((await lab.result()).notes.join()).toContain('feature changed meanwhile');
  });
});
