import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { type ErrorCode, type Outcome, refusalOf, refuse } from '../errors.ts';
import { writeWhole } from '../files.ts';
import { keepCredentials } from '../flavour/credentials.ts';
import { dropHome } from '../flavour/home.ts';
import { checkGate } from '../gate/gate.ts';
import { readKnownKeys } from '../gate/known-keys.ts';
import type { Seen } from '../gate/tripwire/tripwire.ts';
import { collect } from '../git/collect.ts';
import { at } from '../git/git.ts';
import { releaseSlot } from '../git/pool.ts';
import { editedInSubmodules, type Submodule, submodulesOf } from '../git/submodules.ts';
import type { RunTree } from '../git/worktree.ts';
import type { NewEvent } from '../ledger/events.ts';
import type { TaskState } from '../mailbox/model.ts';
import { ownerHere } from '../process/alive.ts';
import { inTree } from '../process/environment.ts';
import { type Result, resultSchema } from '../review/result.ts';
import { declaredPaths } from '../spec/model.ts';
import { refusalFrom } from '../system-error.ts';
import { type Check, notStarted, ok } from '../verify/compare.ts';
import { baselineNotes, confirmRed } from '../verify/settle.ts';
import { settleAt } from './around.ts';
import { assemble, type Gathered, violationsOf } from './assemble.ts';
import { BaselineCache } from './baseline.ts';
import { Enclosure, keepWalls } from './enclosure.ts';
import { type Judge, judgeOf } from './judge.ts';
import { attemptsIn, runKimi, type Turn } from './kimi.ts';
import { lackingIn, sayLacking } from './lacking.ts';
import { notesOnLeft } from './left.ts';
import { takeOutbox } from './outbox.ts';
import { outcomeOf } from './outcome.ts';
import { forgetNotes, type OutsideCall, readOutside, watchRun } from './outside.ts';
import { commandsOf, type StepId } from './plan.ts';
import { keepReady, readReady } from './ready.ts';
import { RunRecord, type Watcher } from './record.ts';
import { type Prepared, runEnvironment, wallsOf } from './run.ts';
import { moveOwnTask, stateAfter } from './task-link.ts';
import { openTree, provideTree, takeSlot } from './tree.ts';

/** How an execution begins: from nothing, or in a run that has ended before. */
export interface Entry {
  /** Missing where Kimi has nothing to do: the worktree is collected and verified as it is. */
  readonly turn?: Turn;
  /** Set when the run exists already; `rounds` counts how often the work was sent back. */
  readonly again?: {
    readonly why: string;
    readonly rounds: number;
    readonly startedAt: string;
    /** True when its base is another one now, so that what was verified on the old one does not count. */
    readonly rebased?: boolean;
    /** What Kimi said and used before, where this time it does nothing. */
    readonly previous?: Pick<Result, 'kimi' | 'report'>;
  };
}

/** Waits until Kimi may work, and lets it: many runs share so many Kimis. */
export type Limiter = <T>(work: () => Promise<T>) => Promise<T>;

/** Carries a prepared run out. Always ends with a result on disk, whatever happens on the way. */
export async function execute(prepared: Prepared, watch: Watcher, options: Options = {}): Promise<Result> {
  const own = options.entry?.again === undefined ? await takeSlot(prepared) : prepared;
  return new Execution(own, watch, options).go();
}

interface Options {
  readonly signal?: AbortSignal;
  readonly entry?: Entry;
  readonly limiter?: Limiter;
}

class Execution {
  readonly #prepared: Prepared;
  readonly #record: RunRecord;
  readonly #signal: AbortSignal | undefined;
  readonly #entry: Entry;
  readonly #limiter: Limiter;
  readonly #tree: RunTree;
  readonly #env: Record<string, string>;
  readonly #gathered: Gathered = { provisioned: [], rows: [], notes: [] };
  readonly #startedAt: string;
  readonly #enclosure: Enclosure | undefined;
  readonly #judge: Judge;
  /** Ends Kimi when its work could not be verified; ends the judge when nothing is left to judge. */
  readonly #endKimi = new AbortController();
  readonly #endJudge = new AbortController();
  #ignored: string[] = [];
  #readOnly: string[] = [];
  /** The verification of the base, which goes on while Kimi works. */
  #base: Promise<void> = Promise.resolve();
  #working: Promise<void> = Promise.resolve();
  /** Why no command of the verification can say anything here. */
  #mute: string | undefined;
  /** True when Kimi was ended for that. */
  #cut = false;

  constructor(prepared: Prepared, watch: Watcher, options: Options) {
    const { plan, request } = prepared;
    this.#prepared = prepared;
    this.#record = new RunRecord(prepared, watch);
    this.#signal = options.signal;
    this.#limiter = options.limiter ?? ((work) => work());
    this.#entry = options.entry ?? { turn: { kind: 'first' } };
    this.#tree = { ...at(request.repo, plan.dir), branch: plan.branch, base: plan.base };
    this.#env = runEnvironment(request.env, prepared.profile);
    this.#startedAt = this.#entry.again?.startedAt ?? request.now().toISOString();
    this.#enclosure = prepared.sandbox.on ? new Enclosure(request.root, plan.run, wallsOf(prepared)) : undefined;
    this.#judge = judgeOf(prepared, this.#record.folder, either(options.signal, this.#endJudge));
  }

  async go(): Promise<Result> {
    this.#begin();
    await this.#moveTask('in_progress');
    const watch = { ...this.#outside, walled: this.#enclosure !== undefined };
    const failed = await watchRun(watch, () => this.#work()).catch((error: unknown) => {
      throw withOutside(error, readOutside(this.#outside));
    });
    this.#gathered.outside = readOutside(this.#outside);
    const outcome = failed?.outcome ?? this.#outcome();
    const reason = failed?.reason ?? (this.#cut ? this.#mute : undefined);
    const closed = this.#judge.close();
    await this.#moveTask(stateAfter(outcome));
    const result = this.#finish(outcome, reason);
    await closed;
    return result;
  }

  /** All that runs commands; says how it failed where it did. */
  async #work(): Promise<{ outcome: Outcome; reason: string } | undefined> {
    try {
      if (this.#entry.again === undefined) await this.#makeReady();
      else await this.#takeReady();
      const { turn } = this.#entry;
      if (turn !== undefined) await this.#limiter(() => this.#letWork(turn));
      await this.#step('collect', () => this.#collect());
      await this.#step('verify', () => this.#verify());
      // What its base says matters no more where nothing was verified; the watch ends after it.
      await this.#base.catch(() => undefined);
      return undefined;
    } catch (error) {
      this.#endJudge.abort();
      await this.#base.catch(() => undefined);
      const begun = this.#entry.again !== undefined || this.#gathered.attempt !== undefined;
      if (!begun && this.#signal?.aborted !== true && refusalOf(error) !== undefined) await this.#abandon(error);
      const refusal = refusalFrom(error);
      const failed = FAILED[refusal?.code ?? 'internal'] ?? 'internal-error';
      const agree =
        refusal?.code === 'unreviewed'
          ? ` Agree to it and verify: KIMI_DISPATCH_UNREVIEWED=run kimi-dispatch resume ${this.#prepared.plan.run}`
          : '';
      await this.#salvage();
      return {
        outcome: this.#signal?.aborted === true ? 'cancelled' : failed,
        reason: `${refusal?.message ?? (error instanceof Error ? error.message : String(error))}${agree}`,
      };
    } finally {
      this.#enclosure?.close();
    }
  }

  get #outside(): OutsideCall {
    const { request, plan } = this.#prepared;
    return { repo: request.repo, env: request.env, run: plan.run };
  }

  async #moveTask(to: TaskState): Promise<void> {
    this.#gathered.notes.push(...(await moveOwnTask(this.#prepared, to)));
  }

  #begin(): void {
    const { again } = this.#entry;
    if (again === undefined) this.#record.begin();
    else {
      this.#record.say({ type: 'run-reopened', why: again.why, ...ownerHere() });
      forgetNotes(this.#outside);
    }
  }

  /** The steps before Kimi, which a run does once. */
  async #makeReady(): Promise<void> {
    await this.#step('worktree', () => openTree(this.#prepared, this.#tree));
    const { repo } = this.#prepared.request;
    const submodules = await submodulesOf(repo, repo.commonDir, this.#tree.base);
    this.#gathered.notes.push(...submodules.filter((one) => one.gitDir === undefined).map(emptySubmodule));
    await this.#step('provision', () => this.#provision());
    const { provisioned } = this.#gathered;
    keepReady(this.#record.folder, { provisioned, ignored: this.#ignored, readOnly: this.#readOnly });
    await this.#beginBaseline();
  }

  /** What those steps found when the run did them. */
  async #takeReady(): Promise<void> {
    const ready = readReady(this.#record.folder);
    const { provisioned, before, readOnly, ignored } = ready;
    this.#ignored = ignored ?? [];
    Object.assign(this.#gathered, { provisioned, ...(before === undefined ? {} : { before }) });
    this.#protect(readOnly ?? []);
    if (before !== undefined && this.#entry.again?.rebased !== true) return;
    delete this.#gathered.before;
    await this.#beginBaseline();
  }

  /** What the base says soon is heard before Kimi starts; the rest is heard while it works. */
  async #beginBaseline(): Promise<void> {
    this.#base = this.#step('baseline', () => this.#baseline());
    this.#base.catch(() => undefined);
    await Promise.race([this.#base, delay(SOON_MS, undefined, { ref: false })]);
    // Only a run that has not begun can still be refused.
    if (this.#mute !== undefined && this.#entry.again === undefined) throw refuse('preflight', this.#mute, PROVIDE);
  }

  async #letWork(turn: Turn): Promise<void> {
    this.#working = this.#step('kimi', () => this.#kimi(turn));
    await this.#working;
  }

  #protect(readOnly: string[]): void {
    this.#readOnly = readOnly;
    if (this.#enclosure !== undefined) keepWalls(this.#record.folder, this.#enclosure.protect(readOnly));
  }

  async #step(id: StepId, work: () => Promise<unknown>): Promise<void> {
    const step = this.#prepared.plan.steps.find((item) => item.id === id);
    if (step?.run !== true) return;
    const cancelled = this.#signal?.aborted === true;
    if (cancelled && (id === 'kimi' || id === 'baseline' || id === 'verify')) return;
    await this.#record.step(step, work);
  }

  async #provision(): Promise<void> {
    const { provisioned, readOnly, ignored } = await provideTree(this.#prepared, this.#tree, {
      enclosure: this.#enclosure,
      signal: this.#signal,
    });
    this.#gathered.provisioned = provisioned;
    this.#ignored = ignored ?? [];
    this.#protect(readOnly ?? []);
  }

  async #baseline(): Promise<void> {
    const { plan, request, provision: provided } = this.#prepared;
    const cache = new BaselineCache(request.repo.commonDir, plan, { commands: commandsOf(request.spec), provided });
    const { folder } = this.#record;
    const again = (index: number) => this.#judge.again(plan.base, index, folder);
    const known = cache.read();
    const first = known ?? (await this.#check('baseline', plan.base, folder));
    this.#mute = whyMute(first);
    if (this.#mute !== undefined) this.#endKimi.abort();
    // Red under the load of Kimi is no proof: it is run again alone.
    if (known === undefined) await this.#working.catch(() => undefined);
    const checks = known ?? (await confirmRed(first, again));
    this.#gathered.before = checks;
    this.#gathered.notes.push(...baselineNotes(checks));
    if (checks.some((check) => !ok(check) && !check.baselineFails))
      this.#gathered.notes.push(...sayLacking(await lackingIn(request.repo, provided.copies)));
    if (this.#signal?.aborted === true || this.#endJudge.signal.aborted) return;
    cache.write(checks);
    keepReady(folder, { ...readReady(folder), before: checks });
  }

  #check(phase: 'baseline' | 'verify', commit: string, logs: string): Promise<Check[]> {
    return this.#judge.check(commit, {
      logs,
      label: phase,
      each: (check) =>
        this.#record.say({ type: 'check', phase, command: check.command, code: check.code, ms: check.durationMs }),
    });
  }

  async #kimi(turn: Turn): Promise<void> {
    const place = {
      folder: this.#record.folder,
      env: inTree(this.#env, this.#prepared.request.repo.root, this.#tree.dir),
      enclosure: this.#enclosure,
      say: (event: NewEvent) => this.#record.say(event),
      signal: either(this.#signal, this.#endKimi),
    };
    // The scanner of the gate takes a moment to load: it does so while Kimi works.
    void import('../gate/secrets.ts').catch(() => undefined);
    if (this.#prepared.plan.steps.some((step) => step.id === 'verify' && step.run)) this.#judge.prepare();
    const putBack = keepCredentials(this.#prepared.home.source);
    try {
      this.#gathered.attempt = await runKimi(this.#prepared, place, turn);
    } finally {
      this.#gathered.notes.push(...putBack());
    }
    this.#cut = this.#endKimi.signal.aborted;
    this.#gathered.notes.push(...takeOutbox(this.#prepared));
  }

  async #collect(): Promise<void> {
    const { plan, request } = this.#prepared;
    const message = [
      `${plan.title === '' ? 'Kimi run' : plan.title}\n`,
      `Kimi-Dispatch-Run: ${plan.run}`,
      `Kimi-Dispatch-Spec: sha256:${plan.digest}`,
      `Kimi-Version: ${plan.kimi.version}`,
    ].join('\n');
    const collected = await collect(this.#tree, {
      message,
      commonDir: request.repo.commonDir,
      scratch: join(this.#record.folder, 'scratch'),
      provisioned: this.#gathered.provisioned,
      declared: declaredPaths(request.spec),
      ignoredBefore: this.#ignored,
      patch: join(this.#record.folder, 'changes.patch'),
      known: this.#entry.again !== undefined,
      most: this.#prepared.profile.diskMegabytes * 1024 * 1024,
    });
    this.#gathered.collected = collected;
    const known = readKnownKeys(request.env);
    const gate = await checkGate(request.repo, request.spec, { ...collected, base: plan.base, known });
    const edited = await editedInSubmodules(this.#tree, request.repo.commonDir, plan.base);
    this.#gathered.gate = gate;
    this.#gathered.notes.push(...collected.strays, ...notesOnLeft(collected, edited));
  }

  async #verify(): Promise<void> {
    const { collected } = this.#gathered;
    if (collected === undefined || collected.changes.length === 0) {
      this.#endJudge.abort();
      return;
    }
    await this.#base;
    const logs = join(this.#record.folder, `attempt-${attemptsIn(this.#record.folder)}`);
    const { plan, request } = this.#prepared;
    const after = await this.#check('verify', collected.commit, logs);
    this.#gathered.rows = await settleAt(this.#judge, {
      repo: request.repo,
      spec: request.spec,
      from: plan.base,
      to: collected.commit,
      before: this.#gathered.before,
      after,
      logs,
      allowedTests: request.options.allowedTests ?? [],
    });
  }

  #outcome(): Outcome {
    const { attempt, collected, rows } = this.#gathered;
    if (this.#cut && this.#signal?.aborted !== true) return 'unverified';
    return outcomeOf({
      cancelled: this.#signal?.aborted === true,
      attempt,
      review: this.#prepared.plan.review === true,
      changed: (collected?.changes ?? []).length > 0,
      rows,
      violations: violationsOf(this.#gathered).length,
    });
  }

  /** A refusal before Kimi leaves nothing behind but its record. */
  async #abandon(error: unknown): Promise<never> {
    const { plan, request } = this.#prepared;
    await this.#judge.close();
    await releaseSlot(request.repo, { id: plan.run, ...this.#tree }, true);
    dropHome(plan.home);
    this.#record.say({ type: 'run-ended', outcome: 'internal-error' });
    this.#record.say({ type: 'discarded' });
    throw error;
  }

  /** After a failure of ours the work is still saved where that is possible. */
  async #salvage(): Promise<void> {
    if (this.#gathered.attempt === undefined || this.#gathered.collected !== undefined) return;
    await this.#collect().catch((error: unknown) =>
      this.#gathered.notes.push(`the change could not be collected: ${refusalFrom(error)?.message ?? String(error)}`),
    );
  }

  #finish(outcome: Outcome, reason: string | undefined): Result {
    const { plan, request } = this.#prepared;
    const rounds = this.#entry.again?.rounds ?? 0;
    const ended = { outcome, reason, startedAt: this.#startedAt, folder: this.#record.folder, rounds };
    const { previous } = this.#entry.again ?? {};
    const result = resultSchema.parse({ ...previous, ...assemble(this.#prepared, this.#gathered, ended) });
    // The seed's YAML report, for people and terminals that read it; the JSON is the same.
    if (result.report !== undefined)
      writeWhole(
        join(this.#record.folder, 'report.yaml'),
        stringify({ ...result.report, worker_id: 'kimi', task_id: plan.task ?? request.spec.number, parent: plan.run }),
      );
    this.#record.end(result, this.#gathered.collected?.commit);
    return result;
  }
}

/** What a refusal after Kimi began makes of a run; everything else is an error of ours. */
const FAILED: Partial<Record<ErrorCode, Outcome>> = { 'disk-full': 'output-limit', unreviewed: 'unverified' };
/** How long a run waits for what its base says, before Kimi starts (ms). */
const SOON_MS = 700;
const PROVIDE = 'Correct the commands in the spec, or provide what they need (profile `setup`, .worktreeinclude).';

/** Aborts when one of both does. */
const either = (given: AbortSignal | undefined, own: AbortController): AbortSignal =>
  given === undefined ? own.signal : AbortSignal.any([given, own.signal]);

/** Why a base shows that no command can say anything about a change; undefined where one can. */
function whyMute(checks: readonly Check[]): string | undefined {
  if (checks.length === 0 || !checks.every((check) => isMissing(check) || isDenied(check))) return undefined;
  const missing = checks.filter(isMissing).map((check) => check.command);
  if (missing.length > 0) return `No verification command can be started on the base: ${missing.join('; ')}`;
  const hosts = [...new Set(checks.flatMap((check) => check.denied ?? []))];
  return `The sandbox refused every verification command a host: ${hosts.join(', ')}. Allow it: verifyHosts in the profile`;
}

/** What is declared to fail there may be for Kimi to make. */
const isMissing = (check: Check): boolean => notStarted(check) && !check.baselineFails;
const isDenied = (check: Check): boolean => !ok(check) && (check.denied ?? []).length > 0;

/** A run that is refused has no result to say it in. */
function withOutside(error: unknown, { violations }: Seen): unknown {
  const refusal = refusalOf(error);
  if (refusal === undefined || violations.length === 0) return error;
  const lost = violations.map(({ path, why }) => `${path} ${why}`).join('; ');
  return refuse(refusal.code, `${refusal.message} Outside the worktree: ${lost}`, refusal.fix);
}

/** What of the worktree is not in the change, in words. */
const emptySubmodule = ({ path }: Submodule): string =>
  `the submodule ${path} is empty in the worktree: your checkout never fetched its commit (git submodule update --init ${path})`;
