import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import type { Repo } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { runsFolder } from '../ledger/store.ts';
import type { RunPlan } from './plan.ts';

/** The plan that a run was started with; none for a run from another machine, or where it cannot be read. */
export function findPlan(repo: Repo, run: RunState): RunPlan | undefined {
  try {
    const text = readFileSync(join(runsFolder(repo.commonDir), run.id, 'plan.json'), 'utf8');
    return (JSON.parse(text) as RunPlan | null) ?? undefined;
  } catch {
    return undefined;
  }
}

/** The same; refuses for a run whose record is incomplete. */
export function storedPlan(repo: Repo, run: RunState): RunPlan {
  const plan = findPlan(repo, run);
  if (plan !== undefined) return plan;
  throw refuse('wrong-state', `The plan of ${run.id} is not on record here.`, `kimi-dispatch discard ${run.id}`);
}
