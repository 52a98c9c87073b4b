import { mergeTrees } from '../git/change.ts';
import { git } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import { listRuns } from '../ledger/store.ts';

/** Runs that wait for review and conflict with what the branch is now. */
export async function staleRuns(repo: Repo): Promise<{ run: string; conflicts: string[] }[]> {
  const tip = await git(repo, ['rev-parse', 'HEAD']);
  const stale: { run: string; conflicts: string[] }[] = [];
  for (const run of listRuns(repo.commonDir)) {
    if (run.review !== 'waiting' || run.commit === undefined || run.outcome === undefined) continue;
    const merged = await mergeTrees(repo, tip, run.commit).catch(() => ({ conflicts: ['its commit is not there'] }));
    if ('conflicts' in merged) stale.push({ run: run.id, conflicts: merged.conflicts });
  }
  return stale;
}
