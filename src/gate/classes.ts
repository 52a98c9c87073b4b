/** Paths that decide what runs, what is trusted, or what an agent is told. */
export interface PathClass {
  readonly name: string;
  readonly pattern: RegExp;
  /** Declaring the path is not enough: the spec must say `(allow protected)`, because what it holds runs by itself. */
  readonly strict: boolean;
}

export const PROTECTED: readonly PathClass[] = [
  {
    name: 'a CI definition',
    pattern:
      /^(\.github\/(workflows|actions)\/|\.gitlab-ci\.yml$|\.circleci\/|azure-pipelines\.yml$|Jenkinsfile$|\.travis\.yml$|\.buildkite\/|\.ci\/)/,
    strict: false,
  },
  {
    name: 'a lock file',
    pattern:
      /(^|\/)(package-lock\.json|npm-shrinkwrap\.json|pnpm-lock\.yaml|yarn\.lock|bun\.lockb?|Cargo\.lock|poetry\.lock|uv\.lock|Pipfile\.lock|go\.sum|Gemfile\.lock|composer\.lock)$/,
    strict: false,
  },
  { name: 'git configuration', pattern: /(^|\/)\.(gitattributes|gitmodules|gitconfig)$/, strict: false },
  { name: 'a package manager configuration', pattern: /(^|\/)\.(npmrc|yarnrc(\.yml)?|pnpmfile\.cjs)$/, strict: false },
  {
    name: 'agent configuration',
    pattern:
      /(^|\/)(CLAUDE(\.local)?\.md|AGENTS\.md|GEMINI\.md|\.mcp\.json|\.cursorrules)$|^\.(claude|kimi-code|agents|kimi|codex|cursor)\//,
    strict: false,
  },
  {
    name: 'a git hook',
    pattern: /^(\.husky|\.githooks|githooks|\.git-hooks)\/|(^|\/)(lefthook|\.pre-commit-config)\.ya?ml$/,
    strict: true,
  },
];

export const TEST_FILE =
  /(^|\/)(tests?|__tests__|specs?|e2e)\/|([._-](test|spec)s?\.[^/]+$)|(^|\/)test_[^/]+\.py$|_test\.(go|py|rb)$|Tests?\.(java|kt|cs|swift)$/;

/** Files that say what a verification command really runs. */
export const RUNNER_CONFIG =
  /(^|\/)(vitest|jest|mocha|ava|karma|playwright|cypress|tsconfig|babel|vite)[\w.-]*\.(config\.)?[cm]?[jt]s(on)?$|(^|\/)(\.mocharc[\w.]*|pytest\.ini|tox\.ini|setup\.cfg|conftest\.py|pyproject\.toml|noxfile\.py|Makefile|makefile|GNUmakefile|justfile|Justfile|Rakefile|Taskfile\.ya?ml|Cargo\.toml|build\.gradle(\.kts)?|pom\.xml)$/;
