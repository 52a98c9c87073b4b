import { renamesBetween } from '../git/change.ts';
import type { GitPlace } from '../git/git.ts';
import type { Spec } from '../spec/model.ts';
import type { Around, Check, Compared } from '../verify/compare.ts';
import { settle } from '../verify/settle.ts';
import type { Judge } from './judge.ts';

export interface SettleCall {
  readonly repo: GitPlace;
  /** Whose verbs excuse tests that are gone. */
  readonly spec: Pick<Spec, 'tasks'>;
  /** The commit that `before` is about, and the one that `after` is about. */
  readonly from: string;
  readonly to: string;
  readonly before: readonly Check[] | undefined;
  readonly after: readonly Check[];
  /** Where the logs of a second look go. */
  readonly logs: string;
  readonly allowedTests?: readonly string[];
}

/** Compares the verification of a commit with what was before it; the judge looks twice at what is worse. */
export async function settleAt(judge: Judge, call: SettleCall): Promise<Compared[]> {
  const { from, to, before, after, logs } = call;
  return settle({
    before,
    after,
    around: before === undefined ? {} : await aroundOf(call),
    again: (index, side) => judge.again(side === 'before' ? from : to, index, logs),
  });
}

/** What excuses tests that are gone: declared deletions, renames, and what a person allowed. */
export async function aroundOf(
  call: Pick<SettleCall, 'repo' | 'spec' | 'from' | 'to' | 'allowedTests'>,
): Promise<Around> {
  const files = call.spec.tasks.flatMap((task) => task.files);
  return {
    deleted: files.filter((file) => file.verb === 'DELETE').map((file) => file.path),
    renamed: await renamesBetween(call.repo, call.from, call.to),
    allowedTests: call.allowedTests ?? [],
  };
}
