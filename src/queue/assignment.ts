import { DelayedError, type Job, WaitingError } from 'bullmq';
import { refusalOf, refuse } from '../errors.ts';
import type { Repo } from '../git/repo.ts';
import type { RunEvent } from '../ledger/events.ts';
import { timerMs } from '../process/timer.ts';
import type { Prepared } from '../run/run.ts';
import { type Door, pause } from './connect.ts';
import { type Answer, cancelKey, type Order, readOrder } from './order.ts';
import { SharedQuota } from './quota.ts';
import type { QueueSetting } from './setting.ts';
import { waveId } from './task.ts';
import { beginNext, integrateWave } from './wave.ts';
import { carryOut, openClone, publish, tidy, type WorkerPlace } from './work.ts';

export interface WorkerCall {
  readonly door: Door;
  readonly setting: QueueSetting;
  readonly place: WorkerPlace;
  readonly version: string;
  readonly concurrency: number;
  /** Ends the worker: what it works on goes back into the queue. */
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** How long an order waits for quota that others hold. */
const QUOTA_WAIT_MS = 15_000;

/** One order on this worker. */
export class Assignment {
  readonly #call: WorkerCall;
  readonly #job: Job;
  readonly #token: string;
  readonly #cancel = new AbortController();
  readonly #lost = new AbortController();
  #quota: { shared: SharedQuota; entry: string; steps: number } | undefined;
  #requests = 0;

  constructor(call: WorkerCall, job: Job, token: string) {
    this.#call = call;
    this.#job = job;
    this.#token = token;
  }

  async go(): Promise<Answer> {
    const { version, say } = this.#call;
    const round = Math.max(1, this.#job.attemptsStarted);
    const id = String(this.#job.id);
    try {
      const order = readOrder(this.#job.data, version);
      say(`${id}: taken${round > 1 ? `, try ${round}` : ''}`);
      this.#tellTask(order, 'started');
      const answer = await this.#carry(order, round);
      this.#tellTask(order, answer.outcome);
      say(`${id}: ${answer.outcome}${answer.pushed ? '' : ', not pushed'}`);
      return answer;
    } catch (error) {
      if (error instanceof DelayedError || error instanceof WaitingError) throw error;
      const refusal = refusalOf(error);
      say(`${id}: ${refusal?.message ?? String(error)}`);
      // Redis keeps one line; the person who ordered gets the refusal back whole.
      throw refusal === undefined ? error : new Error(JSON.stringify(refusal));
    }
  }

  async #carry(order: Order, round: number): Promise<Answer> {
    const { place } = this.#call;
    const { run } = order;
    if (await this.#isCancelled(order)) return { run, outcome: 'cancelled', pushed: false };
    const repo = await openClone(place, order);
    const local = order.wave === undefined ? run : waveId(run, order.wave.index);
    const watching = [this.#watchCancel(order), this.#watchLock()];
    try {
      return await this.#answer(repo, { order, round });
    } finally {
      for (const watch of watching) watch.stop();
      await this.#settle();
      // What cannot be tidied away here is no reason to lose what was made.
      await tidy(repo, local, { round, now: place.now() }).catch((error: unknown) =>
        this.#call.say(`${local}: ${String(error)}`),
      );
    }
  }

  /** Made once and kept in the job; then pushed. A worker that takes it over after that only pushes. */
  async #answer(repo: Repo, { order, round }: { order: Order; round: number }): Promise<Answer> {
    let { done } = order;
    if (done === undefined) {
      const made = await this.#make(repo, { order, round });
      if ('next' in made) {
        await this.#requireLock();
        const next = await beginNext(this.#call.door, repo, { order, from: made.next });
        return { run: order.run, outcome: 'integrated', pushed: true, next };
      }
      done = made.done;
      await this.#giveBack(done.result.outcome);
      await this.#requireLock();
      await this.#job.updateData({ ...order, done });
    }
    await this.#requireLock();
    const { commit, refused } = await publish(repo, order, done);
    const pushed = refused === undefined;
    return {
      run: order.run,
      outcome: done.result.outcome,
      pushed,
      ...(commit === undefined ? {} : { commit }),
      ...(refused === undefined ? {} : { note: `the remote refused the branch: ${refused}` }),
    };
  }

  async #make(repo: Repo, { order, round }: { order: Order; round: number }) {
    const { door, place } = this.#call;
    const signal = AbortSignal.any([this.#call.signal, this.#cancel.signal, this.#lost.signal]);
    const watch = (event: RunEvent): void => this.#tell(event);
    if (order.wave !== undefined) return integrateWave(repo, place, { door, order, round, signal, watch });
    const admit = (prepared: Prepared): Promise<void> => this.#admit(prepared, round);
    return { done: await carryOut(repo, place, { order, round, signal, watch, admit }) };
  }

  /** A worker that is told to end puts its run back; a run that the person cancelled is over. */
  async #giveBack(outcome: string): Promise<void> {
    if (outcome !== 'cancelled' || this.#cancel.signal.aborted || !this.#call.signal.aborted) return;
    await this.#job.moveToWait(this.#token);
    throw new WaitingError();
  }

  /** Whoever lost the lock lost the run: another worker has it. */
  async #requireLock(): Promise<void> {
    const held = await this.#job.extendLock(this.#token, lockMs(this.#call.setting));
    if (held !== 1 || this.#lost.signal.aborted) throw refuse('wrong-state', 'Another worker has this run by now.');
  }

  async #admit(prepared: Prepared, round: number): Promise<void> {
    const limit = prepared.profile.requestsPerWeek;
    if (limit === undefined) return;
    const { door, place } = this.#call;
    const shared = new SharedQuota(door.redis, prepared.home.account);
    const entry = `${this.#job.id}/${round}`;
    const { steps } = prepared.plan.limits;
    const now = place.now().getTime();
    const room = await shared.reserve({ entry, steps, limit, now, until: this.#heldUntil() });
    if (room === 'used')
      throw refuse(
        'quota',
        `All ${limit} requests of this week are used, over all workers.`,
        'Wait, use another --profile, or let Claude implement.',
      );
    if (room === 'wait') {
      this.#call.say(`${this.#job.id}: waits for the quota that other runs hold`);
      await this.#job.moveToDelayed(Date.now() + QUOTA_WAIT_MS, this.#token);
      throw new DelayedError();
    }
    this.#quota = { shared, entry, steps };
  }

  /** A worker that dies holds nothing any more soon after its run went to another one. */
  #heldUntil(): number {
    return this.#call.place.now().getTime() + 4 * lockMs(this.#call.setting);
  }

  /** What was really used takes the place of what was held, however the work ended. */
  async #settle(): Promise<void> {
    if (this.#quota === undefined) return;
    const { shared, entry } = this.#quota;
    await shared.settle(entry, this.#requests, this.#call.place.now().getTime());
  }

  /** Events are lines of the job: whoever ordered reads them from where it was, also after an absence. */
  #tell(event: RunEvent): void {
    if (event.type === 'attempt-ended') this.#requests += event.steps;
    if (event.type === 'run-started' || event.type === 'run-ended') return;
    void this.#job.log(JSON.stringify(event)).catch(() => undefined);
  }

  /** The beginning and the end of a task are lines of the wave that waits for it. */
  #tellTask({ task, run }: Order, state: string): void {
    if (task === undefined) return;
    const event = { t: this.#call.place.now().toISOString(), type: 'task', task: task.number, run, state };
    void this.#call.door.queue.addJobLog(task.wave, JSON.stringify(event)).catch(() => undefined);
  }

  async #isCancelled({ run, task }: Order): Promise<boolean> {
    return (await this.#call.door.redis.exists(cancelKey(task?.of ?? run)).catch(() => 0)) === 1;
  }

  /**
   * Ends the work once the run is another worker's: somebody else has the lock, or Redis was away for longer than a
   * lock lasts. Kimi is paid once. Meanwhile what is held of the quota stays held.
   */
  #watchLock(): { stop: () => void } {
    const lasts = lockMs(this.#call.setting);
    const pulse = timerMs(lasts / 4);
    let renewed = performance.now();
    let [waiting, over] = [false, false];
    const renew = async (): Promise<void> => {
      const asked = performance.now();
      if ((await this.#job.extendLock(this.#token, lasts)) !== 1) return this.#lost.abort();
      renewed = asked;
      if (!over && this.#quota !== undefined)
        await this.#quota.shared.hold(this.#quota.entry, this.#quota.steps, this.#heldUntil());
    };
    const timer = setInterval(() => {
      if (performance.now() - renewed > lasts) this.#lost.abort();
      if (waiting) return;
      waiting = true;
      // What Redis could not answer is judged by the time that passes.
      void renew()
        .catch(() => undefined)
        .finally(() => {
          waiting = false;
        });
    }, pulse);
    return {
      stop: () => {
        over = true;
        clearInterval(timer);
      },
    };
  }

  #watchCancel(order: Order): { stop: () => void } {
    let over = false;
    const look = async (): Promise<void> => {
      while (!over) {
        if (await this.#isCancelled(order)) this.#cancel.abort();
        await pause(500);
      }
    };
    void look();
    return {
      stop: () => {
        over = true;
      },
    };
  }
}

/** How long a worker may be silent. */
export const lockMs = (setting: QueueSetting): number => Math.round(setting.lockSeconds * 1000);
