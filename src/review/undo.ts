import { rmSync } from 'node:fs';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { refuse } from '../errors.ts';
import { git, gitAnswer } from '../git/git.ts';
import { releaseSlot } from '../git/pool.ts';
import type { Repo } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { append, runsFolder } from '../ledger/store.ts';
import { BACKUP } from './merge.ts';

/** Takes a merge back while the branch still stands on it. */
export async function undo(repo: Repo, run: RunState, now: Date): Promise<{ target: string; to: string }> {
  if (run.merge === undefined) throw refuse('wrong-state', `Run ${run.id} is not merged.`, `kimi-dispatch status`);
  const { target, from, to } = run.merge;
  const head = (await gitAnswer(repo, ['symbolic-ref', '-q', 'HEAD'], { answers: [1] })).stdout.trim() || 'HEAD';
  if (head !== target)
    throw refuse(
      'wrong-state',
      `The merge went to ${target.replace('refs/heads/', '')}, and another branch is checked out here.`,
      `git switch ${target.replace('refs/heads/', '')}`,
    );
  const tip = await git(repo, ['rev-parse', 'HEAD']);
  if (tip !== to) throw refuse('conflict', 'Other commits stand on this merge now.', `git revert ${to}`);
  await git(repo, ['reset', '--keep', '-q', from]).catch((error: unknown) => {
    throw refuse(
      'conflict',
      `Your uncommitted changes are in the way: ${error instanceof Error ? error.message : ''}`,
      'git stash, then undo again',
    );
  });
  await gitAnswer(repo, ['update-ref', '-d', `${BACKUP}/${run.id}`], { answers: [1] });
  append(join(runsFolder(repo.commonDir), run.id), { type: 'undone', target }, now);
  return { target: target.replace('refs/heads/', ''), to: from };
}

/** Gives a run's worktree back and throws its branch and home away; the patch and the record stay. */
export async function discard(repo: Repo, run: RunState, now: Date): Promise<void> {
  if (run.review === 'discarded')
    throw refuse('wrong-state', `Run ${run.id} was discarded already.`, 'kimi-dispatch status');
  await discardAll(repo, [run], now);
}

/** The same for many; a run that was discarded already is left as it is. */
export async function discardAll(repo: Repo, runs: readonly RunState[], now: Date): Promise<void> {
  const waiting = runs.filter((run) => run.review !== 'discarded');
  const few = pLimit(4);
  await Promise.all(waiting.map((run) => few(() => releaseSlot(repo, run, true))));
  for (const run of waiting) {
    // The run's Kimi home holds keys; it goes when the run has ended for good.
    rmSync(run.home, { recursive: true, force: true });
    append(join(runsFolder(repo.commonDir), run.id), { type: 'discarded' }, now);
  }
}
