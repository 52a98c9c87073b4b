import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkSpec } from '../../src/spec/check.ts';
import { checkText } from '../../src/spec/check-text.ts';
import { detectCommands } from '../../src/spec/detect.ts';
import type { RepoFacts } from '../../src/spec/facts.ts';
import { parseSpec } from '../../src/spec/parse.ts';
import { showFindings } from '../../src/spec/show.ts';

const facts: RepoFacts = {
  root: '/repo',
  name: 'repo',
  files: new Map([
    ['src/a.ts', '100644'],
    ['src/b.ts', '100644'],
    ['link', '120000'],
    ['vendor/lib', '160000'],
    ['package.json', '100644'],
  ]),
  untracked: new Set(['src/new.ts']),
  manifests: new Map([['package.json', '{"scripts":{"test":"x"}}']]),
};

const check = (source: string, world: RepoFacts | undefined) => {
  const { spec, findings, lines } = parseSpec(source);
  return [...findings, ...checkSpec({ spec, source, lines, facts: world })];
};
const codes = (source: string): string[] =>
  check(source, facts)
    .filter((item) => item.severity !== 'info')
    .map((item) => `${item.line}:${item.code}`);
const task = (files: string[], more = ''): string =>
  `# Spec: 1 -- T\n## Tasks\n### Task 1: A\nFiles:\n${files.map((file) => `- ${file}`).join('\n')}\n${more}\n## Verification\n- \`npm test\`\n`;

describe('every check', () => {
  it('is silent about a good spec', () => {
    expect(codes(task(['MODIFY src/a.ts', 'CREATE src/c.ts']))).toEqual([]);
  });

  it('where every path lies outside, says what to do with all of them', () => {
    const outside = (files: string[]): string[] =>
      check(task(files), facts)
        .filter(({ code }) => code === 'spec/outside')
        .map(({ message }) => message);
    expect(outside(['MODIFY ~/x.md', 'MODIFY /etc/y'])).toEqual([
      'The only errors are 2 paths outside this repository, where no run writes.',
    ]);
    expect(outside(['MODIFY ~/x.md', 'MODIFY src/missing.ts'])).toEqual([]);
  });

  it('a program that an earlier command builds is not missing', () => {
    const program = (before: string): string[] =>
      codes(task(['MODIFY src/a.ts']).replace('- `npm test`', `${before}- \`./run-tests\``));
    expect(program('- `make all`\n')).toEqual([]);
    expect(program('')).toEqual(['8:spec/program']);
  });

  it('a command that names the checkout itself is an error with the remedy', () => {
    const source = task(['MODIFY src/a.ts']).replace('npm test', 'npx vitest run /repo/src/a.test.ts');
    expect(check(source, facts).map(({ code, fix }) => [code, fix])).toContainEqual([
      'spec/checkout',
      'Write it from the top of the repository: npx vitest run src/a.test.ts',
    ]);
    const container = source.replace('npx vitest run /repo/', 'docker run -w /home/node/repo x ls ');
    expect(check(container, facts).map(({ code }) => code)).not.toContain('spec/checkout');
  });

  const paths: [string, string][] = [
    ['CREATE ~/.claude/rules/x.md', 'spec/path'],
    ['CREATE /etc/passwd', 'spec/path'],
    ['CREATE C:\\x.ts', 'spec/path'],
    ['CREATE ../up.ts', 'spec/path'],
    ['CREATE .git/hooks/x', 'spec/path'],
    ['CREATE sub/.GIT/config', 'spec/path'],
    ['CREATE src//x.ts', 'spec/path'],
    ['CREATE `src/x. `', 'spec/path'],
    ['MODIFY src/*.ts', 'spec/path'],
    ['CREATE link/x.ts', 'spec/path'],
    ['CREATE vendor/lib/x.ts', 'spec/path'],
    ['MODIFY src', 'spec/path'],
    ['CREATE src/a.ts/x', 'spec/path'],
    ['CREATE src/a.ts', 'spec/create-exists'],
    ['CREATE SRC/A.ts', 'spec/case'],
    ['MODIFY src/missing.ts', 'spec/missing'],
    ['MODIFY src/new.ts', 'spec/missing'],
    ['DELETE gone.ts', 'spec/missing'],
    ['src/a.ts', 'spec/verb'],
    ['MODIFY package-lock.json', 'spec/protected'],
    ['CREATE .github/workflows/x.yml', 'spec/protected'],
    ['CREATE CLAUDE.md', 'spec/protected'],
  ];
  it.each(paths)('%s → %s on its line', (file, code) => {
    expect(codes(task([file]))).toContain(`5:${code}`);
  });

  it.each([
    ['a folder in the place of a file', ['DELETE src/a.ts', 'CREATE src/a.ts/x.ts']],
    ['a folder in the place of a link', ['DELETE link', 'CREATE link/x.ts']],
    ['a file in the place of a folder', ['DELETE src/a.ts', 'DELETE src/b.ts', 'CREATE src']],
    ['a name in another case', ['DELETE src/a.ts', 'CREATE src/A.ts']],
  ])('lets a DELETE make way for %s', (_name, files) => {
    expect(codes(task(files))).toEqual([]);
  });

  it('says that a folder keeps a file', () => {
    expect(codes(task(['DELETE src/a.ts', 'CREATE src']))).toEqual(['6:spec/path']);
  });

  it('allows a protected path that is asked for', () => {
    expect(codes(task(['CREATE .github/workflows/x.yml (ALLOW PROTECTED)']))).toEqual([]);
  });

  it('says that an ignored path is part of the change', () => {
    const found = check(task(['CREATE lib/x.py']), { ...facts, ignored: new Map([['lib/x.py', '.gitignore:12']]) });
    expect(found.filter(({ code }) => code === 'path/ignored')).toMatchObject([
      {
        severity: 'info',
        line: 5,
        message: 'lib/x.py is ignored by .gitignore:12; it will be in the change because the spec declares it.',
      },
    ]);
  });

  it.each([
    ['Protected', 'nowhere/**', 'warning'],
    ['Allow generated', 'nowhere', 'info'],
    ['Protected', 'src', undefined],
    ['Allow generated', 'src/new', undefined],
  ])('%s: a pattern %s that matches nothing is told as %s', (section, pattern, severity) => {
    const source = task(['CREATE src/new/a.ts'], `## Constraints\n${section}:\n- ${pattern}`);
    const found = check(source, facts).filter(({ code }) => code === 'spec/pattern');
    expect(found.map((item) => item.severity)).toEqual(severity === undefined ? [] : [severity]);
  });

  const verification: [string, string | undefined][] = [
    ['`true`', 'spec/no-op'],
    ['`echo ok`', 'spec/no-op'],
    ['`npm test || true` (shell)', 'spec/forced'],
    ['`npm test | tee log` (shell)', 'spec/pipe'],
    ['`echo x; test y` (shell)', undefined],
    ['`npm test && npm run lint`', 'spec/shell'],
    ['`git push` ', 'spec/destructive'],
    ['`rm -rf build`', 'spec/destructive'],
    ['`npm install left-pad`', 'spec/install'],
    ['`npm run nothing`', 'spec/script'],
    ['`./scripts/none.sh`', 'spec/program'],
    ['`npm test && npm t` (shell)', undefined],
  ];
  it.each(verification)('verification %s → %s', (command, code) => {
    const found = codes(
      `# Spec: 1 -- T\n## Tasks\n### Task 1: A\nFiles:\n- MODIFY src/a.ts\n## Verification\n- ${command}\n`,
    );
    expect(found).toEqual(code === undefined ? [] : [`7:${code}`]);
  });

  it.each([
    'timeout 99999999999h',
    'timeout 0',
    'timeout -5s',
    'timeout 1e308',
    'timeout NaN',
    'expect 256',
    'shell, expect -1',
  ])('a command with (%s) is refused and does not become a remark', (option) => {
    const source = task(['MODIFY src/a.ts']).replace('`npm test`', `\`npm test\` (${option})`);
    expect(codes(source)).toContain('8:spec/option');
  });

  it('leaves a remark in brackets to the reviewer', () => {
    expect(codes(`${task(['MODIFY src/a.ts'])}- \`npm start\` (expect 3 lines, in time)\n`)).toEqual([]);
  });

  const whole: [string, string, string][] = [
    ['no title', '## Tasks\n### Task 1: A\n', '1:spec/title'],
    ['no task', '# Spec: 1 -- T\n', '1:spec/tasks'],
    ['unknown format', '# Spec: 1 -- T\nFormat: 9\n', '1:spec/format'],
    ['numbering', '# Spec: 1 -- T\n## Tasks\n### Task 2: A\n', '3:spec/task-number'],
    ['two of one number', '# Spec: 1 -- T\n## Tasks\n### Task 1: A\n### Task 1: B\n', '4:spec/task-number'],
    ['no task title', '# Spec: 1 -- T\n## Tasks\n### Task 1:\n', '3:spec/task-title'],
    [
      'no verification',
      '# Spec: 1 -- T\n## Tasks\n### Task 1: A\nFiles:\n- MODIFY src/a.ts\n',
      '3:spec/verification-none',
    ],
    ['unknown dependency', '# Spec: 1 -- T\n## Tasks\n### Task 1: A\nDepends on: 7\n', '3:spec/depends'],
    [
      'a cycle',
      '# Spec: 1 -- T\n## Tasks\n### Task 1: A\nDepends on: 2\n### Task 2: B\nDepends on: 1\n',
      '3:spec/cycle',
    ],
    ['a placeholder', '# Spec: 1 -- T\n## Goal\nHandle errors etc. and more\n', '3:spec/placeholder'],
    ['a secret', `# Spec: 1 -- T\n## Goal\nuse ${'sk-'}${'a'.repeat(24)}\n`, '3:spec/secret'],
    ['hidden text', '# Spec: 1 -- T\n## Goal\nplain\u202etext\n', '3:spec/hidden'],
    ['a joiner that joins nothing', '# Spec: 1 -- T\n## Goal\npass\u200dword\n', '3:spec/hidden'],
    ['a comment', '# Spec: 1 -- T\n## Goal\n<!-- do evil -->\n', '3:spec/comment'],
    ['a misspelt section', '# Spec: 1 -- T\n## Verfication\n', '2:spec/section-unknown'],
    ['a wrong limit', '# Spec: 1 -- T\nLimits: steps=many\n', '2:spec/limit'],
    ['a criterion without target', '# Spec: 1 -- T\n## Completion criteria\n- C1 works\n', '3:spec/criterion'],
    [
      'a criterion with an unknown target',
      '# Spec: 1 -- T\n## Completion criteria\n- C1 works <- T9\n',
      '3:spec/criterion',
    ],
  ];
  it.each(whole)('%s', (_, source, code) => {
    expect(codes(source)).toContain(code);
  });

  it('proves [INDEPENDENT] and names both tasks and the path', () => {
    const found = check(
      '# Spec: 1 -- T\n## Tasks\n### Task 1: A [INDEPENDENT]\nFiles:\n- MODIFY src/a.ts\n### Task 2: B [INDEPENDENT]\nFiles:\n- MODIFY src/a.ts\n',
      facts,
    );
    const race = found.find((item) => item.code === 'spec/not-independent');
    expect(race?.message).toMatch(/Tasks 1 and 2 both write src\/a\.ts/);
  });

  it.each([
    ['MODIFY src/A.ts', 'Tasks 1 and 2 write src/a.ts and src/A.ts'],
    ['CREATE src/a.ts/b.ts', 'Tasks 1 and 2 write src/a.ts and src/a.ts/b.ts'],
    ['CREATE src', 'Tasks 1 and 2 write src/a.ts and src'],
  ])('another way to write the same place: %s', (line, message) => {
    const task = (head: string, entry: string) => `### Task ${head} [INDEPENDENT]\nFiles:\n- ${entry}\n`;
    const found = check(`# Spec: 1 -- T\n## Tasks\n${task('1: A', 'MODIFY src/a.ts')}${task('2: B', line)}`, facts);
    expect(found.find((item) => item.code === 'spec/not-independent')?.message).toContain(message);
  });

  it('a shared resource is named with both tasks; a cycle is shown as it is, once', () => {
    const task = (head: string, ...lines: string[]) => `### Task ${head}\n${lines.join('\n')}\n`;
    const shared = ['1: A [INDEPENDENT]', '2: B [INDEPENDENT]'].map((head) => task(head, 'Uses: port:3000')).join('');
    expect(check(`# Spec: 1 -- T\n## Tasks\n${shared}`, facts).map((item) => item.message)).toContain(
      'Tasks 1 and 2 both use port:3000, so neither is [INDEPENDENT].',
    );
    const round =
      task('1: A', 'Depends on: 2') + task('2: B', 'Depends on: 3, 4') + task('3: C') + task('4: D', 'Depends on: 1');
    const cycles = check(`# Spec: 1 -- T\n## Tasks\n${round}`, facts).filter((item) => item.code === 'spec/cycle');
    expect(cycles.map((item) => item.message)).toEqual(['These tasks wait for each other: 1 → 2 → 4 → 1.']);
  });

  it('lets a later task modify what an earlier one creates, in order', () => {
    const source = (depends: string) =>
      `# Spec: 1 -- T\n## Tasks\n### Task 1: A\nFiles:\n- CREATE src/x.ts\n### Task 2: B\n${depends}\nFiles:\n- MODIFY src/x.ts\n## Verification\n- \`npm test\`\n`;
    expect(codes(source('Depends on: 1'))).toEqual([]);
    expect(codes(source(''))).toEqual(['9:spec/race']);
  });

  it('says of the seed example only that it is outside, and unverified', () => {
    const seed = readFileSync(new URL('../fixtures/specs/seed.md', import.meta.url), 'utf8');
    expect(codes(seed)).toEqual(['4:spec/verification-none', '7:spec/path']);
  });

  it('accepts the shipped template', () => {
    const template = readFileSync(new URL('../../templates/spec.md', import.meta.url), 'utf8');
    expect(check(template, undefined).filter((item) => item.severity !== 'info')).toEqual([]);
  });

  it('shows a finding like a compiler', () => {
    const source = task(['MODIFY src/missing.ts']);
    const text = showFindings(
      'spec.md',
      source.split('\n'),
      check(source, facts).filter((item) => item.severity === 'error'),
    );
    expect(text).toBe(
      'spec.md:5:1: error: src/missing.ts does not exist at the base. [spec/missing]\n    - MODIFY src/missing.ts\n    ^\n  fix: Write: - CREATE src/missing.ts\n1 error, 0 warnings\n',
    );
  });
});

describe('detected commands', () => {
  const world = (files: string[], manifests: Record<string, string> = {}): RepoFacts => ({
    ...facts,
    files: new Map([...files, ...Object.keys(manifests)].map((path) => [path, '100644'])),
    manifests: new Map(Object.entries(manifests)),
  });
  const npm = { 'package.json': '{"scripts":{"test":"vitest","lint":"x"}}' };
  const table: [string, RepoFacts, string[], string[]][] = [
    ['the lock file names the manager', world(['pnpm-lock.yaml'], npm), ['src/a.ts'], ['pnpm test']],
    [
      'a test that is none',
      world([], { 'package.json': '{"scripts":{"test":"echo \\"Error: no test specified\\" && exit 1"}}' }),
      ['a.ts'],
      [],
    ],
    [
      'no test: type check before lint before build',
      world([], { 'package.json': '{"scripts":{"build":"x","lint":"x","typecheck":"x"}}' }),
      ['a.ts'],
      ['npm run typecheck'],
    ],
    ['python', world(['uv.lock'], { 'pyproject.toml': '[tool.pytest.ini_options]' }), ['a.py'], ['uv run pytest']],
    ['go', world([], { 'go.mod': 'module x' }), ['a.go'], ['go test ./...']],
    ['rust', world([], { 'Cargo.toml': '' }), ['src/a.rs'], ['cargo test']],
    ['make', world([], { Makefile: 'test: all\n\techo' }), ['src/a.c'], ['make test']],
    [
      'the manifest nearest to the file',
      world([], { ...npm, 'web/package.json': '{"scripts":{"test":"jest"}}' }),
      ['web/src/a.ts'],
      ['cd web && npm test'],
    ],
    ['not that of another kind of project', world([], npm), ['ios/App/View.swift'], []],
    ['nothing for documents', world(['README.md'], npm), ['README.md'], []],
  ];
  it.each(table)('%s', (_name, seen, changed, commands) => {
    expect(detectCommands(seen, changed)).toEqual(commands);
  });
});

describe('hostile input', () => {
  const N = 1_000_000;
  const inputs: Record<string, string> = {
    brackets: '['.repeat(N),
    dashes: '- '.repeat(N / 2),
    quotes: '> '.repeat(N / 2),
    numbers: '1. '.repeat(N / 3),
    stars: '*a_'.repeat(N / 3),
    ticks: '`'.repeat(N),
    halfTicks: '`a'.repeat(N / 2),
    nested: Array.from({ length: 1400 }, (_, depth) => `${' '.repeat(depth)}- a`).join('\n'),
    headings: '# a\n'.repeat(N / 4),
    items: '- `a` b c\n'.repeat(N / 10),
    fences: '```\n'.repeat(N / 4),
    pipes: '|'.repeat(N),
    spaces: `# Spec${' '.repeat(N)}x`,
    option: `## Verification\n- \`a\` (${' '.repeat(N)}`,
    files: `## Tasks\n### Task 1: a\nFiles:\n- MODIFY a${' '.repeat(N)}b`,
    oneLine: 'x'.repeat(N),
    tabs: '\t'.repeat(N),
    labels: 'Files:\n'.repeat(N / 7),
  }; // prettier-ignore
  // The bound is loose on purpose: quadratic work on a megabyte takes minutes.
  it.each(Object.keys(inputs))('1 MB of %s is read in linear time', (name) => {
    const started = performance.now();
    parseSpec(inputs[name] as string);
    expect(performance.now() - started).toBeLessThan(8000);
  });
});

it('an emoji that is joined of several, and a byte order mark at the beginning, hide nothing', () => {
  const text =
    '\ufeff# Spec: 1 -- T\n## Goal\nFor the \u{1f468}\u200d\u{1f469}\u200d\u{1f467} and \u{1f3f3}\ufe0f\u200d\u{1f308}\n';
  expect(checkText(text.split('\n')).map(({ code }) => code)).toEqual([]);
});
