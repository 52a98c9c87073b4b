import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { refuse } from '../errors.ts';
import { fields, type GitPlace, git, gitAnswer } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import { intact, readSlot } from '../git/slot.ts';
import { copyAll, onDisk } from '../names.ts';
import { LOCK_FILES } from '../path-classes.ts';
import type { Runner } from '../process/run.ts';
import { versionsFor } from '../process/versions.ts';
import { type Dependencies, planDependencies, stateOf, uncommittedLock } from './dependencies.ts';
import { dropKept, keepFolders } from './kept.ts';
import { linkModules, shareFolders } from './share.ts';

/** What will be put into a worktree that git does not put there. */
export interface Provision {
  /** Ignored files named by `.worktreeinclude`, copied. */
  readonly copies: readonly string[];
  /** A digest of what they hold. */
  readonly copiesDigest: string;
  readonly dependencies: Dependencies;
  readonly setup: string | undefined;
  /** A digest of what dependencies are made from: lock files, commands, the Node in use. */
  readonly key: string;
}

/** Computes the provision of a worktree at `base`; refuses when dependencies can be provided in no safe way. */
export async function planProvision(repo: Repo, base: string, setup: string | undefined): Promise<Provision> {
  const [included, dependencies, locks] = await Promise.all([
    includedFiles(repo),
    planDependencies(repo, base, setup),
    lockFiles(repo, base),
  ]);
  const copies = [...new Set([...included, ...(await uncommittedLock(repo, base, dependencies))])];
  const argv = dependencies.how === 'install' ? dependencies.argv : [];
  const shared =
    dependencies.how === 'share' ? dependencies.folders.map((one) => [one.path, one.from, stateOf(one)]) : [];
  const copiesDigest = digest(copies.map((path) => `${path}\0${contentOf(join(repo.root, path))}`).join('\0'));
  return {
    copies,
    copiesDigest,
    dependencies,
    setup,
    key: digest(JSON.stringify([locks, argv, shared, setup ?? '', nodeInUse(repo)])),
  };
}

/** The tree without files, which git knows in every repository, by the length of its ids. */
const EMPTY: Readonly<Record<number, string>> = {
  40: '4b825dc642cb6eb9a060e54bf8d69288fbee4904',
  64: '6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321',
};

/** Every lock file at a commit, in any folder, with what it holds. Git is quick with patterns that are an ending. */
const lockFiles = (repo: Repo, base: string): Promise<string> => {
  const endings = LOCK_FILES.map((name) => `*${name}`);
  return git(repo, ['diff-tree', '-r', '--raw', EMPTY[base.length] ?? '', base, '--', ...endings]);
};

/** Modules that were compiled for one Node do not load in another. */
function nodeInUse({ root, env }: Repo): string {
  const file = [...versionsFor(root, env).path, ...(env.PATH ?? '').split(delimiter)]
    .map((folder) => join(folder, 'node'))
    .find((path) => existsSync(path));
  return file === undefined ? '' : `${realpathSync(file)} ${statSync(file).mtimeMs}`;
}

/** `.worktreeinclude` has .gitignore syntax; a file is copied when it matches and git ignores it. */
async function includedFiles(repo: Repo): Promise<string[]> {
  const list = join(repo.root, '.worktreeinclude');
  // A link leads to text that may have come with a branch.
  if (lstatSync(list, { throwIfNoEntry: false })?.isFile() !== true || !(await ownsIncludes(repo))) return [];
  const found = fields(
    (await gitAnswer(repo, ['ls-files', '-z', '--others', '--ignored', `--exclude-from=${list}`])).stdout,
  );
  const ignored = fields(
    (await gitAnswer(repo, ['ls-files', '-z', '--others', '--ignored', '--exclude-standard'])).stdout,
  );
  const both = new Set(ignored);
  return found.filter((path) => both.has(path) && !path.startsWith('node_modules/'));
}

/**
 * False for a list that may be a stranger's: in CI, and where the branch that is checked out brings a list that the
 * default branch does not have. It would hand out ignored files, and nobody has reviewed it.
 */
async function ownsIncludes(repo: Repo): Promise<boolean> {
  if (repo.env.CI !== undefined) return false;
  for (const branch of ['refs/remotes/origin/HEAD', 'refs/heads/main', 'refs/heads/master']) {
    const there = await gitAnswer(repo, ['rev-parse', '-q', '--verify', branch], { answers: [1, 128] });
    if (there.code !== 0) continue;
    const list = ':(top,icase).worktreeinclude';
    const call = ['diff', '--quiet', '--no-ext-diff', '--no-textconv', `${branch}...HEAD`, '--', list];
    return (await gitAnswer(repo, call, { answers: [1, 128] })).code === 0;
  }
  return true;
}

/** What a copied file holds, as a digest; of a link where it leads, and what lies there. */
function contentOf(file: string): string {
  const stat = lstatSync(file, { throwIfNoEntry: false });
  if (stat?.isFile() === true) return digest(readFileSync(file));
  if (stat?.isSymbolicLink() !== true) return '';
  try {
    return `-> ${readlinkSync(file)} ${statSync(file).isFile() ? digest(readFileSync(file)) : ''}`;
  } catch {
    // What cannot be read from here tells a command nothing, either.
    return `-> ${readlinkSync(file)}`;
  }
}

const digest = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex');

export interface ProvisionPlace extends GitPlace {
  readonly marker: string;
  readonly log: string;
  readonly signal?: AbortSignal;
  /** How programs are started there: inside the sandbox where there is one. */
  readonly run: Runner;
  /** True where there is a sandbox, so that what is kept cannot be written. */
  readonly walled: boolean;
}

const foldersOf = (dependencies: Dependencies): string[] => {
  if (dependencies.how === 'share') return dependencies.folders.map(({ path }) => path);
  return dependencies.how === 'install' ? ['node_modules'] : [];
};

export interface Provisioned {
  /** Paths from the worktree's top that are not part of a change. */
  readonly paths: string[];
  /** Those that worker and verification may read and not write. */
  readonly readOnly: string[];
}

/**
 * Carries the provision out. Dependency folders that an earlier run's provisioning made in this slot, from the same
 * lock files, are used as they are; `keep` says whether this run's may be (no worker writes to them).
 */
export async function provision(
  repo: Repo,
  plan: Provision,
  place: ProvisionPlace,
  keep = false,
): Promise<Provisioned> {
  for (const path of plan.copies) {
    // A file of the commit is what counts.
    if (existsSync(onDisk(place.dir, path))) continue;
    mkdirSync(onDisk(dirname(join(place.dir, path))), { recursive: true });
    copyAll(join(repo.root, path), join(place.dir, path));
  }
  const { dependencies } = plan;
  const record = readSlot(place.dir);
  // What an install made elsewhere (a build of a package) was cleaned away, so it is made again with all the rest.
  const usable = record?.kept?.key === plan.key && (dependencies.how !== 'install' || record.kept.whole);
  const kept = keep && usable ? intact(place.dir) : [];
  if (kept.length === 0) dropKept(place.dir);
  const linked =
    kept.length === 0 ? shareInto(repo, plan, { dir: place.dir, closed: keep && place.walled }) : undefined;
  if (dependencies.how === 'install' && kept.length === 0) await mustRun(dependencies.argv, place);
  if (plan.setup !== undefined && (kept.length === 0 || record?.kept?.whole !== true))
    await mustRun(['/bin/sh', '-c', plan.setup], place);
  const readOnly = keep ? (kept.length > 0 ? kept : await keepFolders(place, plan, linked)) : [];
  return {
    paths: [...new Set([...plan.copies, ...foldersOf(dependencies), ...readOnly])],
    readOnly,
  };
}

/** Gives the checkout's dependencies to a worktree; returns the folder that is one of links, where one is. */
function shareInto(
  repo: Repo,
  { dependencies }: Provision,
  { dir, closed }: { readonly dir: string; readonly closed: boolean },
): string | undefined {
  if (dependencies.how !== 'share') return undefined;
  const { folders, linkable } = dependencies;
  const [only] = folders;
  if (closed || !linkable || only === undefined) {
    shareFolders(folders, { checkout: repo.root, worktree: dir, closed });
    return undefined;
  }
  linkModules(only.from, join(dir, only.path));
  return only.path;
}

async function mustRun(argv: readonly string[], place: ProvisionPlace): Promise<void> {
  const end = await place.run({
    file: argv[0] ?? '',
    args: argv.slice(1),
    cwd: place.dir,
    env: place.env,
    marker: `${place.marker}/provision`,
    wallMs: 900_000,
    stdoutFile: place.log,
    stderrFile: place.log,
    ...(place.signal === undefined ? {} : { signal: place.signal }),
  });
  if (end.ending.kind === 'exited' && end.ending.code === 0) return;
  const denied = end.denied ?? [];
  if (denied.length > 0)
    throw refuse(
      'preflight',
      `\`${argv.join(' ')}\` did not succeed in the worktree: the sandbox refused ${denied.slice(0, 3).join(', ')}`,
      `Allow it in the profile: provisionHosts = ["${denied[0] ?? ''}"]`,
    );
  throw refuse(
    'preflight',
    `\`${argv.join(' ')}\` did not succeed in the worktree: ${(end.stderrTail || end.stdoutTail).trim().split('\n').at(-1) ?? ''}`,
    `Read ${place.log}`,
  );
}
