import { join } from 'node:path';
import type { Job, QueueEvents } from 'bullmq';
import { refuse } from '../errors.ts';
import type { Repo } from '../git/repo.ts';
import type { RunEvent, RunState } from '../ledger/events.ts';
import { append, readEvents, runsFolder } from '../ledger/store.ts';
import { withLock } from '../process/lock.ts';
import type { Result } from '../review/result.ts';
import { readResult } from '../review/stored.ts';
import { type Door, pause } from './connect.ts';
import { type Answer, cancelKey, KEEP, type Order, readAnswer, refusalIn } from './order.ts';
import { readStory } from './story.ts';
import { begin, takeCancelled, takeLost, takeResult, takeTasks } from './take-over.ts';
import { waveId } from './task.ts';
import { flowOf } from './wave.ts';

export interface DispatchCall {
  readonly door: Door;
  readonly repo: Repo;
  /** The name of the git remote here. */
  readonly remote: string;
  /** Where Kimi homes of this repository lie on this machine. */
  readonly homes: string;
  readonly watch: (event: RunEvent) => void;
  readonly now: () => Date;
  /** Cancels the run, wherever it is. */
  readonly signal: AbortSignal;
}

/** Records a run that others will carry out, and puts it into the queue. */
export async function enqueue(call: DispatchCall, order: Order, from: Partial<RunState> = {}): Promise<void> {
  const { door } = call;
  begin(call, order, from);
  const flow = order.wave === undefined ? undefined : flowOf(order, 0, undefined);
  if (flow === undefined) await door.queue.add('run', order, { ...KEEP, jobId: order.run });
  else await door.flows.add(flow);
}

/**
 * Waits for a queued run and takes its result over. It may begin again at any time, in another process: what was told
 * before is not told twice, and a result that was taken is only read. One process at a time does this for a run.
 */
export async function awaitQueued(call: DispatchCall, run: string): Promise<Result> {
  const folder = join(runsFolder(call.repo.commonDir), run);
  for (;;) {
    if (readEvents(folder).some((event) => event.type === 'run-ended')) return readResult(folder);
    if (call.signal.aborted) await answered(call, askToCancel(call.door, run));
    let mine = false;
    const work = (): Promise<Result> => {
      mine = true;
      return waitAlone(call, run);
    };
    const lock = { file: join(folder, 'waiter.lock'), what: `Waiting for ${run}`, waitMs: 500 };
    const result = await withLock(lock, work).catch((error: unknown) => {
      if (mine) throw error;
    });
    if (result !== undefined) return result;
  }
}

async function waitAlone(call: DispatchCall, run: string): Promise<Result> {
  const events = await answered(call, call.door.events());
  const reader = new LogReader(call, run);
  for (;;) {
    const jobs = await answered(call, jobsOf(call.door, run));
    const job = jobs.at(-1);
    if (job === undefined)
      throw refuse('lost', `The queue does not know ${run} any more.`, `kimi-dispatch discard ${run}`);
    const end = await answered(call, finished(call, job, events));
    await answered(call, reader.read(jobs));
    if (end === undefined && call.signal.aborted && (await answered(call, cancel(call.door, job))))
      return takeCancelled(call, run);
    if (end !== undefined && !('answer' in end && end.answer.next !== undefined)) {
      const result = await conclude(call, job, end);
      for (const item of jobs) await item.remove({ removeChildren: true }).catch(() => undefined);
      return result;
    }
  }
}

const PATIENCE_MS = 10_000;

/** A queue that is away is waited for, until the person wants to end: then it has a moment left to answer. */
function answered<T>(call: DispatchCall, work: Promise<T>): Promise<T> {
  let over = false;
  const end = (): void => {
    over = true;
  };
  const late = new Promise<never>((_, fail) => {
    const giveUp = async (): Promise<void> => {
      for (const until = Date.now() + PATIENCE_MS; !over && Date.now() < until; ) await pause(100);
      if (!over)
        fail(refuse('wrong-state', 'The queue does not answer. The run is still in it.', 'kimi-dispatch wait RUN'));
    };
    if (call.signal.aborted) void giveUp();
    else call.signal.addEventListener('abort', () => void giveUp(), { once: true });
  });
  return Promise.race([work, late]).finally(end);
}

/** The jobs of a run: one, or one for each wave so far. */
async function jobsOf({ queue }: Door, run: string): Promise<Job[]> {
  const one = (await queue.getJob(run)) as Job | undefined;
  if (one !== undefined) return [one];
  const jobs: Job[] = [];
  for (let id: string | undefined = waveId(run, 0); id !== undefined; ) {
    const job = (await queue.getJob(id)) as Job | undefined;
    if (job !== undefined) jobs.push(job);
    id = readAnswer(job?.returnvalue)?.next;
  }
  return jobs;
}

type End = { answer: Answer } | { failed: string };

/** How a job ended, or nothing after a second. */
async function finished(call: DispatchCall, job: Job, events: QueueEvents): Promise<End | undefined> {
  await job.waitUntilFinished(events, call.signal.aborted ? 200 : 1000).catch(() => undefined);
  const state = await job.getState();
  if (state !== 'completed' && state !== 'failed') return undefined;
  const fresh = (await call.door.queue.getJob(job.id ?? '')) as Job | undefined;
  if (fresh === undefined) return undefined;
  const answer = readAnswer(fresh.returnvalue);
  if (state === 'completed' && answer !== undefined) return { answer };
  return { failed: fresh.failedReason ?? 'no reason' };
}

const askToCancel = (door: Door, run: string): Promise<unknown> =>
  door.redis.set(cancelKey(run), '1', 'EX', 24 * 60 * 60);

/** Told to the worker that has the run; what no worker began leaves the queue. True when it has left. */
async function cancel(door: Door, job: Job): Promise<boolean> {
  const order = job.data as Order;
  await askToCancel(door, order.run);
  const state = await job.getState();
  const begun = state === 'waiting-children' && ((await job.getDependenciesCount()).processed ?? 0) > 0;
  if (begun || order.done !== undefined || (order.wave?.index ?? 0) > 0) return false;
  if (!['waiting', 'delayed', 'prioritized', 'waiting-children'].includes(state)) return false;
  return job.remove({ removeChildren: true }).then(
    () => true,
    () => false,
  );
}

/** What was made is taken over however the job ended; without it, the reason is told. */
async function conclude(call: DispatchCall, job: Job, end: End): Promise<Result> {
  const fresh = (await call.door.queue.getJob(String(job.id))) as Job | undefined;
  const data = fresh?.data as Order | undefined;
  const { run } = job.data as Order;
  if (data?.done !== undefined) {
    const answer = 'answer' in end ? end.answer : { run, outcome: data.done.result.outcome, pushed: false };
    const result = await takeResult(call, data, answer);
    await takeTasks(call, data);
    return result;
  }
  if (data !== undefined) await takeTasks(call, data);
  if ('answer' in end) return takeCancelled(call, run);
  const refusal = refusalIn(end.failed);
  if (refusal === undefined || data?.wave !== undefined) return takeLost(call, run, refusal?.message ?? end.failed);
  const folder = join(runsFolder(call.repo.commonDir), run);
  call.watch(append(folder, { type: 'run-ended', outcome: 'internal-error' }, call.now()));
  append(folder, { type: 'discarded' }, call.now());
  await job.remove({ removeChildren: true }).catch(() => undefined);
  throw refuse(refusal.code, `The worker refused: ${refusal.message}`, refusal.fix);
}

/** Copies the events that a worker told into the ledger here. */
class LogReader {
  readonly #call: DispatchCall;
  readonly #run: string;
  #at: number | undefined;

  constructor(call: DispatchCall, run: string) {
    this.#call = call;
    this.#run = run;
  }

  /** The lines of all jobs of the run count as one list. */
  async read(jobs: readonly Job[]): Promise<void> {
    const { door, repo, watch } = this.#call;
    const folder = join(runsFolder(repo.commonDir), this.#run);
    // An earlier waiter copied all events here but the first.
    this.#at ??= readEvents(folder).filter((event) => event.type !== 'run-started').length;
    let first = 0;
    for (const job of jobs) {
      const { logs, count } = await door.queue.getJobLogs(String(job.id), Math.max(0, this.#at - first), -1);
      first += count;
      for (const line of this.#at < first ? logs : []) {
        this.#at += 1;
        const event = readStory(line);
        if (event !== undefined) watch(append(folder, event, new Date(event.t)));
      }
    }
  }
}
