import { describe, expect, it } from 'vitest';
import { decidesVerification, isConfiguration, isLock, isTest, protectedClass } from '../../src/path-classes.ts';

describe('protected classes', () => {
  const table: [string, string[]][] = [
    [
      'a CI definition',
      [
        '.github/workflows/x.yml',
        '.github/actions/a/action.yml',
        '.gitlab-ci.yml',
        'sub/.gitlab-ci.yml',
        '.gitlab/ci/build.yml',
        '.gitea/workflows/x.yaml',
        '.forgejo/workflows/x.yaml',
        '.circleci/config.yml',
        'bitbucket-pipelines.yml',
        'azure-pipelines.yml',
        'azure-pipelines-release.yml',
        'Jenkinsfile',
        'Jenkinsfile.release',
        '.travis.yml',
        '.drone.yml',
        '.drone.star',
        '.woodpecker.yml',
        '.woodpecker/test.yaml',
        '.buildkite/pipeline.yml',
        '.cirrus.yml',
        'appveyor.yml',
        '.appveyor.yml',
        '.semaphore/semaphore.yml',
        'codefresh.yml',
        '.build.yml',
        '.builds/linux.yml',
      ],
    ],
    ['a lock file', ['package-lock.json', 'a/go.sum', 'pdm.lock', 'Pipfile.lock', 'bun.lockb', 'PACKAGE-LOCK.JSON']],
    ['the list of code owners', ['CODEOWNERS', '.github/CODEOWNERS', 'docs/CODEOWNERS']],
    ['git configuration', ['.gitattributes', 'sub/.gitmodules', '.lfsconfig']],
    ['a package manager configuration', ['.npmrc', 'a/.yarnrc.yml', '.yarn/plugins/p.cjs', '.cargo/config.toml']],
    [
      'agent configuration',
      [
        'CLAUDE.md',
        'deep/down/CLAUDE.md',
        'claude.md',
        'Claude.local.md',
        'AGENTS.md',
        'packages/a/.claude/settings.json',
        '.Claude/settings.json',
        '.cursor/rules/x.mdc',
        '.cursorrules',
        '.windsurf/rules.md',
        '.windsurfrules',
        '.aider.conf.yml',
        '.aider/x',
        '.continue/config.json',
        '.gemini/settings.json',
        '.github/copilot-instructions.md',
        '.github/instructions/x.instructions.md',
        '.mcp.json',
        '.kimi-code/config.toml',
      ],
    ],
    [
      'editor configuration',
      [
        '.vscode/tasks.json',
        'a/.vscode/tasks.json',
        '.idea/runConfigurations/x.xml',
        '.devcontainer/devcontainer.json',
      ],
    ],
    ['a git hook', ['.husky/pre-commit', '.githooks/pre-push', 'lefthook.yml', '.pre-commit-config.yaml']],
    ['a shell environment', ['.envrc', 'sub/.envrc']],
    ['configuration of kimi-dispatch', ['.worktreeinclude', '.kimi-dispatch.toml']],
  ];
  it.each(table.flatMap(([name, paths]) => paths.map((path) => [path, name])))('%s is %s', (path, name) => {
    expect(protectedClass(path)?.name).toBe(name);
  });

  it.each([
    'src/a.ts',
    'src/block.ts',
    'docs/github/workflows.md',
    'src/claude.ts',
    'agents/readme.md',
    'requirements.txt',
    'README.md',
    '.gitignore',
    'src/jenkinsfile-parser.ts',
    'owners.txt',
  ])('%s is none', (path) => expect(protectedClass(path)).toBeUndefined());

  it('what runs by itself must be allowed in words', () => {
    expect(['.husky/x', '.envrc', '.worktreeinclude'].map((path) => protectedClass(path)?.strict)).toEqual([
      true,
      true,
      true,
    ]);
  });
});

describe('tests', () => {
  it.each([
    'test/a.ts',
    'src/__tests__/a.ts',
    'src/a.test.ts',
    'src/spec/check.test.ts',
    'spec/models/user.rb',
    'packages/core/spec/helper.rb',
    'lib/a_spec.rb',
    'pkg/a_test.go',
    'test_a.py',
    'src/ATest.java',
  ])('%s is one', (path) => expect(isTest(path)).toBe(true));

  it.each(['src/spec/check.ts', 'src/spec/plan/words.ts', 'lib/specs/format.py', 'src/attest.ts', 'src/contest/a.ts'])(
    '%s is none',
    (path) => expect(isTest(path)).toBe(false),
  );
});

it('what dependencies are installed from has more names than what is protected', () => {
  expect(['go.sum', 'a/b/requirements.txt', '.npmrc', 'package.json', 'my-go.sum'].map(isLock)).toEqual([
    true,
    true,
    true,
    false,
    false,
  ]);
});

it('configuration of runners decides the verification', () => {
  const paths = ['vitest.config.ts', 'a/Makefile', 'pyproject.toml', '.nycrc.json', 'src/make.ts'];
  expect(paths.map(decidesVerification)).toEqual([true, true, true, true, false]);
});

it('a reviewer looks at configuration first', () => {
  const paths = ['package.json', 'Dockerfile', '.eslintrc', 'vite.config.ts', 'yarn.lock', 'src/block.ts', 'src/a.ts'];
  expect(paths.map(isConfiguration)).toEqual([true, true, true, true, true, false, false]);
});
