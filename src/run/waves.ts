import { type Outcome, refusalOf } from '../errors.ts';
import { findRun } from '../ledger/store.ts';
import { QuotaBook } from '../profile/quota.ts';
import type { Result } from '../review/result.ts';
import { discard } from '../review/undo.ts';
import { type Schedule, schedule, specOfTask } from '../schedule/waves.ts';
import { renderSpec } from '../spec/render.ts';
import { execute, type Watcher } from './execute.ts';
import { Integration } from './integration.ts';
import { newId, type Prepared, prepare } from './run.ts';
import { takeSlot } from './tree.ts';

export interface WavesOptions {
  readonly concurrency: number;
  /** Verify after each merge instead of once for each wave. */
  readonly eachMerge: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Runs a spec's tasks in waves: one run for each task, in a worktree of its own, integrated one by one onto a branch.
 * The result is one pack that is reviewed and merged like any run.
 */
export const runWaves = async (prepared: Prepared, watch: Watcher, options: WavesOptions): Promise<Result> =>
  new WaveRun(await takeSlot(prepared), watch, options).go();

/** Runs at a time: no more than what is left of the week's quota could carry to their limits, and one at least. */
function withinQuota({ profile, plan, home, request }: Prepared, concurrency: number): number {
  if (profile.requestsPerWeek === undefined) return concurrency;
  const { used } = new QuotaBook(request.env).week(home.account, request.now().getTime());
  const room = Math.floor((profile.requestsPerWeek - used) / plan.limits.steps);
  return Math.max(1, Math.min(concurrency, room));
}

class WaveRun {
  readonly #prepared: Prepared;
  readonly #options: WavesOptions;
  readonly #schedule: Schedule;
  readonly #integration: Integration;

  constructor(prepared: Prepared, watch: Watcher, options: WavesOptions) {
    this.#prepared = prepared;
    this.#options = options;
    this.#schedule = schedule(prepared.request.spec);
    const { eachMerge, signal } = options;
    const how = { schedule: this.#schedule, eachMerge, ...(signal === undefined ? {} : { signal }) };
    this.#integration = new Integration(prepared, watch, how);
  }

  async go(): Promise<Result> {
    const integration = this.#integration;
    let outcome: Outcome = 'internal-error';
    let reason: string | undefined;
    integration.begin();
    try {
      await integration.ready();
      for (const wave of this.#schedule.waves) await this.#wave(wave);
      outcome = integration.outcome();
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
      if (this.#options.signal?.aborted === true) outcome = 'cancelled';
    } finally {
      integration.close();
    }
    return integration.finish(outcome, reason);
  }

  /** All runs of a wave, bounded; then integration. */
  async #wave(wave: readonly number[]): Promise<void> {
    const { lines } = this.#integration;
    const todo = wave.filter((task) => !lines.has(task));
    const queue = [...todo];
    const results = new Map<number, Result>();
    const worker = async (): Promise<void> => {
      for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
        if (this.#options.signal?.aborted === true) return;
        const result = await this.#runTask(task);
        if (result !== undefined) results.set(task, result);
      }
    };
    const most = withinQuota(this.#prepared, this.#options.concurrency);
    await Promise.all(Array.from({ length: Math.min(most, todo.length) }, worker));
    await this.#integration.take(todo, results);
    await this.#tidy(todo);
  }

  /** What is on the integration branch needs no worktree of its own any more; its patch stays. */
  async #tidy(tasks: readonly number[]): Promise<void> {
    const { repo, now } = this.#prepared.request;
    for (const task of tasks) {
      const line = this.#integration.lines.get(task);
      if (line?.state === 'integrated') await discard(repo, findRun(repo.commonDir, line.run), now());
    }
  }

  async #runTask(task: number): Promise<Result | undefined> {
    const { request } = this.#prepared;
    const integration = this.#integration;
    const spec = specOfTask(request.spec, task);
    const id = newId(request.now());
    integration.say({ type: 'task', task, run: id, state: 'started' });
    try {
      const options = { ...request.options, base: integration.tip, id, parent: this.#prepared.plan.run };
      const prepared = await prepare({ ...request, spec, specText: renderSpec(spec), options, uncommitted: [] });
      const { signal } = this.#options;
      const result = await execute(prepared, () => {}, signal === undefined ? {} : { signal });
      integration.say({ type: 'task', task, run: id, state: result.outcome });
      return result;
    } catch (error) {
      integration.say({ type: 'task', task, run: id, state: 'refused' });
      const why = refusalOf(error)?.message ?? String(error);
      integration.lines.set(task, { task, run: id, state: 'failed', why });
      return undefined;
    }
  }
}
