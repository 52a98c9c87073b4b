import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { exitOfOutcome, refuse } from '../errors.ts';
import type { Repo } from '../git/repo.ts';
import { follow } from '../ledger/follow.ts';
import { runsFolder } from '../ledger/store.ts';
import { ownerLives } from '../process/alive.ts';
import { type Detached, detach } from '../process/detach.ts';
import { placesOf } from '../run/places.ts';
import type { World } from '../world.ts';
import { readPatch, runNamed } from './look.ts';
import { plainProgress } from './progress.ts';
import { queueFor, waitAgain } from './queue.ts';

/** Holds the run id for the supervisor, which is this very program with this variable set. */
export const SUPERVISED = 'KIMI_DISPATCH_SUPERVISED';

/**
 * `run` inside Claude Code, and `run --background`, and the same for another attempt: a supervisor in a session of its
 * own does the work, and this process only waits. Ending the waiter does not end the run.
 */
export async function supervise(
  world: World,
  repo: Repo,
  id: string,
  options: Record<string, unknown>,
): Promise<number> {
  const folder = join(runsFolder(repo.commonDir), id);
  const from = sizeOf(folder);
  const log = join(placesOf(world.env, repo).state, 'supervisors', `${id}.log`);
  // An earlier attempt may have written into it.
  rmSync(log, { force: true });
  const child = detach({
    file: process.execPath,
    args: [join(world.root, 'bin', 'kimi-dispatch.js'), ...world.argv],
    cwd: world.cwd,
    env: { ...world.env, [SUPERVISED]: id },
    log,
  });
  const refused = await startedOrEnded(folder, from, child);
  if (refused !== undefined) return tellLog(world, log, refused);
  if (options.background === true) {
    world.out(`${id}\n`);
    world.err(`Runs in the background. kimi-dispatch wait ${id}\n`);
    return 0;
  }
  return waitFor(world, {
    folder,
    id,
    queued: queueFor(world, options) !== undefined,
    from,
    json: options.json === true,
    child,
    log,
  });
}

/** Resolves when the run has begun, or with the exit code of a supervisor that refused to begin. */
async function startedOrEnded(folder: string, from: number, child: Detached): Promise<number | undefined> {
  let code: number | undefined;
  void child.exit.then((value) => {
    code = value;
  });
  while (sizeOf(folder) === from && code === undefined) await pause(30);
  return sizeOf(folder) > from ? undefined : code;
}

const sizeOf = (folder: string): number =>
  statSync(join(folder, 'events.ndjson'), { throwIfNoEntry: false })?.size ?? 0;

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

function tellLog(world: World, log: string, code: number): number {
  // Its stdout is in the log too: what it told as JSON goes on to ours.
  for (const line of existsSync(log) ? readFileSync(log, 'utf8').split(/(?<=\n)/) : [])
    (line.startsWith('{"version":1,"error":') ? world.out : world.err)(line);
  return code < 0 ? 1 : code;
}

interface Waiting {
  readonly folder: string;
  readonly id: string;
  readonly queued: boolean;
  readonly json: boolean;
  readonly from?: number;
  readonly child?: Detached;
  readonly log?: string;
}

async function waitFor(world: World, run: Waiting): Promise<number> {
  const progress = plainProgress(world);
  // An attempt of a run that began earlier names it too: whoever is woken by the end reads it here.
  if ((run.from ?? 0) > 0) world.err(`run ${run.id}\n`);
  const end = await follow({
    folder: run.folder,
    from: run.from ?? 0,
    each: (event) => progress.take(event),
    signal: world.signal,
  });
  if (end === 'stopped') {
    world.err(`The run goes on. kimi-dispatch wait ${run.id}\n`);
    return 130;
  }
  const file = join(run.folder, 'result.json');
  if (!existsSync(file)) {
    if (run.child !== undefined && run.log !== undefined && end === 'ended')
      return tellLog(world, run.log, await run.child.exit);
    throw run.queued
      ? refuse(
          'lost',
          `The process that waited for ${run.id} died; the run is in the queue.`,
          `kimi-dispatch wait ${run.id}`,
        )
      : refuse('lost', `The dispatcher of ${run.id} died.`, 'To save its work: kimi-dispatch recover');
  }
  const { readResult } = await import('../review/stored.ts');
  const { presentResult } = await import('../review/present.ts');
  const result = readResult(run.folder);
  if (run.json) world.out(`${JSON.stringify(result, null, 2)}\n`);
  else world.out(`${presentResult(result, readPatch(result.files.patch))}\n`);
  return exitOfOutcome(result.outcome);
}

/** `wait <run>`: blocks on the run's events and on its owner's life, and ends with the run's own exit code. */
export async function waitCommand(
  world: World,
  args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  const { repo, run, folder } = await runNamed(world, args[0]);
  if (run.queued === true && run.outcome === undefined && !ownerLives(run)) {
    const progress = plainProgress(world);
    await waitAgain(world, repo, { run, watch: (event) => progress.take(event) });
  }
  return waitFor(world, { folder, id: run.id, queued: run.queued === true, json: options.json === true });
}
