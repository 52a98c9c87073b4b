import { MANIFESTS, type RepoFacts } from '../spec/facts.ts';
import { fileAt, filesOf, type Repo, uncommitted } from './repo.ts';

/** Reads what the repository holds at a commit. */
export async function factsAt(repo: Repo, commit: string): Promise<RepoFacts> {
  const [files, dirty] = await Promise.all([filesOf(repo, commit), uncommitted(repo)]);
  const manifests = new Map<string, string>();
  for (const path of MANIFESTS) {
    const text = files.has(path) ? await fileAt(repo, commit, path) : undefined;
    if (text !== undefined) manifests.set(path, text);
  }
  const untracked = new Set(dirty.filter((path) => !files.has(path)));
  return { root: repo.root, name: repo.name, files, untracked, manifests };
}
