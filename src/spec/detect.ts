import { managerOf, type RepoFacts, scriptsIn } from './facts.ts';

/** A kind of project: its files, its manifests, and the commands that check it in a folder, best first. */
interface Kind {
  readonly files: RegExp;
  readonly manifests: readonly string[];
  readonly commands: (
    at: (name: string) => string,
    has: (name: string) => boolean,
    facts: RepoFacts,
  ) => readonly string[];
}

const KINDS: readonly Kind[] = [
  {
    files: /\.([cm]?[jt]sx?|vue|svelte|astro|s?css|less|html)$|(^|\/)package\.json$/,
    manifests: ['package.json'],
    commands: (at, has, facts) => {
      const scripts = scriptsIn(at('package.json'));
      const name = ['test', 'typecheck', 'type-check', 'check', 'lint', 'build'].find(
        (one) => one in scripts && !/no test specified/.test(scripts[one] ?? ''),
      );
      const manager = has('package-lock.json') ? 'npm' : managerOf(facts);
      if (name === undefined) return [];
      return [name === 'test' && manager !== 'bun' ? `${manager} test` : `${manager} run ${name}`];
    },
  },
  {
    files: /\.(pyi?|ipynb)$|(^|\/)pyproject\.toml$/,
    manifests: ['pytest.ini', 'pyproject.toml', 'setup.cfg', 'tox.ini', 'requirements.txt'],
    commands: (at, has) =>
      has('pytest.ini') ||
      /pytest/.test(['pyproject.toml', 'setup.cfg', 'tox.ini', 'requirements.txt'].map(at).join('\n'))
        ? [has('uv.lock') ? 'uv run pytest' : has('poetry.lock') ? 'poetry run pytest' : 'pytest']
        : [],
  },
  { files: /\.go$|(^|\/)go\.mod$/, manifests: ['go.mod'], commands: () => ['go test ./...'] },
  { files: /\.rs$|(^|\/)Cargo\.toml$/, manifests: ['Cargo.toml'], commands: () => ['cargo test'] },
  {
    files: /\.(java|kt|scala)$|(^|\/)pom\.xml$/,
    manifests: ['pom.xml'],
    commands: (_at, has) => [has('mvnw') ? './mvnw -q test' : 'mvn -q test'],
  },
  {
    files: /\.(java|kts?|scala|groovy|gradle)$/,
    manifests: ['build.gradle', 'build.gradle.kts'],
    commands: (_at, has) => [has('gradlew') ? './gradlew test' : 'gradle test'],
  },
  { files: /\.(ex|exs|heex)$/, manifests: ['mix.exs'], commands: () => ['mix test'] },
  { files: /\.swift$/, manifests: ['Package.swift'], commands: () => ['swift test'] },
  { files: /\.[cm]?[jt]sx?$|(^|\/)deno\.jsonc?$/, manifests: ['deno.json'], commands: () => ['deno test'] },
  {
    files: /\.rb$|(^|\/)Gemfile$/,
    manifests: ['Gemfile'],
    commands: (at) => (/\brspec\b/.test(at('Gemfile')) ? ['bundle exec rspec'] : []),
  },
];
const MAKEFILES = ['Makefile', 'makefile', 'GNUmakefile'];
const SOURCE = /\.(c|h|cc|cpp|hpp|sh|bash|lua|pl|zig|nix|mk)$|(^|\/)(GNU)?[Mm]akefile$/;

/** The manifests that say how a change of these paths is checked: those in the folders above each. */
export const manifestsAbove = (paths: readonly string[], names: readonly string[]): string[] =>
  [...new Set(paths.flatMap(foldersAbove))].flatMap((folder) => names.map((name) => `${folder}${name}`));

/** The folders that a path lies in, the nearest first, each with its slash; the top is ''. */
const foldersAbove = (path: string): string[] => {
  const parts = path.split('/').slice(0, -1);
  return [...parts.map((_, index) => `${parts.slice(0, parts.length - index).join('/')}/`), ''];
};

/**
 * The commands that check the projects which the changed paths belong to: for each path the nearest manifest of its own
 * kind. Empty when there is none: a command is never invented, and none of another project is taken.
 */
export function detectCommands(facts: RepoFacts, changed: readonly string[]): string[] {
  const found = new Set<string>();
  for (const kind of KINDS) {
    for (const path of changed.filter((one) => kind.files.test(one))) {
      const folder = foldersAbove(path).find((one) => kind.manifests.some((name) => facts.files.has(one + name)));
      if (folder === undefined) continue;
      const at = (name: string): string => facts.manifests.get(folder + name) ?? '';
      const has = (name: string): boolean => facts.files.has(folder + name);
      for (const command of kind.commands(at, has, facts))
        found.add(folder === '' ? command : `cd ${folder.slice(0, -1)} && ${command}`);
    }
  }
  const made = MAKEFILES.map((name) => facts.manifests.get(name) ?? '').join('\n');
  if (found.size === 0 && changed.some((path) => SOURCE.test(path)) && /^test\s*:(?!=)/m.test(made))
    found.add('make test');
  return [...found].slice(0, 3);
}

/** Tools that look for a manifest from their folder upwards, and end without one. */
const NEEDS: readonly [RegExp, readonly string[]][] = [
  [/^(npm|pnpm|yarn) /, ['package.json']],
  [/^cargo /, ['Cargo.toml']],
  [/^go /, ['go.mod', 'go.work']],
  [/^swift (build|test)\b/, ['Package.swift']],
  [/^mix /, ['mix.exs']],
];

/** False for a command whose tool finds no manifest in its folder or above, neither tracked nor made by the change. */
export function canStart(command: string, facts: RepoFacts, changed: readonly string[]): boolean {
  const [, folder = '', rest = ''] = /^(?:cd\s+(\S+)\s*&&\s*)?(.*)$/s.exec(command) ?? [];
  const manifests = NEEDS.find(([tool]) => tool.test(rest))?.[1];
  if (manifests === undefined || / (-C|--(prefix|cwd|dir|manifest-path|package-path))\b/.test(rest)) return true;
  const above = foldersAbove(`${folder.replace(/^\.\/|\/$/g, '')}${folder === '' ? '' : '/'}x`);
  return above.some((one) => manifests.some((name) => facts.files.has(one + name) || changed.includes(one + name)));
}
