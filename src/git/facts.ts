import { MANIFESTS, type RepoFacts } from '../spec/facts.ts';
import { pathProblem } from '../spec/path-form.ts';
import { git } from './git.ts';
import { fileAt, filesOf, type Repo, uncommitted } from './repo.ts';

/** With the commit, and the paths of the checkout that differ from HEAD or are untracked. */
export interface Facts extends RepoFacts {
  readonly commit: string;
  readonly dirty: readonly string[];
}

/** Reads what the repository holds at a commit. */
export async function factsAt(repo: Repo, commit: string): Promise<Facts> {
  const [files, dirty] = await Promise.all([filesOf(repo, commit), uncommitted(repo)]);
  const manifests = new Map<string, string>();
  for (const path of MANIFESTS) {
    const text = files.has(path) ? await fileAt(repo, commit, path) : undefined;
    if (text !== undefined) manifests.set(path, text);
  }
  const untracked = new Set(dirty.filter((path) => !files.has(path)));
  return { commit, root: repo.root, name: repo.name, files, dirty, untracked, manifests };
}

/** Those of the paths that git ignores: path → the file and line of the rule. Paths that git cannot be asked about are left out. */
export async function ignoredAmong(repo: Repo, paths: readonly string[]): Promise<Map<string, string>> {
  const input = paths.filter((path) => pathProblem(path) === undefined).join('\0');
  if (input === '') return new Map();
  // 128: a path leads through a link or a submodule, which the check of the spec says itself.
  const call = { input, answers: [1, 128], honour: true };
  const rows = (await git(repo, ['check-ignore', '-v', '-z', '--stdin', '--no-index'], call)).split('\0');
  const found = new Map<string, string>();
  for (let at = 0; at + 3 < rows.length; at += 4) {
    const [source, line, pattern = '', path = ''] = rows.slice(at);
    if (!pattern.startsWith('!')) found.set(path, `${source}:${line}`);
  }
  return found;
}
