import { join } from 'node:path';
import type { Job, QueueEvents } from 'bullmq';
import { type ErrorCode, type Refusal, refuse } from '../errors.ts';
import type { Repo } from '../git/repo.ts';
import type { RunEvent, RunState } from '../ledger/events.ts';
import { append, runsFolder } from '../ledger/store.ts';
import type { Result } from '../review/result.ts';
import type { Door } from './connect.ts';
import { type Answer, cancelKey, KEEP, type Order } from './order.ts';
import { begin, takeCancelled, takeLost, takeResult, takeTasks } from './take.ts';
import { flowOf, waveId } from './wave.ts';

export interface DispatchCall {
  readonly door: Door;
  readonly repo: Repo;
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
 * before is not told twice, and a result that was taken is only read.
 */
export async function awaitQueued(call: DispatchCall, run: string): Promise<Result> {
  const events = await call.door.events();
  const reader = new LogReader(call, run);
  for (;;) {
    const jobs = await jobsOf(call.door, run);
    const job = jobs.at(-1);
    if (job === undefined)
      throw refuse('lost', `The queue does not know ${run} any more.`, `kimi-dispatch discard ${run}`);
    if (call.signal.aborted && (await cancel(call, job))) return takeCancelled(call, run);
    const end = await finished(call, job, events);
    await reader.read(jobs);
    if (end !== undefined && !('answer' in end && end.answer.next !== undefined)) {
      const result = await conclude(call, job, end);
      for (const item of jobs) await item.remove({ removeChildren: true }).catch(() => undefined);
      return result;
    }
  }
}

/** The jobs of a run: one, or one for each wave so far. */
async function jobsOf({ queue }: Door, run: string): Promise<Job[]> {
  const one = (await queue.getJob(run)) as Job | undefined;
  if (one !== undefined) return [one];
  const jobs: Job[] = [];
  for (let id: string | undefined = waveId(run, 0); id !== undefined; ) {
    const job = (await queue.getJob(id)) as Job<Order, Answer | null> | undefined;
    if (job !== undefined) jobs.push(job);
    id = job?.returnvalue?.next;
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
  if (state === 'completed') return { answer: fresh?.returnvalue as Answer };
  return { failed: fresh?.failedReason ?? 'no reason' };
}

/** Told to the worker that has the run; where none has it yet, it leaves the queue. True when it has left. */
async function cancel({ door }: DispatchCall, job: Job): Promise<boolean> {
  await door.redis.set(cancelKey((job.data as Order).run), '1', 'EX', 24 * 60 * 60);
  if (await job.isActive()) return false;
  return job.remove({ removeChildren: true }).then(
    () => true,
    () => false,
  );
}

async function conclude(call: DispatchCall, job: Job, end: End): Promise<Result> {
  const fresh = await call.door.queue.getJob(String(job.id));
  const { run } = job.data as Order;
  if ('answer' in end) {
    const nothing = end.answer.outcome === 'cancelled' && (fresh?.data as Order | undefined)?.done === undefined;
    const result = nothing ? await takeCancelled(call, run) : await takeResult(call, fresh?.data, end.answer);
    await takeTasks(call, job.data as Order);
    return result;
  }
  const refusal = refusalIn(end.failed);
  const folder = join(runsFolder(call.repo.commonDir), run);
  if (refusal === undefined) return takeLost(call, run, end.failed);
  call.watch(append(folder, { type: 'run-ended', outcome: 'internal-error' }, call.now()));
  append(folder, { type: 'discarded' }, call.now());
  await job.remove({ removeChildren: true }).catch(() => undefined);
  throw refuse(refusal.code, `The worker refused: ${refusal.message}`, refusal.fix);
}

function refusalIn(text: string): Refusal | undefined {
  try {
    const found = JSON.parse(text) as { code?: ErrorCode; message?: string; fix?: string };
    if (typeof found.code !== 'string' || typeof found.message !== 'string') return undefined;
    return { code: found.code, message: found.message, ...(found.fix === undefined ? {} : { fix: found.fix }) };
  } catch {
    return undefined;
  }
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
    this.#at ??= await this.#before(folder);
    let first = 0;
    for (const job of jobs) {
      const { logs, count } = await door.queue.getJobLogs(String(job.id), Math.max(0, this.#at - first), -1);
      first += count;
      for (const line of this.#at < first ? logs : []) {
        const event = JSON.parse(line) as RunEvent;
        watch(append(folder, event, new Date(event.t)));
        this.#at += 1;
      }
    }
  }

  /** How many lines an earlier waiter copied: all events here but the first. */
  async #before(folder: string): Promise<number> {
    const { readEvents } = await import('../ledger/store.ts');
    return readEvents(folder).filter((event) => event.type !== 'run-started').length;
  }
}
