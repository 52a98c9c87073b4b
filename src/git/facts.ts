import { MANIFESTS, type RepoFacts } from '../spec/facts.ts';
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
