import { existsSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { fields, type GitPlace, git, gitAnswer } from './git.ts';

/**
 * Settings for our own git calls in a repository: a filter or a merge driver is a program, often one that lies in the
 * tree, so none runs here. git-lfs is the exception, by its absolute path: without it a file would be committed in place
 * of its pointer. It never downloads (GIT_LFS_SKIP_SMUDGE): content comes from the local store (`fillPointers`).
 */
export async function readFilters(place: Omit<GitPlace, 'filters' | 'disk'>): Promise<string[]> {
  const found = await gitAnswer(
    { ...place, filters: [], disk: [] },
    ['config', '-z', '--name-only', '--get-regexp', '^filter\\.'],
    {
      answers: [1],
    },
  );
  const keys = fields(found.stdout);
  const names = new Set(keys.flatMap((key) => /^filter\.(.+)\.\w+$/.exec(key)?.[1] ?? []));
  // A driver that fails makes a conflict.
  const drivers = keys.filter((key) => /^merge\..+\.driver$/.test(key)).map((key) => `${key}=false`);
  const lfs = locateLfs(place.env);
  if (lfs !== undefined) names.add('lfs');
  return [
    ...drivers,
    ...[...names].flatMap((name) => {
      const program = (words: string): string => (name === 'lfs' && lfs !== undefined ? `'${lfs}' ${words}` : '');
      return [
        // Where a process is set, even to nothing, git asks neither of the others; git-lfs wants all three.
        `filter.${name}.process=${program('filter-process')}`,
        `filter.${name}.clean=${program('clean -- %f')}`,
        `filter.${name}.smudge=${program('smudge -- %f')}`,
        `filter.${name}.required=false`,
      ];
    }),
  ];
}

/** git-lfs on PATH, by an absolute path. */
function locateLfs(env: GitPlace['env']): string | undefined {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => isAbsolute(folder) && !folder.includes("'"));
  return folders.map((folder) => join(folder, 'git-lfs')).find(existsSync);
}

/** Of these paths, those whose content a filter that we do not run would have changed: path → filter. */
export async function unfiltered(place: GitPlace, paths: readonly string[]): Promise<Map<string, string>> {
  const all = place.filters.every((item) => !/^filter\..*\.process=$/.test(item));
  if (paths.length === 0 || (all && locateLfs(place.env) !== undefined)) return new Map();
  const runs = (name: string): boolean => place.filters.some((item) => item.startsWith(`filter.${name}.process='`));
  const stopped = (name: string): boolean => place.filters.includes(`filter.${name}.process=`);
  const answer = await git(place, ['check-attr', '-z', '--stdin', 'filter'], { input: paths.join('\0') });
  const rows = answer.split('\0');
  const found = new Map<string, string>();
  for (let index = 0; index + 2 < rows.length; index += 3) {
    const [path = '', , name = ''] = rows.slice(index, index + 3);
    if (name !== 'unspecified' && name !== 'unset' && !runs(name) && (stopped(name) || name === 'lfs'))
      found.set(path, name);
  }
  return found;
}

/** Why such a file cannot be merged as it is. */
export const whyUnfiltered = (filter: string): string =>
  `goes through the filter ${filter}, which was not run: this is not what your git would commit`;

/** Puts the content of LFS files into a worktree, as far as the local store has it. Asks no network. */
export async function fillPointers(place: GitPlace, commit: string): Promise<void> {
  const lfs = locateLfs(place.env);
  if (lfs === undefined) return;
  const uses = await gitAnswer(place, ['grep', '-q', 'filter=lfs', commit, '--', '*.gitattributes'], {
    answers: [1, 128],
  });
  if (uses.code === 0) await gitAnswer(place, ['lfs', 'checkout'], { answers: [1, 2, 128] });
}
