/** What the repository holds at the base: everything that checking and converting need, and nothing more. */
export interface RepoFacts {
  /** The checkout's folder, and its name: absolute paths of a plan are made relative with them. */
  readonly root: string;
  readonly name: string;
  /** path → git mode (`100644`, `100755`, `120000`, `160000`). */
  readonly files: ReadonlyMap<string, string>;
  /** Paths that are there but not tracked. */
  readonly untracked: ReadonlySet<string>;
  /** Declared paths that git ignores and the base does not hold, with the rule that ignores them (`.gitignore:12`). */
  readonly ignored?: ReadonlyMap<string, string>;
  /** The text of manifests at the base, by path: package.json, pyproject.toml, Makefile and the like. */
  readonly manifests: ReadonlyMap<string, string>;
}

export const MANIFESTS = [
  'package.json',
  'pyproject.toml',
  'setup.cfg',
  'tox.ini',
  'pytest.ini',
  'requirements.txt',
  'Makefile',
  'makefile',
  'GNUmakefile',
  'go.mod',
  'Cargo.toml',
  'pom.xml',
  'build.gradle',
  'build.gradle.kts',
  'composer.json',
  'Gemfile',
  'mix.exs',
  'deno.json',
  'Package.swift',
  'justfile',
];

/** The `scripts` of package.json. */
export function scriptsOf(facts: RepoFacts): Record<string, string> {
  try {
    const json = JSON.parse(facts.manifests.get('package.json') ?? '{}') as { scripts?: Record<string, string> };
    return typeof json.scripts === 'object' && json.scripts !== null ? json.scripts : {};
  } catch {
    return {};
  }
}

/** The package manager that the lock file names. */
export function managerOf(facts: RepoFacts): 'npm' | 'pnpm' | 'yarn' | 'bun' {
  if (facts.files.has('pnpm-lock.yaml')) return 'pnpm';
  if (facts.files.has('yarn.lock')) return 'yarn';
  return facts.files.has('bun.lock') || facts.files.has('bun.lockb') ? 'bun' : 'npm';
}

/** The project's own test commands, best first. Empty when nothing is recognised: a command is never invented. */
export function detectCommands(facts: RepoFacts): string[] {
  const has = (path: string): boolean => facts.files.has(path);
  const text = (path: string): string => facts.manifests.get(path) ?? '';
  const found: string[] = [];
  const test = scriptsOf(facts).test;
  if (test !== undefined && !/no test specified/.test(test))
    found.push(`${managerOf(facts)} ${managerOf(facts) === 'bun' ? 'run ' : ''}test`);
  const python =
    has('pytest.ini') ||
    /\[tool\.pytest|pytest/.test(
      text('pyproject.toml') + text('setup.cfg') + text('tox.ini') + text('requirements.txt'),
    );
  if (python) found.push(has('uv.lock') ? 'uv run pytest' : has('poetry.lock') ? 'poetry run pytest' : 'pytest');
  if (has('go.mod')) found.push('go test ./...');
  if (has('Cargo.toml')) found.push('cargo test');
  if (has('pom.xml')) found.push(has('mvnw') ? './mvnw -q test' : 'mvn -q test');
  if (has('build.gradle') || has('build.gradle.kts')) found.push(has('gradlew') ? './gradlew test' : 'gradle test');
  if (has('mix.exs')) found.push('mix test');
  if (has('Package.swift')) found.push('swift test');
  if (has('deno.json')) found.push('deno test');
  if (found.length === 0 && /^test\s*:(?!=)/m.test(text('Makefile') || text('makefile') || text('GNUmakefile')))
    found.push('make test');
  return found;
}
