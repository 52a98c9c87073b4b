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
export const scriptsOf = (facts: RepoFacts): Record<string, string> => scriptsIn(facts.manifests.get('package.json'));

/** The `scripts` in the text of a package.json; none where it is missing or no JSON. */
export function scriptsIn(manifest: string | undefined): Record<string, string> {
  try {
    const json = JSON.parse(manifest ?? '{}') as { scripts?: Record<string, string> };
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
