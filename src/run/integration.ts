import { join } from 'node:path';
import type { Outcome } from '../errors.ts';
import { checkGate } from '../gate/gate.ts';
import { readKnownKeys } from '../gate/known-keys.ts';
import type { Seen } from '../gate/tripwire/tripwire.ts';
import { applyChange, changesBetween, IDENTITY, writePatch } from '../git/change.ts';
import { at, git } from '../git/git.ts';
import type { RunTree } from '../git/worktree.ts';
import type { NewEvent } from '../ledger/events.ts';
import { type Result, resultSchema, type TaskLine } from '../review/result.ts';
import { dependants, type Schedule } from '../schedule/waves.ts';
import type { Spec } from '../spec/model.ts';
import { type Check, type Compared, compare, isDamage, ok, verdictOfRows } from '../verify/compare.ts';
import { baselineNotes, confirmRed } from '../verify/settle.ts';
import { aroundOf, settleAt } from './around.ts';
import { assemble, type Gathered } from './assemble.ts';
import { Enclosure } from './enclosure.ts';
import { type Judge, judgeOf } from './judge.ts';
import { outcomeOfTasks } from './outcome.ts';
import { readOutside, watchRun } from './outside.ts';
import { keepReady } from './ready.ts';
import { RunRecord, type Watcher } from './record.ts';
import { type Prepared, wallsOf } from './run.ts';
import { openTree, provideTree } from './tree.ts';

/** How far a run in waves has come: plain data, so that another process can go on with it. */
export interface Integrated {
  readonly tip: string;
  readonly lines: readonly TaskLine[];
  /** The whole verification on the base, and on the tip. */
  readonly before?: readonly Check[];
  readonly checks?: readonly Check[];
  /** What was found to be flaky: why, by the place of its command in the verification. */
  readonly flaky?: Readonly<Record<string, string>>;
}

/** What integration needs of a task's run. */
export type Ended = Pick<Result, 'run' | 'outcome' | 'title' | 'commit'>;

export interface IntegrationOptions {
  readonly schedule: Schedule;
  /** Verify after each merge instead of once for each wave. */
  readonly eachMerge: boolean;
  readonly signal?: AbortSignal;
}

/** One change that was integrated: the task, its run, and the commit. */
interface Merged {
  readonly task: number;
  readonly commit: string;
}

/**
 * The branch on which the changes of a run in waves come together, one by one. The tip gets the whole verification;
 * what breaks it is found by bisection and set aside by name.
 */
export class Integration {
  readonly lines = new Map<number, TaskLine>();
  readonly #prepared: Prepared;
  readonly #record: RunRecord;
  readonly #options: IntegrationOptions;
  readonly #startedAt: string;
  readonly #judge: Judge;
  #tip: string;
  #before: readonly Check[] | undefined;
  /** The verification on the tip, as far as it was looked at: what a change must not make worse. */
  #checks: readonly Check[] | undefined;
  #flaky: Record<string, string> = {};
  /** The wave at work: where it began, and what came in since. */
  #waveBase: string | undefined;
  #merged: Merged[] = [];

  constructor(prepared: Prepared, watch: Watcher, options: IntegrationOptions) {
    const { plan, request } = prepared;
    this.#prepared = prepared;
    this.#record = new RunRecord(prepared, watch);
    this.#options = options;
    this.#startedAt = request.now().toISOString();
    this.#tip = plan.base;
    this.#judge = judgeOf(prepared, this.#record.folder, options.signal);
  }

  get tip(): string {
    return this.#tip;
  }

  get state(): Integrated {
    const before = this.#before === undefined ? {} : { before: this.#before };
    const checks = this.#checks === undefined ? {} : { checks: this.#checks };
    return { tip: this.#tip, lines: [...this.lines.values()], flaky: this.#flaky, ...before, ...checks };
  }

  /** Puts the run on record. */
  begin(): void {
    this.#record.begin();
  }

  say(event: NewEvent): void {
    this.#record.say(event);
  }

  /** The worktree, and the whole verification on the base; or where another process had come to. */
  async ready(from?: Integrated): Promise<void> {
    const { plan, request } = this.#prepared;
    const tree = { ...at(request.repo, plan.dir), branch: plan.branch, base: plan.base };
    await this.#record.step({ id: 'worktree', title: 'Make the worktree' }, () => openTree(this.#prepared, tree));
    await this.#provide(tree);
    if (from === undefined) {
      if (request.options.baseline) this.#before = await this.#baselineAt(plan.base, 'baseline');
      this.#checks = this.#before;
      return;
    }
    [this.#tip, this.#checks, this.#before] = [from.tip, from.checks, from.before];
    this.#flaky = { ...from.flaky };
    for (const line of from.lines) this.lines.set(line.task, line);
  }

  /** Takes the changes of a whole wave in, in the order of its tasks. */
  async take(wave: readonly number[], results: ReadonlyMap<number, Ended>): Promise<void> {
    for (const task of wave) await this.add(task, results.get(task));
    await this.settle();
  }

  /** Takes one change of a wave in; tasks come in their order. A failure stops what depends on it, and not the rest. */
  async add(task: number, result: Ended | undefined): Promise<void> {
    if (this.lines.has(task)) return;
    // What nothing could verify alone is verified with the whole.
    const good = result?.outcome === 'succeeded' || result?.outcome === 'unverified';
    if (result === undefined || !good || result.commit === undefined) {
      this.#fail(task, result?.outcome ?? 'cancelled', result?.run ?? '');
      return;
    }
    const before = this.#tip;
    this.#waveBase ??= before;
    if (!(await this.#integrate(result, task))) return;
    const merge = { task, commit: result.commit };
    if (this.#options.eachMerge) await this.#keepGreen(before, [merge]);
    else this.#merged.push(merge);
  }

  /** The end of a wave: the whole verification on its tip. */
  async settle(): Promise<void> {
    // What was refused before it began stops its dependants too.
    for (const line of [...this.lines.values()]) if (line.state === 'failed') this.#skipDependants(line.task);
    await this.#keepGreen(this.#waveBase ?? this.#tip, this.#merged);
    this.#waveBase = undefined;
    this.#merged = [];
  }

  #fail(task: number, outcome: Outcome, run: string): void {
    this.lines.set(task, { task, run, state: 'failed', outcome, why: outcome });
  }

  #skipDependants(task: number): void {
    for (const other of dependants(this.#options.schedule.edges, task))
      if (!this.lines.has(other))
        this.lines.set(other, { task: other, run: '', state: 'not-started', why: `needs task ${task}` });
  }

  async #integrate(result: Ended, task: number): Promise<boolean> {
    const message = `Task ${task}: ${result.title}\n\nKimi-Dispatch-Run: ${result.run}`;
    const next = await this.#pick(this.#tip, result.commit ?? '', message);
    if ('conflicts' in next) {
      const why = `conflicts in ${next.conflicts.join(', ')}`;
      this.lines.set(task, { task, run: result.run, state: 'set-aside', outcome: 'conflict', why });
      this.#skipDependants(task);
      return false;
    }
    this.#tip = next.tip;
    this.lines.set(task, { task, run: result.run, state: 'integrated', why: '' });
    return true;
  }

  /** One change on top of a tip, as a commit that is made without a worktree. */
  async #pick(tip: string, commit: string, message: string): Promise<{ tip: string } | { conflicts: string[] }> {
    const { repo } = this.#prepared.request;
    const merged = await applyChange(repo, { base: `${commit}^`, commit, tip });
    if ('conflicts' in merged) return { conflicts: merged.conflicts };
    return { tip: await git(repo, ['commit-tree', merged.tree, '-p', tip, '-m', message], { env: IDENTITY }) };
  }

  /**
   * While a tip is worse than where its wave began: finds the first merge that makes it so by bisection, sets it aside,
   * and builds the rest again. What was red already, or waits for a later wave, is nobody's fault.
   */
  async #keepGreen(before: string, merged: Merged[]): Promise<void> {
    if (merged.length === 0) return;
    const isGreen = async (tip: string) => isNoWorse(await this.#compare(before, tip, await this.#checkAt(tip)));
    for (;;) {
      const checks = await this.#checkAt(this.#tip);
      if (!checks.every(ok)) this.#checks ??= await this.#baselineAt(before);
      const rows = await this.#compare(before, this.#tip, checks);
      if (isNoWorse(rows)) {
        this.#checks = rows.map((row) => row.after);
        for (const [index, { verdict, why = '' }] of rows.entries()) if (verdict === 'flaky') this.#flaky[index] = why;
        return;
      }
      const tips = await this.#tips(before, merged);
      this.#setAside(merged.splice(await firstRed(tips, isGreen), 1));
      this.#tip = (await this.#tips(before, merged)).at(-1) ?? before;
      if (merged.length === 0) return;
    }
  }

  /** Files and dependencies for a worker who may be sent to this worktree later. */
  async #provide(tree: RunTree): Promise<void> {
    const { request, plan, sandbox } = this.#prepared;
    const enclosure = sandbox.on ? new Enclosure(request.root, plan.run, wallsOf(this.#prepared)) : undefined;
    try {
      const how = { enclosure, signal: this.#options.signal };
      keepReady(this.#record.folder, await this.#watched(() => provideTree(this.#prepared, tree, how)));
    } finally {
      enclosure?.close();
    }
  }

  async #checkAt(tip: string, label = `tip-${tip.slice(0, 8)}`): Promise<Check[]> {
    const checks = await this.#watched(() => this.#judge.check(tip, { logs: this.#record.folder, label }));
    // What was cut short says nothing about any change.
    this.#options.signal?.throwIfAborted();
    return checks;
  }

  /** What a tip is compared with; red counts when it is red twice. */
  async #baselineAt(commit: string, label?: string): Promise<Check[]> {
    const checks = await this.#checkAt(commit, label);
    return this.#watched(() => confirmRed(checks, (index) => this.#judge.again(commit, index, this.#record.folder)));
  }

  /** A tip beside where its wave began. */
  async #compare(from: string, to: string, after: readonly Check[]): Promise<Compared[]> {
    const { request } = this.#prepared;
    const call = { repo: request.repo, spec: this.#spec, from, to, before: this.#checks, after };
    const rows = await this.#watched(() => settleAt(this.#judge, { ...call, logs: this.#record.folder }));
    this.#options.signal?.throwIfAborted();
    return rows;
  }

  /** The spec of what came in: a task that was set aside did not do what its verbs say. */
  get #spec(): Spec {
    const { spec } = this.#prepared.request;
    const tasks = spec.tasks.map((task) =>
      this.lines.get(task.number)?.state === 'integrated'
        ? task
        : { ...task, files: task.files.map((file) => ({ ...file, verb: undefined })) },
    );
    return { ...spec, tasks };
  }

  /** Kimi is watched by the runs of the tasks; this is for what the whole runs itself. */
  #watched<T>(act: () => Promise<T>): Promise<T> {
    const { request, plan, sandbox } = this.#prepared;
    return watchRun({ repo: request.repo, env: request.env, run: plan.run, walled: sandbox.on }, act);
  }

  #setAside(merged: readonly Merged[]): void {
    for (const { task } of merged) {
      const run = this.lines.get(task)?.run ?? '';
      const why = 'breaks the verification of the whole';
      this.lines.set(task, { task, run, state: 'set-aside', outcome: 'verification-failed', why });
      this.#skipDependants(task);
    }
  }

  async #tips(before: string, merged: readonly Merged[]): Promise<string[]> {
    const tips: string[] = [];
    let tip = before;
    for (const { task, commit } of merged) {
      const message = `Task ${task}\n\nKimi-Dispatch-Run: ${this.lines.get(task)?.run ?? ''}`;
      const next = await this.#pick(tip, commit, message);
      if ('tip' in next) tip = next.tip;
      tips.push(tip);
    }
    return tips;
  }

  /** Success needs every task, and on the tip of the last wave everything that the spec asks for. */
  async outcome(): Promise<Outcome> {
    if (this.#options.signal?.aborted === true) return 'cancelled';
    const outcome = outcomeOfTasks([...this.lines.values()]);
    if (outcome !== 'succeeded') return outcome;
    const verdict = verdictOfRows(await this.#whole());
    if (verdict === 'failed') return 'verification-failed';
    if (this.#outside.violations.length > 0) return 'out-of-scope';
    return verdict === 'verified' ? outcome : 'unverified';
  }

  get #outside(): Seen {
    return readOutside({ repo: this.#prepared.request.repo, run: this.#prepared.plan.run });
  }

  /** The last tip beside the base. Each wave looked twice already; what it found to be flaky stays so. */
  async #whole(): Promise<Compared[]> {
    const { plan, request } = this.#prepared;
    const [from, to] = [plan.base, this.#tip];
    if (from === to) return [];
    const around = await aroundOf({ repo: request.repo, spec: this.#spec, from, to });
    return compare(this.#before, this.#checks ?? [], around).map((row, index) => {
      const why = this.#flaky[index];
      return why !== undefined && ok(row.after) ? { ...row, verdict: 'flaky', why } : row;
    });
  }

  close(): Promise<void> {
    return this.#judge.close();
  }

  /** Writes the result of the whole: one pack, one line for each task. */
  async finish(outcome: Outcome, reason: string | undefined): Promise<Result> {
    const { plan, request } = this.#prepared;
    const { repo } = request;
    const changes = await changesBetween(repo, plan.base, this.#tip);
    const patch = join(this.#record.folder, 'changes.patch');
    await writePatch(repo, { from: plan.base, to: this.#tip, file: patch });
    await git(repo, ['update-ref', `refs/heads/${plan.branch}`, this.#tip]);
    await git(at(repo, plan.dir), ['checkout', '-q', '--force', plan.branch]);
    const known = readKnownKeys(request.env);
    const gate = await checkGate(repo, this.#spec, { changes, base: plan.base, commit: this.#tip, known });
    const gathered: Gathered = {
      provisioned: [],
      rows: await this.#whole(),
      notes: baselineNotes(this.#before ?? []),
      gate,
      outside: this.#outside,
      collected: { commit: this.#tip, changes, strays: [], left: [], ignored: [], unfiltered: new Map() },
    };
    const ended = { outcome, reason, startedAt: this.#startedAt, folder: this.#record.folder, rounds: 0 };
    const lines = [...this.lines.values()].sort((left, right) => left.task - right.task);
    const result = resultSchema.parse({ ...assemble(this.#prepared, gathered, ended), tasks: lines });
    this.#record.end(result, this.#tip);
    return result;
  }
}

const isNoWorse = (rows: readonly Compared[]): boolean => rows.every(({ verdict }) => !isDamage(verdict));

/** Where the tips turn red, by bisection; the last one is known to be. */
async function firstRed(tips: readonly string[], isGreen: (tip: string) => Promise<boolean>): Promise<number> {
  let [good, bad] = [-1, tips.length - 1];
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (await isGreen(tips[middle] ?? '')) good = middle;
    else bad = middle;
  }
  return bad;
}
