import type { Outcome, Refusal } from '../errors.ts';
import type { RunState } from '../ledger/events.ts';

/** Everything that decides whether a run may be merged, looked up at one moment. */
export interface MergeState {
  readonly run: RunState;
  readonly outcome: Outcome;
  readonly changed: boolean;
  readonly patch: string;
  /** True for a run whose Kimi only read and reported. */
  readonly review: boolean;
  /** The full name of the branch that is checked out, or `HEAD`. */
  readonly ref: string;
  /** Where the run's branch stands; missing when it is gone. */
  readonly branchTip: string | undefined;
  /** Whether the run's base and the branch have a commit in common, and whether the base lies on the branch. */
  readonly related: boolean;
  readonly baseIsAncestor: boolean;
  /** For a merged run: whether the branch still holds the merge. */
  readonly stillMerged: boolean;
  /** How to get to the branch that was shown; empty where none was. */
  readonly wayOnto: string;
  readonly asked: {
    readonly force: boolean;
    readonly unverified: boolean;
    readonly style: 'squash' | 'no-ff';
    /** What the caller was shown. */
    readonly commit?: string;
    readonly onto?: string;
  };
}

type Rule = (state: MergeState) => Refusal | undefined;

const wrong = (message: string, fix: string): Refusal => ({ code: 'wrong-state', message, fix });

const RULES: readonly Rule[] = [
  ({ run }) =>
    run.outcome === undefined && run.review === 'waiting'
      ? wrong(`Run ${run.id} is at work.`, `kimi-dispatch wait ${run.id}, or cancel ${run.id}`)
      : undefined,
  ({ run, stillMerged }) =>
    run.review !== 'merged'
      ? undefined
      : stillMerged
        ? wrong(`Run ${run.id} is merged already.`, `kimi-dispatch undo ${run.id}`)
        : wrong(
            `Run ${run.id} was merged, and this branch no longer holds that merge.`,
            `kimi-dispatch undo ${run.id} takes note of that; then merge again`,
          ),
  ({ run, patch }) =>
    run.review === 'discarded' ? wrong(`Run ${run.id} was discarded.`, `git apply ${patch}`) : undefined,
  ({ run, review }) =>
    review ? wrong(`Run ${run.id} is a review: it has nothing to merge.`, `kimi-dispatch show ${run.id}`) : undefined,
  ({ run, changed }) =>
    run.commit === undefined || !changed
      ? wrong(`Run ${run.id} changed nothing.`, `kimi-dispatch show ${run.id}`)
      : undefined,
  ({ run, asked: { commit, onto }, ref, wayOnto }) =>
    commit !== undefined && !(run.commit ?? '').startsWith(commit)
      ? wrong(`Run ${run.id} has another commit by now than the one that was shown.`, `kimi-dispatch show ${run.id}`)
      : onto !== undefined && onto !== ref.replace('refs/heads/', '')
        ? wrong(`Another branch is checked out than the one that was shown, ${onto}.`, wayOnto)
        : undefined,
  ({ run, branchTip }) =>
    branchTip === undefined || branchTip === run.commit
      ? undefined
      : wrong(
          `The branch ${run.branch} was moved by hand, to ${branchTip.slice(0, 10)}.`,
          `git merge ${run.branch}, or put it back: git branch -f ${run.branch} ${run.commit}`,
        ),
  ({ run, related }) =>
    related ? undefined : wrong(`Run ${run.id} has no history in common with this branch.`, `git switch to its branch`),
  ({ run, baseIsAncestor, asked }) =>
    asked.style === 'no-ff' && !baseIsAncestor
      ? wrong(
          `Run ${run.id} began on a commit that is not on this branch; a merge commit would bring that in too.`,
          `kimi-dispatch merge ${run.id}, without --no-ff`,
        )
      : undefined,
  refuseOutcome,
];

/** Why a run cannot be merged as it was asked; undefined when it can. Pure. */
export function refusalToMerge(state: MergeState): Refusal | undefined {
  for (const rule of RULES) {
    const refusal = rule(state);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

function refuseOutcome({ run, outcome, asked }: MergeState): Refusal | undefined {
  if (outcome === 'succeeded' || asked.force) return undefined;
  if (outcome === 'unverified') {
    if (asked.unverified) return undefined;
    return wrong(
      `Nothing could verify run ${run.id}.`,
      `Read it (kimi-dispatch diff ${run.id}), then: kimi-dispatch merge ${run.id} --unverified`,
    );
  }
  const code =
    outcome === 'verification-failed' ? 'verification-failed' : outcome === 'out-of-scope' ? 'gate' : 'wrong-state';
  return {
    code,
    message: `Run ${run.id} ended with ${outcome}.`,
    fix: `kimi-dispatch show ${run.id}; --force merges it against its verification and the gate`,
  };
}
