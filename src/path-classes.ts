/** Paths that decide what runs, what is trusted, or what an agent is told. The one list for gate, check, provisioning and ranking. */
export interface PathClass {
  readonly name: string;
  readonly pattern: RegExp;
  /** Declaring the path is not enough: the spec must say `(ALLOW PROTECTED)`, because what it holds runs by itself. */
  readonly strict: boolean;
}

/** Files that package managers write and nobody edits by hand. */
const LOCKS = [
  ...['package-lock.json', 'npm-shrinkwrap.json', 'pnpm-lock.yaml', 'yarn.lock', 'bun.lock', 'bun.lockb', 'deno.lock'],
  ...['uv.lock', 'poetry.lock', 'Pipfile.lock', 'pdm.lock', 'pixi.lock', 'Cargo.lock', 'go.sum', 'Gemfile.lock'],
  ...['composer.lock', 'mix.lock', 'Package.resolved', 'Podfile.lock', 'pubspec.lock', 'packages.lock.json'],
  ...['gradle.lockfile', 'flake.lock', '.terraform.lock.hcl'],
];

/** A change of any of them means that dependencies are installed again. */
export const LOCK_FILES: readonly string[] = [...LOCKS, 'requirements.txt', 'requirements-dev.txt', '.npmrc'];
const LOCK_NAMES: ReadonlySet<string> = new Set(LOCK_FILES);

/** True for a path that dependencies are installed from, at any depth. */
export const isLock = (path: string): boolean => LOCK_NAMES.has(path.slice(path.lastIndexOf('/') + 1));

const escaped = (name: string): string => name.replace(/[.*+?^$()[\]{}|\\]/g, '\\$&');

/** Files of these names and everything in these folders, at any depth and in any case: some file systems see one name. */
const paths = (names: { files?: readonly string[]; folders?: readonly string[] }): RegExp => {
  const files = names.files === undefined ? [] : [`(${names.files.join('|')})$`];
  const folders = names.folders === undefined ? [] : [`(${names.folders.join('|')})/`];
  return new RegExp(`(^|/)(${[...files, ...folders].join('|')})`, 'i');
};

const CI = paths({
  files: [
    String.raw`\.gitlab-ci[\w.-]*\.ya?ml`,
    String.raw`(bitbucket|azure)-pipelines[\w.-]*\.ya?ml`,
    String.raw`\.?(travis|drone|woodpecker|cirrus|appveyor)\.ya?ml`,
    String.raw`\.(drone|cirrus)\.(star|jsonnet)`,
    String.raw`\.build\.yml|codefresh\.ya?ml|buildspec\.ya?ml|cloudbuild\.ya?ml`,
    String.raw`Jenkinsfile([.-]\w+)?`,
    String.raw`\.github/dependabot\.ya?ml`,
  ],
  folders: [
    String.raw`\.(github|gitea|forgejo)/(workflows|actions)`,
    String.raw`\.(gitlab|ci|circleci|buildkite|woodpecker|semaphore|codefresh|builds|tekton|azure-pipelines|azuredevops)`,
  ],
});

const AGENTS = paths({
  files: [
    String.raw`(CLAUDE|AGENTS|GEMINI|QWEN)([.-](local|override))?\.md`,
    String.raw`\.?mcp\.json`,
    String.raw`\.(cursor|windsurf|cline|roo|goose)(rules|ignore|modes|hints)`,
    String.raw`\.aider[^/]*|\.continuerc\.json|opencode\.jsonc?`,
    String.raw`\.github/copilot-[^/]*`,
  ],
  folders: [
    String.raw`\.(claude|claude-plugin|kimi|kimi-code|agents|codex|cursor|windsurf|continue|gemini|qwen|opencode|kiro)`,
    String.raw`\.(clinerules|cline|roo|amazonq|junie|augment|trae|goose|aider[^/]*)`,
    String.raw`\.github/(instructions|prompts|chatmodes|agents)`,
  ],
});

const EDITORS = paths({
  files: [
    String.raw`[^/]+\.(code-workspace|sublime-project)`,
    String.raw`\.devcontainer\.json|\.gitpod\.yml|\.exrc|\.nvim\.lua|\.n?vimrc|\.dir-locals\.el`,
  ],
  folders: [String.raw`\.(vscode|idea|zed|fleet|devcontainer)`],
});

const HOOKS = paths({
  files: [
    String.raw`\.?lefthook(-local)?\.(ya?ml|toml|json)`,
    String.raw`\.pre-commit-(config|hooks)\.ya?ml|\.overcommit\.yml`,
    String.raw`\.lintstagedrc[\w.]*|lint-staged\.config\.\w+|\.?simple-git-hooks\.\w+`,
  ],
  folders: [String.raw`\.husky|\.?githooks|\.git-hooks`],
});

const PACKAGES = paths({
  files: [String.raw`\.npmrc|\.yarnrc(\.ya?ml)?|\.?pnpmfile\.[cm]?js|bunfig\.toml|pip\.conf|\.cargo/config(\.toml)?`],
  folders: [String.raw`\.yarn/(plugins|releases)|\.bundle`],
});

const OWN = paths({
  files: [String.raw`\.worktreeinclude|\.kimi-dispatch\.toml`],
  folders: [String.raw`\.kimi-dispatch`],
});

const PROTECTED: readonly PathClass[] = [
  { name: 'a CI definition', pattern: CI, strict: false },
  { name: 'a lock file', pattern: paths({ files: LOCKS.map(escaped) }), strict: false },
  { name: 'the list of code owners', pattern: paths({ files: ['CODEOWNERS'] }), strict: false },
  {
    name: 'git configuration',
    pattern: paths({ files: [String.raw`\.(gitattributes|gitmodules|gitconfig|lfsconfig)`] }),
    strict: false,
  },
  { name: 'a package manager configuration', pattern: PACKAGES, strict: false },
  { name: 'agent configuration', pattern: AGENTS, strict: false },
  { name: 'editor configuration', pattern: EDITORS, strict: false },
  { name: 'a git hook', pattern: HOOKS, strict: true },
  { name: 'a shell environment', pattern: paths({ files: [String.raw`\.envrc`] }), strict: true },
  { name: 'configuration of kimi-dispatch', pattern: OWN, strict: true },
];

/** The class that protects a path, or undefined. */
export const protectedClass = (path: string): PathClass | undefined =>
  PROTECTED.find((item) => item.pattern.test(path));

// A folder called spec holds tests at the top of a repository or of a package; deeper it is as often a part of the program.
const TESTS =
  /(^|\/)(tests?|__tests__|e2e)\/|^((packages|apps|crates|libs|services|modules|gems|plugins)\/[^/]+\/)?specs?\/|[._-](test|spec)s?\.[^/]+$|(^|\/)test_[^/]+\.py$|Tests?\.(java|kt|cs|swift)$/;

/** True for a file that holds tests, by its name. */
export const isTest = (path: string): boolean => TESTS.test(path);

const RUNNERS =
  /(^|\/)((vitest|jest|mocha|ava|karma|playwright|cypress|tsconfig|babel|vite|wdio)[\w.-]*\.(config\.)?[cm]?[jt]s(on)?|\.(mocharc|nycrc|c8rc|taprc|babelrc|swcrc|rspec|jestrc)[\w.]*|deno\.jsonc?|pytest\.ini|tox\.ini|setup\.(cfg|py)|conftest\.py|pyproject\.toml|noxfile\.py|(GNU)?Makefile|\.?justfile|Rakefile|Taskfile\.ya?ml|CMakeLists\.txt|Cargo\.toml|(build|settings)\.gradle(\.kts)?|pom\.xml|phpunit\.xml(\.dist)?|mix\.exs|(nx|turbo)\.json)$/i;

/** True for a file that says what a verification command really runs. */
export const decidesVerification = (path: string): boolean => RUNNERS.test(path);

/** True for a file that configures something: what a reviewer looks at before the code. */
export const isConfiguration = (path: string): boolean =>
  protectedClass(path) !== undefined ||
  decidesVerification(path) ||
  isLock(path) ||
  /(^|\/)(package\.json|Dockerfile[^/]*|\.[^/]*|[^/]*\.config\.\w+)$/i.test(path);
