import { join } from 'node:path';
import pLimit from 'p-limit';
import { refuse } from '../errors.ts';
import { dropHome } from '../flavour/home.ts';
import { applyChange, changesBetween } from '../git/change.ts';
import { git, gitAnswer } from '../git/git.ts';
import { refuseHiddenEdits } from '../git/hidden.ts';
import { checkedOut, move } from '../git/move.ts';
import { releaseSlot } from '../git/pool.ts';
import { type Repo, refuseUnfinished } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { append, runsFolder } from '../ledger/store.ts';
import { endRun } from './end.ts';
import { alone, holdRun, openRun } from './lock.ts';
import { wayTo } from './way.ts';

export interface Undone {
  readonly target: string;
  readonly to: string;
  /** True when the branch had been put back by hand already. */
  readonly byHand: boolean;
}

/** Takes a merge back while the branch still stands on it. */
export const undo = (repo: Repo, run: RunState, now: Date): Promise<Undone> =>
  alone(repo, run, () => undoAlone(repo, openRun(repo, run), now));

async function undoAlone(repo: Repo, run: RunState, now: Date): Promise<Undone> {
  if (run.merge === undefined) throw refuse('wrong-state', `Run ${run.id} is not merged.`, `kimi-dispatch status`);
  const { from, to } = run.merge;
  refuseUnfinished(repo);
  const head = await checkedOut(repo);
  const target = await branchOf(repo, run.merge, head);
  const name = target.replace('refs/heads/', '');
  const undone = (): void => {
    append(join(runsFolder(repo.commonDir), run.id), { type: 'undone', target }, now);
  };
  if (!(await stands(repo, target, to))) {
    if (await holdsChange(repo, run, target)) throw refuseRewritten(run);
    undone();
    return { target: name, to: from, byHand: true };
  }
  if (head !== target)
    throw refuse(
      'wrong-state',
      `The merge went to ${name}, and another branch is checked out here.`,
      await wayTo(repo, target, `kimi-dispatch undo ${run.id}`),
    );
  if ((await git(repo, ['rev-parse', 'HEAD'])) !== to) throw await refuseLater(repo, to);
  await refuseHiddenEdits(repo, await changesBetween(repo, to, from));
  await move(repo, { run: run.id, kind: 'undo', ref: target, from: to, to: from }, undone);
  return { target: name, to: from, byHand: false };
}

/** The branch that a merge went to, under the name that it has now; refuses where it is gone. */
async function branchOf(repo: Repo, { target, to }: NonNullable<RunState['merge']>, head: string): Promise<string> {
  const known = await gitAnswer(repo, ['rev-parse', '-q', '--verify', target], { answers: [1, 128] });
  if (known.code === 0) return target;
  const args = ['for-each-ref', `--contains=${to}`, '--format=%(refname)', 'refs/heads'];
  const holding = (await git(repo, args)).split('\n').filter((ref) => ref !== '');
  const renamed = holding.length === 1 ? holding[0] : holding.find((ref) => ref === head);
  if (renamed !== undefined) return renamed;
  const names = holding.map((ref) => ref.replace('refs/heads/', ''));
  throw refuse(
    'wrong-state',
    `The branch ${target.replace('refs/heads/', '')}, where the merge went, is gone.`,
    names.length === 0 ? `git revert ${to}, where it is still` : `git switch to one that holds it: ${names.join(', ')}`,
  );
}

/** Whether the branch that a merge went to still holds it. */
async function stands(repo: Repo, target: string, commit: string): Promise<boolean> {
  const answer = await gitAnswer(repo, ['merge-base', '--is-ancestor', commit, target], {
    answers: [1, 128],
  });
  return answer.code === 0;
}

/** Whether a branch holds the change of a run, whatever commit brought it: an amended or rebased merge, for example. */
async function holdsChange(repo: Repo, { base, commit = '' }: RunState, target: string): Promise<boolean> {
  const [applied, tree] = await Promise.all([
    applyChange(repo, { base, commit, tip: target }),
    git(repo, ['rev-parse', `${target}^{tree}`]),
  ]);
  return applied.tree === tree && !('conflicts' in applied);
}

const refuseRewritten = (run: RunState): Error =>
  refuse(
    'conflict',
    `The merge of run ${run.id} was amended or rebased: its change is on the branch in another commit.`,
    `git log --grep "Kimi-Dispatch-Run: ${run.id}", then git revert that commit`,
  );

async function refuseLater(repo: Repo, commit: string): Promise<Error> {
  const parents = (await git(repo, ['log', '-1', '--format=%P', commit])).split(' ');
  const mainline = parents.length > 1 ? '-m 1 ' : '';
  return refuse('conflict', 'Other commits stand on this merge now.', `git revert ${mainline}${commit}`);
}

/** Gives a run's worktree back and throws its branch and home away; the patch, the record and what is a person's stay. */
export const discard = (repo: Repo, run: RunState, now: Date): Promise<string[]> =>
  holdRun(repo, run, async () => {
    const found = openRun(repo, run);
    if (found.review === 'discarded')
      throw refuse('wrong-state', `Run ${run.id} was discarded already.`, 'kimi-dispatch status');
    if (found.outcome === undefined && found.review === 'waiting')
      throw refuse('wrong-state', `Run ${run.id} is at work.`, `kimi-dispatch cancel ${run.id}`);
    const saved = await endRun(repo, found, { branchToo: true });
    forget(repo, found, now);
    return saved;
  });

/** Ends runs whose change is elsewhere already and whose worktree no person has seen. */
export async function discardAll(repo: Repo, runs: readonly RunState[], now: Date): Promise<void> {
  const waiting = runs.filter((run) => run.review !== 'discarded');
  const few = pLimit(4);
  await Promise.all(waiting.map((run) => few(() => releaseSlot(repo, run, true))));
  for (const run of waiting) forget(repo, run, now);
}

/** The run's Kimi home holds keys; it goes when the run has ended for good. */
function forget(repo: Repo, run: RunState, now: Date): void {
  dropHome(run.home);
  append(join(runsFolder(repo.commonDir), run.id), { type: 'discarded' }, now);
}
