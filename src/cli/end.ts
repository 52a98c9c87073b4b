import { findRun } from '../ledger/store.ts';
import { discard, merge, undo } from '../review/merge.ts';
import type { World } from '../world.ts';
import { repoOf } from './look.ts';

/** `merge`: review said yes. */
export async function mergeCommand(
  world: World,
  args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  const repo = await repoOf(world);
  const run = findRun(repo.commonDir, args[0] ?? '');
  const style = options.ff === false ? 'no-ff' : 'squash';
  const done = await merge({
    repo,
    run,
    root: world.root,
    env: world.env,
    now: world.now,
    style,
    force: options.force === true,
  });
  if (options.json === true) {
    world.out(`${JSON.stringify({ version: 1, run: run.id, ...done })}\n`);
    return 0;
  }
  const again = done.reverified ? ' The branch had moved; the merged tree was verified again.' : '';
  world.out(
    `Merged ${run.id} into ${done.target}: ${done.files} files, ${done.to.slice(0, 10)}.${again}\nUndo: ${done.undo}\n`,
  );
  return 0;
}

/** `undo`: takes a merge back. */
export async function undoCommand(world: World, args: readonly string[]): Promise<number> {
  const repo = await repoOf(world);
  const run = findRun(repo.commonDir, args[0] ?? '');
  const { target, to } = await undo(repo, run, world.now());
  world.out(
    `${target} is back at ${to.slice(0, 10)}. The run is waiting for review again: kimi-dispatch merge ${run.id}\n`,
  );
  return 0;
}

/** `discard`: the worktree and the branch go, the patch stays. */
export async function discardCommand(world: World, args: readonly string[]): Promise<number> {
  const repo = await repoOf(world);
  const run = findRun(repo.commonDir, args[0] ?? '');
  await discard(repo, run, world.now());
  world.out(`Discarded ${run.id}. The patch stays in ${repo.commonDir}/kimi-dispatch/runs/${run.id}/\n`);
  return 0;
}
