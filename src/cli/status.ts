import { locateCommonDir } from '../git/locate.ts';
import type { RunState } from '../ledger/events.ts';
import { listRuns } from '../ledger/store.ts';
import { ownerLives } from '../process/alive.ts';
import type { World } from '../world.ts';

/** `status`: one line for each run that was not discarded, newest last. Imports nothing heavy. */
export async function statusCommand(
  world: World,
  _args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  const plain = world.env.GIT_DIR === undefined ? locateCommonDir(world.cwd) : undefined;
  const commonDir = plain ?? (await (await import('./look.ts')).repoOf(world)).commonDir;
  const runs = listRuns(commonDir).filter((run) => run.review !== 'discarded');
  if (options.json === true) {
    world.out(`${JSON.stringify({ version: 1, runs: runs.map((run) => ({ ...run, state: stateOf(run) })) })}\n`);
    return 0;
  }
  if (runs.length === 0) world.out('No runs. Start one: kimi-dispatch run plan.md\n');
  for (const run of runs) world.out(`${run.id}  ${stateOf(run).padEnd(20)}  ${run.title}\n`);
  return 0;
}

function stateOf(run: RunState): string {
  if (run.outcome !== undefined) return run.review === 'merged' ? 'merged' : run.outcome;
  return ownerLives(run) ? `running: ${run.step ?? 'starting'}` : 'lost';
}
