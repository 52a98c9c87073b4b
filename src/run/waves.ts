import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Outcome, refusalOf } from '../errors.ts';
import { checkGate } from '../gate/gate.ts';
import { git, gitAnswer } from '../git/git.ts';
import { changesBetween, IDENTITY, writePatch } from '../git/worktree.ts';
import type { NewEvent } from '../ledger/events.ts';
import { append, findRun, runsFolder, writeWhole } from '../ledger/store.ts';
import { ownerHere } from '../process/alive.ts';
import { type ProcessCall, runProcess } from '../process/run.ts';
import { fullReport } from '../review/present.ts';
import { type Result, resultSchema, type TaskLine } from '../review/result.ts';
import { discard } from '../review/undo.ts';
import { dependants, type Schedule, schedule, specOfTask } from '../schedule/waves.ts';
import type { Command } from '../spec/model.ts';
import { renderSpec } from '../spec/render.ts';
import { type Check, type Compared, compare, verified } from '../verify/compare.ts';
import { verify } from '../verify/verify.ts';
import { assemble, type Gathered } from './assemble.ts';
import { Enclosure, keepWalls } from './enclosure.ts';
import { execute, type Watcher } from './execute.ts';
import { commandsOf } from './plan.ts';
import { provision } from './provision.ts';
import { keepsDependencies, newId, type Prepared, prepare, runEnvironment, wallsOf } from './run.ts';
import { openTree, takeSlot } from './tree.ts';

export interface WavesOptions {
  readonly concurrency: number;
  /** Verify after each merge instead of once for each wave. */
  readonly eachMerge: boolean;
  readonly signal?: AbortSignal;
}

/** One change that was integrated: the task, its run, and the tip after it. */
interface Merged {
  readonly task: number;
  readonly commit: string;
}

/**
 * Runs a spec's tasks in waves: one run for each task, in a worktree of its own, integrated one by one onto a branch.
 * The tip of a wave gets the whole verification; what breaks it is found by bisection and set aside by name. The
 * result is one pack that is reviewed and merged like any run.
 */
export const runWaves = async (prepared: Prepared, watch: Watcher, options: WavesOptions): Promise<Result> =>
  new WaveRun(await takeSlot(prepared), watch, options).go();

class WaveRun {
  readonly #prepared: Prepared;
  readonly #watch: Watcher;
  readonly #options: WavesOptions;
  readonly #folder: string;
  readonly #schedule: Schedule;
  readonly #lines = new Map<number, TaskLine>();
  readonly #startedAt: string;
  readonly #enclosure: Enclosure | undefined;
  #tip: string;
  #before: Check[] | undefined;
  #rows: Compared[] = [];
  #provisioned: readonly string[] = [];

  constructor(prepared: Prepared, watch: Watcher, options: WavesOptions) {
    const { plan, request } = prepared;
    this.#prepared = prepared;
    this.#watch = watch;
    this.#options = options;
    this.#folder = join(runsFolder(request.repo.commonDir), plan.run);
    this.#schedule = schedule(request.spec);
    this.#startedAt = request.now().toISOString();
    this.#tip = plan.base;
    this.#enclosure = prepared.sandbox.on ? new Enclosure(request.root, plan.run, wallsOf(prepared)) : undefined;
  }

  async go(): Promise<Result> {
    let outcome: Outcome = 'internal-error';
    let reason: string | undefined;
    this.#begin();
    try {
      await this.#ready();
      for (const wave of this.#schedule.waves) await this.#wave(wave);
      outcome = this.#outcome();
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
      if (this.#options.signal?.aborted === true) outcome = 'cancelled';
    } finally {
      this.#enclosure?.close();
    }
    return this.#finish(outcome, reason);
  }

  #begin(): void {
    const { plan, request } = this.#prepared;
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    writeWhole(join(this.#folder, 'spec.md'), request.specText);
    writeWhole(join(this.#folder, 'plan.json'), JSON.stringify(plan));
    if (this.#enclosure !== undefined) keepWalls(this.#folder, wallsOf(this.#prepared));
    const { run: id, title, digest, base, branch, dir, home } = plan;
    this.#say({ type: 'run-started', v: 1, id, title, digest, base, branch, dir, home, ...ownerHere() });
  }

  #say(event: NewEvent): void {
    this.#watch(append(this.#folder, event, this.#prepared.request.now()));
  }

  /** The integration worktree, and the whole verification on the base. */
  async #ready(): Promise<void> {
    const { plan, request } = this.#prepared;
    this.#say({ type: 'step-started', step: 'worktree', title: 'Make the worktree' });
    const started = performance.now();
    const { dir, branch, base } = plan;
    await openTree(this.#prepared, { dir, env: request.repo.env, branch, base });
    this.#say({ type: 'step-ended', step: 'worktree', ms: Math.round(performance.now() - started) });
    const place = {
      dir: plan.dir,
      env: runEnvironment(request.env),
      marker: plan.run,
      log: join(this.#folder, 'provision.log'),
    };
    const made = await provision(request.repo, this.#prepared.provision, place, keepsDependencies(this.#prepared));
    this.#provisioned = made.paths;
    if (this.#enclosure !== undefined) keepWalls(this.#folder, this.#enclosure.protect(made.readOnly));
    if (request.options.baseline) this.#before = await this.#check(this.#commands(), 'baseline');
  }

  #commands(): Command[] {
    return commandsOf(this.#prepared.request.spec);
  }

  async #check(commands: readonly Command[], label: string): Promise<Check[]> {
    const { plan, request } = this.#prepared;
    const enclosure = this.#enclosure;
    const { signal } = this.#options;
    const checks = await verify(commands, {
      dir: plan.dir,
      env: runEnvironment(request.env),
      marker: plan.run,
      logs: this.#folder,
      label,
      ...(signal === undefined ? {} : { signal }),
      run: enclosure === undefined ? runProcess : (call: ProcessCall) => enclosure.verification(call),
    });
    const keep = this.#provisioned.flatMap((path) => ['-e', `/${path}`]);
    await git({ dir: plan.dir, env: request.repo.env }, ['clean', '-fdq', ...keep], { quiet: true });
    return checks;
  }

  /** All runs of a wave, bounded; then integration one by one; then the tip is verified, and bisected when red. */
  async #wave(wave: readonly number[]): Promise<void> {
    const todo = wave.filter((task) => !this.#lines.has(task));
    const queue = [...todo];
    const results = new Map<number, Result>();
    const worker = async (): Promise<void> => {
      for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
        if (this.#options.signal?.aborted === true) return;
        const result = await this.#runTask(task);
        if (result !== undefined) results.set(task, result);
      }
    };
    await Promise.all(Array.from({ length: Math.min(this.#options.concurrency, todo.length) }, worker));
    const before = this.#tip;
    const merged: Merged[] = [];
    for (const task of todo) {
      const result = results.get(task);
      if (result?.outcome !== 'succeeded' || result.commit === undefined) {
        this.#fail(task, result?.outcome ?? 'cancelled', result?.run ?? '');
        continue;
      }
      const next = await this.#integrate(result, task);
      if (next === undefined) continue;
      merged.push({ task, commit: result.commit });
      if (this.#options.eachMerge) await this.#keepGreen(before, merged);
    }
    if (!this.#options.eachMerge && merged.length > 0) await this.#keepGreen(before, merged);
    await this.#tidy(todo);
  }

  /** What is on the integration branch needs no worktree of its own any more; its patch stays. */
  async #tidy(tasks: readonly number[]): Promise<void> {
    const { repo, now } = this.#prepared.request;
    for (const task of tasks) {
      const line = this.#lines.get(task);
      if (line?.state === 'integrated') await discard(repo, findRun(repo.commonDir, line.run), now());
    }
  }

  async #runTask(task: number): Promise<Result | undefined> {
    const { request } = this.#prepared;
    const spec = specOfTask(request.spec, task);
    const id = newId(request.now());
    this.#say({ type: 'task', task, run: id, state: 'started' });
    try {
      const options = { ...request.options, base: this.#tip, id, parent: this.#prepared.plan.run };
      const prepared = await prepare({ ...request, spec, specText: renderSpec(spec), options, uncommitted: [] });
      const { signal } = this.#options;
      const result = await execute(prepared, () => {}, signal === undefined ? {} : { signal });
      this.#say({ type: 'task', task, run: id, state: result.outcome });
      return result;
    } catch (error) {
      this.#say({ type: 'task', task, run: id, state: 'refused' });
      const why = refusalOf(error)?.message ?? String(error);
      this.#lines.set(task, { task, run: id, state: 'failed', why });
      return undefined;
    }
  }

  /** A failure stops what depends on it, and not the rest. */
  #fail(task: number, why: string, run: string): void {
    if (!this.#lines.has(task)) this.#lines.set(task, { task, run, state: 'failed', why });
    this.#skipDependants(task);
  }

  #skipDependants(task: number): void {
    for (const other of dependants(this.#schedule.edges, task))
      if (!this.#lines.has(other))
        this.#lines.set(other, { task: other, run: '', state: 'not-started', why: `needs task ${task}` });
  }

  async #integrate(result: Result, task: number): Promise<string | undefined> {
    const commit = result.commit ?? '';
    const next = await this.#pick(
      this.#tip,
      commit,
      `Task ${task}: ${result.title}\n\nKimi-Dispatch-Run: ${result.run}`,
    );
    if (next.tip === undefined) {
      this.#lines.set(task, {
        task,
        run: result.run,
        state: 'set-aside',
        why: `conflicts in ${next.conflicts.join(', ')}`,
      });
      this.#skipDependants(task);
      return undefined;
    }
    this.#tip = next.tip;
    this.#lines.set(task, { task, run: result.run, state: 'integrated', why: '' });
    return next.tip;
  }

  /** One change on top of a tip, as a commit that is made without a worktree. */
  async #pick(tip: string, commit: string, message: string): Promise<{ tip: string | undefined; conflicts: string[] }> {
    const { repo } = this.#prepared.request;
    const args = ['merge-tree', '--write-tree', '--name-only', '--no-messages', '-z', tip, commit];
    const answer = await gitAnswer(repo, args, { answers: [1] });
    const [tree = '', ...conflicts] = answer.stdout.split('\0').filter((part) => part !== '');
    if (answer.code !== 0) return { tip: undefined, conflicts };
    const made = await git(repo, ['commit-tree', tree, '-p', tip, '-m', message], { env: IDENTITY });
    return { tip: made, conflicts: [] };
  }

  async #isGreen(tip: string): Promise<boolean> {
    const { plan, request } = this.#prepared;
    await git({ dir: plan.dir, env: request.repo.env }, ['checkout', '-q', '--detach', '--force', tip], {
      quiet: true,
    });
    this.#rows = compare(this.#before, await this.#check(this.#commands(), `tip-${tip.slice(0, 8)}`));
    return verified(this.#rows);
  }

  /** While the tip is red: finds the first merge that breaks it by bisection, sets it aside, and builds the rest again. */
  async #keepGreen(before: string, merged: Merged[]): Promise<void> {
    while (merged.length > 0 && !(await this.#isGreen(this.#tip))) {
      const tips = await this.#tips(before, merged);
      let [good, bad] = [-1, merged.length - 1];
      while (bad - good > 1) {
        const middle = Math.floor((good + bad) / 2);
        if (await this.#isGreen(tips[middle] ?? before)) good = middle;
        else bad = middle;
      }
      const [culprit] = merged.splice(bad, 1);
      if (culprit === undefined) return;
      const line = this.#lines.get(culprit.task);
      this.#lines.set(culprit.task, {
        task: culprit.task,
        run: line?.run ?? '',
        state: 'set-aside',
        why: 'breaks the verification of the whole',
      });
      this.#skipDependants(culprit.task);
      this.#tip = (await this.#tips(before, merged)).at(-1) ?? before;
    }
    if (merged.length === 0) this.#tip = before;
  }

  async #tips(before: string, merged: readonly Merged[]): Promise<string[]> {
    const tips: string[] = [];
    let tip = before;
    for (const { task, commit } of merged) {
      tip =
        (await this.#pick(tip, commit, `Task ${task}\n\nKimi-Dispatch-Run: ${this.#lines.get(task)?.run ?? ''}`)).tip ??
        tip;
      tips.push(tip);
    }
    return tips;
  }

  /** The worst of all tasks by a fixed order; one that was set aside or not started is not success. */
  #outcome(): Outcome {
    if (this.#options.signal?.aborted === true) return 'cancelled';
    const lines = [...this.#lines.values()];
    if (lines.every((line) => line.state === 'integrated')) return 'succeeded';
    if (lines.some((line) => line.state === 'set-aside' && line.why.startsWith('conflicts'))) return 'conflict';
    if (lines.some((line) => line.state === 'set-aside')) return 'verification-failed';
    const worst = WORST.find((outcome) => lines.some((line) => line.why === outcome));
    return worst ?? 'agent-failed';
  }

  async #finish(outcome: Outcome, reason: string | undefined): Promise<Result> {
    const { plan, request } = this.#prepared;
    const { repo } = request;
    const changes = await changesBetween(repo, plan.base, this.#tip);
    const patch = join(this.#folder, 'changes.patch');
    await writePatch(repo, { from: plan.base, to: this.#tip, file: patch });
    const place = { dir: plan.dir, env: repo.env };
    await git(repo, ['update-ref', `refs/heads/${plan.branch}`, this.#tip], { quiet: true });
    await git(place, ['checkout', '-q', '--force', plan.branch], { quiet: true });
    const gate = await checkGate(repo, request.spec, { changes, base: plan.base, commit: this.#tip });
    const gathered: Gathered = {
      provisioned: [],
      rows: this.#rows,
      notes: [],
      gate,
      collected: { commit: this.#tip, changes, strays: [] },
    };
    const ended = { outcome, reason, startedAt: this.#startedAt, folder: this.#folder, rounds: 0 };
    const lines = [...this.#lines.values()].sort((left, right) => left.task - right.task);
    const result = resultSchema.parse({ ...assemble(this.#prepared, gathered, ended), tasks: lines });
    writeWhole(join(this.#folder, 'result.json'), `${JSON.stringify(result, null, 2)}\n`);
    writeWhole(join(this.#folder, 'report.md'), fullReport(result));
    this.#say({ type: 'run-ended', outcome, commit: this.#tip });
    return result;
  }
}

const WORST: readonly Outcome[] = [
  'internal-error',
  'cancelled',
  'agent-failed',
  'out-of-scope',
  'verification-failed',
  'step-limit',
  'deadline',
  'idle-timeout',
  'no-first-output',
  'output-limit',
  'blocked',
  'no-changes',
];
