import type { Repo } from '../git/repo.ts';
import { checkoutsOf } from '../git/worktree.ts';

/** How to carry a command out on a branch (its full name): where it is checked out already, or by switching to it. */
export async function wayTo(repo: Repo, ref: string, command: string): Promise<string> {
  const [dir] = await checkoutsOf(repo, ref);
  return dir === undefined ? `git switch ${ref.replace('refs/heads/', '')}` : `cd '${dir}' && ${command}`;
}
