import { existsSync, lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, join, sep } from 'node:path';
import { fields, gitAnswer } from '../git/git.ts';
import { fileAt, type Repo } from '../git/repo.ts';
import { namesIn, onDisk } from '../names.ts';
import { LOCK_FILES } from '../path-classes.ts';

/** A dependency folder (or file) of the checkout, and where it belongs in a worktree. */
export interface Shared {
  /** From the worktree's top. */
  readonly path: string;
  /** Where it lies, absolute. */
  readonly from: string;
}

export type Dependencies =
  | { readonly how: 'none' }
  | {
      readonly how: 'share';
      readonly folders: readonly Shared[];
      /** True where it may be links to packages: one `node_modules`, and nothing in it leads back into the checkout. */
      readonly linkable: boolean;
    }
  | { readonly how: 'install'; readonly argv: readonly string[] };

/** What installs from a lock file, by its name; the first that is there counts. */
const INSTALLS: readonly [string, readonly string[]][] = [
  ['package-lock.json', ['npm', 'ci', '--no-audit', '--no-fund']],
  ['npm-shrinkwrap.json', ['npm', 'ci', '--no-audit', '--no-fund']],
  ['pnpm-lock.yaml', ['pnpm', 'install', '--frozen-lockfile']],
  ['yarn.lock', ['yarn', 'install', '--immutable']],
  ['bun.lock', ['bun', 'install', '--frozen-lockfile']],
  ['bun.lockb', ['bun', 'install', '--frozen-lockfile']],
];

/** What holds the packages of a project, as its own package manager left it in the checkout. */
const NODE = /(^|\/)(node_modules|\.pnp\.c?js|\.pnp\.loader\.mjs|\.yarn|\.yarn\/(cache|unplugged|install-state\.gz))$/;
const OTHER = /(^|\/)(\.venv|venv|vendor)$/;

/**
 * Where a worktree at `base` gets its dependencies from: the checkout's own where they were made from the same lock
 * files, else an installation from the lock file. Without a lock file the checkout's count as they are. A `setup` of the
 * profile makes what is not Node's.
 */
export async function planDependencies(repo: Repo, base: string, setup: string | undefined): Promise<Dependencies> {
  const found = await dependenciesOf(repo);
  const node = found.filter(({ path }) => NODE.test(path));
  const other = setup === undefined ? found.filter(({ path }) => OTHER.test(path)) : [];
  const same = node.length > 0 && (await sameLocks(repo, base));
  if (!same) {
    const argv = await installer(repo, base);
    if (argv !== undefined) return { how: 'install', argv };
  }
  const folders = [...(same ? node : []), ...other];
  if (folders.length === 0) return { how: 'none' };
  return { how: 'share', folders, linkable: canLink(repo, folders) };
}

/** How the packages of the lock file at `base` are installed; undefined where nothing is to be installed. */
async function installer(repo: Repo, base: string): Promise<readonly string[] | undefined> {
  const manifest = await fileAt(repo, base, 'package.json');
  if (manifest === undefined || !needsModules(manifest)) return undefined;
  for (const [name, argv] of INSTALLS) if ((await fileAt(repo, base, name)) !== undefined) return argv;
  // One that is not committed, or that git ignores, is the user's all the same; it is copied there.
  return INSTALLS.find(([name]) => existsSync(join(repo.root, name)))?.[1];
}

/** The lock file of the checkout that `base` does not have, where packages are installed from it. */
export const uncommittedLock = async (repo: Repo, base: string, plan: Dependencies): Promise<string[]> => {
  if (plan.how !== 'install') return [];
  const names = INSTALLS.filter(([, argv]) => argv === plan.argv).map(([name]) => name);
  for (const name of names) if ((await fileAt(repo, base, name)) !== undefined) return [];
  return names.filter((name) => existsSync(join(repo.root, name))).slice(0, 1);
};

/** Dependency folders that git does not track; a virtual environment elsewhere that is in use counts as `.venv`. */
async function dependenciesOf(repo: Repo): Promise<Shared[]> {
  const call = ['ls-files', '-z', '--others', '--directory'];
  const paths = fields((await gitAnswer(repo, call)).stdout).map((path) => path.replace(/\/$/, ''));
  const found = paths
    .filter((path) => (NODE.test(path) || OTHER.test(path)) && !isLink(join(repo.root, path)))
    .map((path) => ({ path, from: join(repo.root, path) }));
  const active = repo.env.VIRTUAL_ENV;
  const isActive = active !== undefined && existsSync(join(active, 'pyvenv.cfg'));
  const inside = isActive && `${realpathSync(active)}${sep}`.startsWith(`${realpathSync(repo.root)}${sep}`);
  const has = existsSync(join(repo.root, '.venv'));
  return isActive && !inside && !has ? [...found, { path: '.venv', from: active }] : found;
}

const isLink = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() !== false;

/** Whether the checkout's lock files are those of a commit, so that what was installed from them is right there. */
async function sameLocks(repo: Repo, base: string): Promise<boolean> {
  const endings = LOCK_FILES.map((name) => `*${name}`);
  const call = ['diff', '--quiet', '--no-ext-diff', '--no-textconv', base, '--', ...endings];
  return (await gitAnswer(repo, call, { answers: [1, 128] })).code === 0;
}

function needsModules(manifest: string): boolean {
  try {
    const json = JSON.parse(manifest) as Record<string, object | undefined>;
    return (
      [json.dependencies, json.devDependencies, json.optionalDependencies].some(
        (part) => Object.keys(part ?? {}).length > 0,
      ) || json.workspaces !== undefined
    );
  } catch {
    return false;
  }
}

/** Something in node_modules that leads back into the checkout would make the tests read the user's code. */
function canLink(repo: Repo, folders: readonly Shared[]): boolean {
  const [only, ...more] = folders;
  if (only?.path !== 'node_modules' || more.length > 0) return false;
  const real = realpathSync(only.from) + sep;
  const top = realpathSync(repo.root) + sep;
  return entriesOf(only.from).every((entry) => {
    const path = join(only.from, entry);
    if (!lstatSync(onDisk(path)).isSymbolicLink()) return true;
    const target = safeReal(path);
    return target === undefined || target.startsWith(real) || !target.startsWith(top);
  });
}

function safeReal(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** The entries of node_modules, scoped packages one by one. */
export function entriesOf(folder: string): string[] {
  return namesIn(folder).flatMap(({ name }) =>
    name.startsWith('@') ? namesIn(join(folder, name)).map((inner) => `${name}/${inner.name}`) : [name],
  );
}

/** What tells one state of a shared folder from another: when packages were last put into it. */
export function stateOf({ from }: Shared): string {
  const inner = [from, join(from, '.package-lock.json'), join(from, '.modules.yaml'), join(from, '.yarn-state.yml')];
  const python = join(from, 'lib');
  const versions = basename(from) !== 'vendor' && existsSync(python) ? readdirSync(python) : [];
  return [...inner, ...versions.map((name) => join(python, name, 'site-packages'))]
    .map((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? '')
    .join(' ');
}

export const describeShared = ({ path, from }: Shared): string =>
  `share ${path} of ${from.endsWith(`${sep}${path}`) ? 'the checkout' : from}`;
