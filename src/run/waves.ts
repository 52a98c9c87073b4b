import pLimit from 'p-limit';
import { type Outcome, refusalOf } from '../errors.ts';
import { releaseSlot } from '../git/pool.ts';
import { listRuns } from '../ledger/store.ts';
import { QuotaBook } from '../profile/quota.ts';
import type { Result } from '../review/result.ts';
import { discardAll } from '../review/undo.ts';
import { type Schedule, schedule, specOfTask } from '../schedule/waves.ts';
import { renderSpec } from '../spec/render.ts';
import { execute, type Limiter } from './execute.ts';
import { Integration } from './integration.ts';
import { planProvision } from './provision.ts';
import type { Watcher } from './record.ts';
import { type Known, newId, type Prepared, prepare } from './run.ts';
import { moveOwnTask, stateAfter } from './task-link.ts';
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
  readonly #tidying: Promise<void>[] = [];

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
    await moveOwnTask(this.#prepared, 'in_progress');
    try {
      await integration.ready();
      for (const wave of this.#schedule.waves) await this.#wave(wave);
      outcome = await integration.outcome();
    } catch (error) {
      if (this.#options.signal?.aborted === true) outcome = 'cancelled';
      else reason = error instanceof Error ? error.message : String(error);
    } finally {
      await integration.close();
    }
    await moveOwnTask(this.#prepared, stateAfter(outcome));
    const result = await integration.finish(outcome, reason);
    await Promise.all(this.#tidying);
    return result;
  }

  /** All runs of a wave, bounded; then integration. */
  async #wave(wave: readonly number[]): Promise<void> {
    const { lines } = this.#integration;
    const todo = wave.filter((task) => !lines.has(task));
    const most = withinQuota(this.#prepared, this.#options.concurrency);
    // While so many Kimis work, as many tasks are made ready or looked at.
    const [kimis, tasks] = [pLimit(most), pLimit(2 * most)];
    const known = await this.#known();
    const run = async (task: number): Promise<Result | undefined> => {
      if (this.#options.signal?.aborted === true) return undefined;
      return this.#runTask(task, { known, limiter: (work) => kimis(work) });
    };
    const runs = todo.map((task) => tasks(() => run(task)));
    // Each comes in as soon as those before it are in, while the others still work.
    const givenBack: Promise<void>[] = [];
    for (const [index, task] of todo.entries()) {
      const result = await runs[index];
      await this.#integration.add(task, result);
      if (result !== undefined && lines.get(task)?.state === 'integrated') givenBack.push(this.#giveBack(result));
    }
    await this.#integration.settle();
    // What could not be tidied away waits for `discard`.
    const tidy = Promise.all(givenBack).then(() => this.#tidy(todo));
    this.#tidying.push(tidy.catch(() => undefined));
  }

  /** What is on the integration branch is over; its patch stays. */
  async #tidy(tasks: readonly number[]): Promise<void> {
    const { repo, now } = this.#prepared.request;
    const integrated = new Set(
      tasks.flatMap((task) => {
        const line = this.#integration.lines.get(task);
        return line?.state === 'integrated' ? [line.run] : [];
      }),
    );
    const runs = listRuns(repo.commonDir).filter((run) => integrated.has(run.id));
    await discardAll(repo, runs, now());
  }

  /** What is the same for all runs of a wave. */
  async #known(): Promise<Known & { base: string }> {
    const { request, profile } = this.#prepared;
    const base = this.#integration.tip;
    return { base, uncommitted: [], provision: await planProvision(request.repo, base, profile.setup) };
  }

  /** A change that came in needs its worktree no more; another task gets it. What cannot be given back now waits. */
  async #giveBack({ run: id, worktree: dir, branch, base }: Result): Promise<void> {
    const { repo } = this.#prepared.request;
    await releaseSlot(repo, { id, dir, branch, base }, false).catch(() => undefined);
  }

  async #runTask(
    task: number,
    how: { known: Known & { base: string }; limiter: Limiter },
  ): Promise<Result | undefined> {
    const { request } = this.#prepared;
    const integration = this.#integration;
    const spec = specOfTask(request.spec, task);
    const id = newId(request.now());
    integration.say({ type: 'task', task, run: id, state: 'started' });
    try {
      const options = { ...request.options, base: how.known.base, id, parent: this.#prepared.plan.run };
      const prepared = await prepare({ ...request, spec, specText: renderSpec(spec), options, known: how.known });
      const { signal } = this.#options;
      const result = await execute(prepared, () => {}, {
        limiter: how.limiter,
        ...(signal === undefined ? {} : { signal }),
      });
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
