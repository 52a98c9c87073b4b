import { refuse } from '../errors.ts';
import type { Phase } from '../gate/tripwire/rule.ts';
import { type Seen, watched } from '../gate/tripwire/tripwire.ts';
import type { Repo } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { reachOf } from '../run/outside.ts';

export interface MergeWatch {
  readonly repo: Repo;
  readonly run: RunState;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly force: boolean;
  /** What is told of it and refuses nothing is added here. */
  readonly outside: string[];
}

/** Carries out what runs strangers' commands for a merge: what they take from the user without walls refuses it. */
export function watchMerge<T>(
  { repo, run, env, force, outside }: MergeWatch,
  how: { readonly phase: Phase; readonly walled: boolean },
  act: () => Promise<T>,
): Promise<T> {
  const tell = ({ violations, notes }: Seen): void => {
    const lost = violations.map(({ path, why }) => `${path} ${why}`);
    outside.push(...notes, ...lost);
    if (lost.length === 0 || force) return;
    throw refuse(
      'gate',
      `Nothing was merged: ${lost.join('; ')}`,
      `If that was you, merge again; else bring it back first, then: kimi-dispatch refresh ${run.id}`,
    );
  };
  return watched(how.walled ? undefined : reachOf({ repo, env, run: run.id }), { phase: how.phase, tell }, act);
}
