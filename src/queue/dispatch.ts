import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Job, QueueEvents } from 'bullmq';
import { type ErrorCode, type Refusal, refuse } from '../errors.ts';
import type { Repo } from '../git/repo.ts';
import type { RunEvent, RunState } from '../ledger/events.ts';
import { append, runsFolder, writeWhole } from '../ledger/store.ts';
import { ownerHere } from '../process/alive.ts';
import type { Result } from '../review/result.ts';
import type { Door } from './connect.ts';
import { type Answer, cancelKey, type Order } from './order.ts';
import { takeCancelled, takeLost, takeResult } from './take.ts';

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

const DAY = 24 * 60 * 60;
/** Results that nobody fetches stay for a week. */
export const KEEP = { removeOnComplete: { age: 7 * DAY }, removeOnFail: { age: 7 * DAY }, attempts: 1 };

/** Records a run that others will carry out, and puts it into the queue. */
export async function enqueue(call: DispatchCall, order: Order, from: Partial<RunState> = {}): Promise<void> {
  const { repo, door, now, watch } = call;
  const folder = join(runsFolder(repo.commonDir), order.run);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeWhole(join(folder, 'spec.md'), order.spec);
  const { run: id, title, digest, base, branch } = order;
  const facts = { id, title, digest, base, branch, dir: '', home: join(call.homes, id), queued: true, ...from };
  watch(append(folder, { type: 'run-started', v: 1, ...facts, ...ownerHere() }, now()));
  await door.queue.add('run', order, { ...KEEP, jobId: id });
}

/**
 * Waits for a queued run and takes its result over. It may begin again at any time, in another process: what was told
 * before is not told twice, and a result that was taken is only read.
 */
export async function awaitQueued(call: DispatchCall, run: string): Promise<Result> {
  const events = await call.door.events();
  const reader = new LogReader(call, run);
  for (;;) {
    const job = (await call.door.queue.getJob(run)) as Job | undefined;
    if (job === undefined)
      throw refuse('lost', `The queue does not know ${run} any more.`, `kimi-dispatch discard ${run}`);
    if (call.signal.aborted && (await cancel(call, job))) return takeCancelled(call, run);
    const end = await finished(call, job, events);
    await reader.read();
    if (end !== undefined) {
      const result = await conclude(call, run, end);
      await job.remove({ removeChildren: true }).catch(() => undefined);
      return result;
    }
  }
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
  const run = String(job.id);
  await door.redis.set(cancelKey(run), '1', 'EX', DAY);
  if (await job.isActive()) return false;
  return job.remove().then(
    () => true,
    () => false,
  );
}

async function conclude(call: DispatchCall, run: string, end: End): Promise<Result> {
  const job = await call.door.queue.getJob(run);
  if ('answer' in end) return takeResult(call, job?.data, end.answer);
  const refusal = refusalIn(end.failed);
  const folder = join(runsFolder(call.repo.commonDir), run);
  if (refusal === undefined) return takeLost(call, run, end.failed);
  call.watch(append(folder, { type: 'run-ended', outcome: 'internal-error' }, call.now()));
  append(folder, { type: 'discarded' }, call.now());
  await job?.remove();
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

  async read(): Promise<void> {
    const { door, repo, watch } = this.#call;
    const folder = join(runsFolder(repo.commonDir), this.#run);
    this.#at ??= await this.#before(folder);
    const { logs } = await door.queue.getJobLogs(this.#run, this.#at, -1);
    this.#at += logs.length;
    for (const line of logs) {
      const event = JSON.parse(line) as RunEvent;
      watch(append(folder, event, new Date(event.t)));
    }
  }

  /** How many lines an earlier waiter copied: all events here but the first. */
  async #before(folder: string): Promise<number> {
    const { readEvents } = await import('../ledger/store.ts');
    return readEvents(folder).filter((event) => event.type !== 'run-started').length;
  }
}
