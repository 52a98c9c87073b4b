import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { applyChange, IDENTITY } from '../git/change.ts';
import { at, git, keeping } from '../git/git.ts';
import { keepIndex } from '../git/slot.ts';
import type { RunState } from '../ledger/events.ts';
import { append, runsFolder } from '../ledger/store.ts';
import { loadProfile } from '../profile/profile.ts';
import { agreed, notAgreed } from './agreement.ts';
import { hasWalls } from './enclosure.ts';
import { nextRound } from './outcome.ts';
import { placesOf } from './places.ts';
import { planProvision } from './provision.ts';
import { readReady } from './ready.ts';
import { findPlan } from './stored.ts';
import { provide, type TreeCall } from './tree.ts';

export interface Refreshed {
  readonly run: RunState;
  /** Files with the marks of a conflict in them: Kimi has to resolve them. */
  readonly conflicts: readonly string[];
}

/**
 * Puts the change of an ended run onto a newer tip, in its own worktree: what merges is merged, what conflicts is marked.
 * No model takes part. The run's base is the tip from here on; a conflict is a round of sending back, and refused after
 * the last one, before anything has moved.
 */
export async function refresh(run: RunState, tip: string, call: TreeCall): Promise<Refreshed> {
  const { repo } = call;
  const { base, commit } = run;
  if (commit === undefined)
    throw refuse('wrong-state', `Run ${run.id} changed nothing.`, `kimi-dispatch show ${run.id}`);
  if (base === tip)
    throw refuse('wrong-state', `Run ${run.id} stands on this commit already.`, `kimi-dispatch merge ${run.id}`);
  const anew = await needsAnew(run, tip, call);
  const merged = await applyChange(repo, { base, commit, tip });
  const conflicts = 'conflicts' in merged ? merged.conflicts : [];
  const rounds = conflicts.length > 0 ? nextRound(run) : run.rounds;
  const args = ['commit-tree', merged.tree, '-p', tip, '-m', await git(repo, ['log', '-1', '--format=%B', commit])];
  const next = await git(repo, args, { env: IDENTITY });
  const tree = at(repo, run.dir);
  await git(tree, ['checkout', '-q', '--force', '--detach', tip]);
  await git(tree, ['read-tree', '-u', '--reset', next]);
  // What a person left there was saved before, and is no part of the change.
  const { provisioned } = readReady(join(runsFolder(repo.commonDir), run.id));
  await git(tree, ['clean', '-fdq', ...keeping(provisioned)]);
  await git(repo, ['update-ref', `refs/heads/${run.branch}`, next]);
  await git(tree, ['symbolic-ref', 'HEAD', `refs/heads/${run.branch}`]);
  keepIndex(repo.commonDir, run.dir);
  const folder = join(runsFolder(repo.commonDir), run.id);
  append(folder, { type: 'refreshed', base: tip, commit: next, round: rounds }, call.now());
  const { reviewed: _reviewed, ...rest } = run;
  const moved = { ...rest, base: tip, commit: next, rounds };
  if (anew) await provideAnew(moved, call);
  return { run: moved, conflicts };
}

/** Other lock files, other dependencies. Refuses before anything is changed where that needs the user's word. */
async function needsAnew(run: RunState, tip: string, { repo, env }: TreeCall): Promise<boolean> {
  const profile = loadProfile(findPlan(repo, run)?.profile ?? 'default', placesOf(env, repo).config);
  const [old, now] = await Promise.all([
    planProvision(repo, run.base, profile.setup),
    planProvision(repo, tip, profile.setup),
  ]);
  if (old.key === now.key) return false;
  const runs = now.dependencies.how === 'install' || now.setup !== undefined;
  if (runs && !agreed(env) && !hasWalls(join(runsFolder(repo.commonDir), run.id)))
    throw notAgreed(`Setting up what ${run.id} is on the new base`);
  return true;
}

async function provideAnew(run: RunState, call: TreeCall): Promise<void> {
  const { provisioned } = readReady(join(runsFolder(call.repo.commonDir), run.id));
  for (const path of provisioned) rmSync(join(run.dir, path), { recursive: true, force: true });
  await provide(run, call);
}
