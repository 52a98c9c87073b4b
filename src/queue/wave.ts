import type { FlowJob } from 'bullmq';
import type { Repo } from '../git/repo.ts';
import type { RunEvent } from '../ledger/events.ts';
import { commitPatch } from '../review/patch.ts';
import { type Ended, type Integrated, Integration } from '../run/integration.ts';
import { prepare } from '../run/run.ts';
import { takeSlot } from '../run/tree.ts';
import { type Schedule, schedule } from '../schedule/waves.ts';
import { parseSpec } from '../spec/parse.ts';
import { type Door, PREFIX, QUEUE } from './connect.ts';
import { type Answer, type Done, KEEP, type Order, refusalIn, unpack } from './order.ts';
import { deleteBranches, fetchCommit, fetchMany, forgetCommit, pushCommit } from './remote.ts';
import { readTask, type TaskEnd, taskId, taskOrder, waveId } from './task.ts';
import { packDone, type WorkerPlace } from './work.ts';

/**
 * A wave as a flow: the runs of its tasks, and the integration that waits for all of them, whatever their end. Undefined
 * when no task of this wave or a later one is left to do.
 */
export function flowOf(order: Order, index: number, from: Integrated | undefined): FlowJob | undefined {
  const { spec } = parseSpec(order.spec);
  const over = new Set(from?.lines.map((line) => line.task));
  const { waves } = schedule(spec);
  const at = waves.findIndex((wave, number) => number >= index && wave.some((task) => !over.has(task)));
  if (at < 0) return undefined;
  const { done: _done, wave: _wave, ...plain } = order;
  const eachMerge = order.wave?.eachMerge ?? false;
  const data: Order = {
    ...plain,
    wave: { index: at, eachMerge, ...(from === undefined ? {} : { from }) } as Order['wave'] & object,
  };
  const jobId = waveId(order.run, at);
  const children = (waves[at] ?? [])
    .filter((task) => !over.has(task))
    .map((task) => ({
      name: 'run',
      queueName: QUEUE,
      prefix: PREFIX,
      data: taskOrder(plain, { task, base: from?.tip ?? order.base, wave: jobId }),
      opts: { ...KEEP, jobId: taskId(order.run, task), ignoreDependencyOnFailure: true },
    }));
  return { name: 'wave', queueName: QUEUE, prefix: PREFIX, data, opts: { ...KEEP, jobId }, children };
}

export interface WaveCall {
  readonly door: Door;
  readonly order: Order;
  readonly round: number;
  readonly signal: AbortSignal;
  readonly watch: (event: RunEvent) => void;
}

/** Integrates a wave in a clone: the whole is done, or the next wave is to be begun from here. */
export async function integrateWave(
  repo: Repo,
  place: WorkerPlace,
  call: WaveCall,
): Promise<{ done: Done } | { next: Integrated }> {
  const { order, signal } = call;
  const { wave } = order;
  const { spec } = parseSpec(order.spec);
  const plan = schedule(spec);
  const options = { ...order.options, profile: order.profile, base: order.base, sandbox: place.sandbox };
  const id = `${waveId(order.run, wave?.index ?? 0)}${call.round > 1 ? `-r${call.round}` : ''}`;
  const prepared = await takeSlot(
    await prepare({
      ...place,
      repo,
      spec,
      specText: order.spec,
      known: { uncommitted: [], model: false },
      options: { ...options, id },
    }),
  );
  const integration = new Integration(prepared, call.watch, {
    schedule: plan,
    eachMerge: wave?.eachMerge === true,
    signal,
  });
  integration.begin();
  try {
    const from = wave?.from as Integrated | undefined;
    if (from !== undefined) await fetchCommit(repo, order.remote, { commit: from.tip, run: id });
    await integration.ready(from);
    const tasks = plan.waves[wave?.index ?? 0] ?? [];
    const ends = await readTasks(call, { tasks, base: integration.tip });
    await integration.take(tasks, await endedTasks(repo, integration, ends)).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
    await tidyTasks(repo, call, ends);
    if (signal.aborted || left(plan, integration) === 0) {
      const result = await integration.finish(await integration.outcome(), undefined);
      return { done: packDone(order, result, prepared.plan) };
    }
    return { next: integration.state };
  } finally {
    integration.close();
  }
}

const left = (plan: Schedule, { lines }: Integration): number =>
  plan.waves.flat().filter((task) => !lines.has(task)).length;

/** How the tasks of a wave stand in the queue. */
async function readTasks(
  call: WaveCall,
  what: { tasks: readonly number[]; base: string },
): Promise<Map<number, TaskEnd>> {
  const ends = new Map<number, TaskEnd>();
  for (const task of what.tasks) {
    const end = await readTask(call.door, call.order, { task, base: what.base });
    if (end !== undefined) ends.set(task, end);
  }
  return ends;
}

/** A task's branch has done its work once its change was brought here; the patch stays in its job. */
async function tidyTasks(repo: Repo, { order }: WaveCall, ends: ReadonlyMap<number, TaskEnd>): Promise<void> {
  const pushed = [...ends.values()].filter(({ answer }) => answer?.pushed === true && answer.commit !== undefined);
  await deleteBranches(
    repo,
    order.remote,
    pushed.map((end) => end.order.branch),
  );
  for (const end of ends.values()) await forgetCommit(repo, end.order.run);
}

/** What the tasks' jobs say, with their commits in this clone. */
async function endedTasks(
  repo: Repo,
  integration: Integration,
  ends: ReadonlyMap<number, TaskEnd>,
): Promise<Map<number, Ended>> {
  const results = new Map<number, Ended>();
  const [first] = ends.values();
  const pushed = [...ends.values()].flatMap(({ answer }) => (answer?.pushed === true ? (answer.commit ?? []) : []));
  if (first !== undefined) await fetchMany(repo, first.order.remote, pushed);
  for (const [task, { order, answer, failed }] of ends) {
    const { run, title } = order;
    if (answer === undefined) {
      const why = refusalIn(failed)?.message ?? failed;
      integration.lines.set(task, { task, run, state: 'failed', why });
      continue;
    }
    const commit = await bringTask(repo, order, answer);
    const outcome = answer.outcome === 'integrated' ? 'internal-error' : answer.outcome;
    results.set(task, { run, outcome, title, ...(commit === undefined ? {} : { commit }) });
  }
  return results;
}

async function bringTask(repo: Repo, order: Order, answer: Answer): Promise<string | undefined> {
  const { done } = order;
  if (answer.commit === undefined || done === undefined) return undefined;
  if (answer.pushed) {
    const came = await fetchCommit(repo, order.remote, { commit: answer.commit, run: order.run }).then(
      () => true,
      () => false,
    );
    if (came) return answer.commit;
  }
  return commitPatch(repo, { patch: unpack(done.patch), base: order.base, result: done.result });
}

/** Where the next wave begins must be on the remote: its workers fetch it from there. */
export async function beginNext(door: Door, repo: Repo, what: { order: Order; from: Integrated }): Promise<string> {
  const { order, from } = what;
  const flow = flowOf(order, (order.wave?.index ?? 0) + 1, from);
  if (flow === undefined) throw new Error('no wave is left');
  const id = String(flow.opts?.jobId);
  // A worker that died after this left the next wave behind: it begins where that worker pushed.
  if ((await door.queue.getJob(id)) !== undefined) return id;
  const refused = await pushCommit(repo, order.remote, { commit: from.tip, branch: order.branch });
  if (refused !== undefined)
    throw new Error(`the remote refused ${order.branch}, where the next wave begins: ${refused}`);
  await door.flows.add(flow);
  return id;
}
