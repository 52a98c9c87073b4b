import { gitAnswer } from './git.ts';
import type { Repo } from './repo.ts';

/** True when a commit is on a branch or tag of the user's, and not only on branches of runs. */
export async function isReviewed(repo: Repo, commit: string): Promise<boolean> {
  const args = ['for-each-ref', '--contains', commit, '--format=%(refname)', 'refs/heads', 'refs/remotes', 'refs/tags'];
  const found = await gitAnswer(repo, args, { answers: [129] });
  const refs = found.stdout
    .split('\n')
    .filter((ref) => ref !== '' && !/^refs\/(heads|remotes\/[^/]+)\/kimi\//.test(ref));
  if (refs.length > 0) return true;
  const head = await gitAnswer(repo, ['symbolic-ref', '-q', 'HEAD'], { answers: [1] });
  if (head.code === 0) return false;
  // A detached HEAD is what the user checked out.
  const above = await gitAnswer(repo, ['merge-base', '--is-ancestor', commit, 'HEAD'], {
    answers: [1, 128],
  });
  return above.code === 0;
}
