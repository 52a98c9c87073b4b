import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, realpathSync, rmSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fillPointers } from './filters.ts';
import { fields, type GitPlace, git, gitAnswer } from './git.ts';
import { gitFolderOf } from './slot.ts';

/** A submodule of a commit, and the repository that the checkout has of it; none where it was never fetched. */
export interface Submodule {
  /** From the top of the tree. */
  readonly path: string;
  readonly commit: string;
  readonly gitDir: string | undefined;
}

/** The submodules of a commit, those inside of others too. Costs nothing where there are none. */
export async function submodulesOf(place: GitPlace, commonDir: string, commit: string): Promise<Submodule[]> {
  const some = existsSync(join(commonDir, 'modules')) || existsSync(join(place.dir, '.gitmodules'));
  return some ? submodulesIn(place, commonDir, commit) : [];
}

async function submodulesIn(place: GitPlace, commonDir: string, commit: string): Promise<Submodule[]> {
  const modules = join(commonDir, 'modules');
  const found = await linksAt(place, commit);
  if (found.length === 0) return [];
  const names = await namesAt(place, commit);
  const each = await Promise.all(
    found.map(async ({ path, id }): Promise<Submodule[]> => {
      const gitDir = moduleAt(modules, names.get(path));
      const inner = gitDir === undefined ? undefined : { ...place, dir: gitDir };
      const has = inner !== undefined && (await holds(inner, id));
      const own: Submodule = { path, commit: id, gitDir: has ? gitDir : undefined };
      if (!has || inner === undefined || gitDir === undefined) return [own];
      const below = await submodulesIn(inner, gitDir, id);
      return [own, ...below.map((one) => ({ ...one, path: `${path}/${one.path}` }))];
    }),
  );
  return each.flat();
}

async function linksAt(place: GitPlace, commit: string): Promise<{ path: string; id: string }[]> {
  const entries = fields((await gitAnswer(place, ['ls-tree', '-r', '-z', commit])).stdout);
  return entries
    .filter((entry) => entry.startsWith('160000 '))
    .map((entry) => ({ id: entry.slice(14, entry.indexOf('\t')), path: entry.slice(entry.indexOf('\t') + 1) }));
}

/** path → name, as `.gitmodules` of the commit says. */
async function namesAt(place: GitPlace, commit: string): Promise<Map<string, string>> {
  const call = ['config', '-z', '--blob', `${commit}:.gitmodules`, '--get-regexp', '^submodule\\..*\\.path$'];
  const answer = await gitAnswer(place, call, { answers: [1, 128] });
  return new Map(
    fields(answer.stdout).map((entry) => {
      const [key = '', path = ''] = entry.split('\n');
      return [path, key.slice('submodule.'.length, -'.path'.length)];
    }),
  );
}

/** The name came with a commit: it leads nowhere but into the folder of submodules. */
function moduleAt(modules: string, name: string | undefined): string | undefined {
  if (name === undefined || name === '' || !existsSync(join(modules, name, 'HEAD'))) return undefined;
  const real = realpathSync(join(modules, name));
  return real.startsWith(realpathSync(modules) + sep) ? real : undefined;
}

const holds = async (place: GitPlace, commit: string): Promise<boolean> =>
  (await gitAnswer(place, ['cat-file', '-e', `${commit}^{commit}`], { answers: [1, 128] })).code === 0;

/**
 * Puts the files of the submodules of a commit into a worktree, from what the checkout fetched and without the network.
 * They are files alone: no repository lies there, so git takes nothing of them into a change.
 */
async function fillSubmodules(place: GitPlace, commonDir: string, commit: string): Promise<void> {
  for (const { path, gitDir, commit: id } of await submodulesOf(place, commonDir, commit)) {
    const folder = join(place.dir, path);
    if (!isInside(place.dir, dirname(folder))) continue;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    if (gitDir === undefined) continue;
    const env = { GIT_INDEX_FILE: indexOf(commonDir, place.dir, path) };
    mkdirSync(dirname(env.GIT_INDEX_FILE), { recursive: true });
    rmSync(env.GIT_INDEX_FILE, { force: true });
    const at = { ...place, dir: folder };
    const where = [`--git-dir=${gitDir}`, `--work-tree=${folder}`];
    await git(at, [...where, 'read-tree', id], { env });
    await git(at, [...where, 'checkout-index', '-a', '-f', '-u', '-q'], { env });
  }
}

/** What git leaves out of a worktree: the content of LFS files, and the files of submodules. Asks no network. */
export async function fillTree(place: GitPlace, commonDir: string, commit: string): Promise<void> {
  await fillPointers(place, commit);
  await fillSubmodules(place, commonDir, commit);
}

/** Files of submodules that are others than a commit's: work there is in no change. */
export async function editedInSubmodules(place: GitPlace, commonDir: string, commit: string): Promise<string[]> {
  const all = await submodulesOf(place, commonDir, commit);
  const each = await Promise.all(
    all.map(async ({ path, gitDir }) => {
      const folder = join(place.dir, path);
      const env = { GIT_INDEX_FILE: indexOf(commonDir, place.dir, path) };
      if (gitDir === undefined || !existsSync(env.GIT_INDEX_FILE) || !isInside(place.dir, folder)) return [];
      const where = [`--git-dir=${gitDir}`, `--work-tree=${folder}`];
      const at = { ...place, dir: folder };
      const [changed, added] = await Promise.all([
        git(at, [...where, 'diff-files', '-z', '--name-only'], { env }),
        git(at, [...where, 'ls-files', '-z', '--others', '--exclude-standard'], { env }),
      ]);
      return [...fields(changed), ...fields(added)].map((name) => `${path}/${name}`);
    }),
  );
  // Of a submodule inside of another one both speak.
  return [...new Set(each.flat())].filter((name) => !all.some(({ path }) => path === name));
}

/** Beside git's own files of the worktree, where no worker can write. */
const indexOf = (commonDir: string, dir: string, path: string): string =>
  join(gitFolderOf(commonDir, dir), 'kimi-dispatch', createHash('sha256').update(path).digest('hex').slice(0, 16));

function isInside(top: string, folder: string): boolean {
  const stat = lstatSync(folder, { throwIfNoEntry: false });
  if (stat === undefined) return isInside(top, dirname(folder));
  return `${realpathSync(folder)}${sep}`.startsWith(`${realpathSync(top)}${sep}`);
}
