import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Outcome, refusalOf, refuse } from '../errors.ts';
import { checkConfig } from '../flavour/find.ts';
import type { AgentEvent } from '../flavour/flavour.ts';
import { makeHome } from '../flavour/home.ts';
import { kimiCode } from '../flavour/kimi-code.ts';
import { checkScope } from '../gate/scope.ts';
import { addWorktree, type Collected, collect, type RunTree, removeWorktree, restoreTree } from '../git/worktree.ts';
import type { NewEvent, RunEvent } from '../ledger/events.ts';
import { append, runsFolder, writeWhole } from '../ledger/store.ts';
import { type ProcessCall, runProcess } from '../process/run.ts';
import { fullReport } from '../review/present.ts';
import { type Result, resultSchema } from '../review/result.ts';
import { type Check, type Compared, compare, verified } from '../verify/compare.ts';
import { verify } from '../verify/verify.ts';
import { type Attempt, runAttempt } from './attempt.ts';
import { fill } from './brief.ts';
import { Enclosure, keepWalls } from './enclosure.ts';
import { explain, nextCommands, toMutable, usage } from './outcome.ts';
import { commandsOf, type StepId } from './plan.ts';
import { provision } from './provision.ts';
import { contradictions, readReport } from './report.ts';
import { BaselineCache, type Prepared, runEnvironment, wallsOf } from './run.ts';

/** What a run gathers on its way; every step reads it and adds its own part. */
interface State {
  provisioned: string[];
  before?: Check[];
  attempt?: Attempt;
  collected?: Collected;
  rows: Compared[];
  notes: string[];
}

/** Told of every event as it is written, with the plan's limits at hand. */
export type Watcher = (event: RunEvent) => void;

/** Carries a prepared run out. Always ends with a result on disk, whatever happens on the way. */
export async function execute(prepared: Prepared, watch: Watcher, signal?: AbortSignal): Promise<Result> {
  const run = new Execution(prepared, watch, signal);
  return run.go();
}

class Execution {
  readonly #prepared: Prepared;
  readonly #watch: Watcher;
  readonly #signal: AbortSignal | undefined;
  readonly #folder: string;
  readonly #attemptFolder: string;
  readonly #tree: RunTree;
  readonly #env: Record<string, string>;
  readonly #state: State = { provisioned: [], rows: [], notes: [] };
  readonly #startedAt: string;
  readonly #enclosure: Enclosure | undefined;

  constructor(prepared: Prepared, watch: Watcher, signal: AbortSignal | undefined) {
    const { plan, request } = prepared;
    this.#prepared = prepared;
    this.#watch = watch;
    this.#signal = signal;
    this.#folder = join(runsFolder(request.repo.commonDir), plan.run);
    this.#attemptFolder = join(this.#folder, 'attempt-1');
    this.#tree = { dir: plan.dir, env: request.repo.env, branch: plan.branch, base: plan.base };
    this.#env = runEnvironment(request.env);
    this.#startedAt = request.now().toISOString();
    this.#enclosure = prepared.sandbox.on ? new Enclosure(request.root, plan.run, wallsOf(prepared)) : undefined;
  }

  async go(): Promise<Result> {
    const { plan, request } = this.#prepared;
    mkdirSync(this.#attemptFolder, { recursive: true, mode: 0o700 });
    writeWhole(join(this.#folder, 'spec.md'), request.specText);
    if (this.#enclosure !== undefined) keepWalls(this.#folder, wallsOf(this.#prepared));
    this.#say({
      type: 'run-started',
      v: 1,
      id: plan.run,
      title: plan.title,
      digest: plan.digest,
      base: plan.base,
      branch: plan.branch,
      dir: plan.dir,
      home: plan.home,
      pid: process.pid,
    });
    let outcome: Outcome;
    let reason: string | undefined;
    try {
      await this.#step('worktree', () => addWorktree(request.repo, this.#tree));
      await this.#step('provision', () => this.#provision());
      await this.#step('baseline', () => this.#baseline());
      await this.#step('kimi', () => this.#kimi());
      await this.#step('collect', () => this.#collect());
      await this.#step('verify', () => this.#verify());
      outcome = this.#outcome();
    } catch (error) {
      if (this.#state.attempt === undefined && refusalOf(error) !== undefined) await this.#abandon(error);
      outcome = this.#signal?.aborted === true ? 'cancelled' : 'internal-error';
      reason = error instanceof Error ? error.message : String(error);
      await this.#salvage();
    }
    this.#enclosure?.close();
    return this.#finish(outcome, reason);
  }

  #say(event: NewEvent): void {
    this.#watch(append(this.#folder, event, this.#prepared.request.now()));
  }

  async #step(id: StepId, work: () => Promise<unknown>): Promise<void> {
    const step = this.#prepared.plan.steps.find((item) => item.id === id);
    if (step?.run !== true) return;
    const cancelled = this.#signal?.aborted === true;
    if (cancelled && (id === 'kimi' || id === 'baseline' || id === 'verify')) return;
    const started = performance.now();
    this.#say({ type: 'step-started', step: id, title: step.title });
    await work();
    this.#say({ type: 'step-ended', step: id, ms: Math.round(performance.now() - started) });
  }

  async #provision(): Promise<void> {
    const { request, provision: plan } = this.#prepared;
    const place = {
      dir: this.#tree.dir,
      env: this.#env,
      marker: this.#prepared.plan.run,
      log: join(this.#folder, 'provision.log'),
      ...this.#abort(),
    };
    this.#state.provisioned = await provision(request.repo, plan, place);
  }

  #abort(): { signal?: AbortSignal } {
    return this.#signal === undefined ? {} : { signal: this.#signal };
  }

  async #baseline(): Promise<void> {
    const { plan, request, provision: provided } = this.#prepared;
    const commands = commandsOf(request.spec);
    const key = JSON.stringify([
      plan.base,
      commands.map((item) => [item.text, item.expect, item.shell]),
      provided,
      process.version,
      plan.sandbox,
    ]);
    const cache = new BaselineCache(join(request.repo.commonDir, 'kimi-dispatch', 'baseline'), key);
    this.#state.before = cache.read<Check[]>(key) ?? (await this.#check('baseline'));
    const cachable = this.#state.before.every(
      (check) =>
        !check.timedOut &&
        check.code !== null &&
        check.code !== 126 &&
        check.code !== 127 &&
        (check.denied ?? []).length === 0,
    );
    if (cachable && this.#signal?.aborted !== true) cache.write(key, this.#state.before);
    const missing = this.#state.before.filter((check) => check.code === 126 || check.code === 127);
    if (missing.length === 0 || missing.length < this.#state.before.length) return;
    throw refuse(
      'preflight',
      `No verification command can be started on the base: ${missing.map((check) => check.command).join('; ')}`,
      'Correct the commands in the spec, or provide what they need (profile `setup`, .worktreeinclude).',
    );
  }

  async #check(phase: 'baseline' | 'verify'): Promise<Check[]> {
    const enclosure = this.#enclosure;
    const { plan, request } = this.#prepared;
    const place = {
      dir: this.#tree.dir,
      env: this.#env,
      marker: plan.run,
      logs: this.#attemptFolder,
      label: phase,
      ...this.#abort(),
      run: enclosure === undefined ? runProcess : (call: ProcessCall) => enclosure.verification(call),
    };
    const checks = await verify(commandsOf(request.spec), place, (check) =>
      this.#say({ type: 'check', phase, command: check.command, code: check.code, ms: check.durationMs }),
    );
    if (phase === 'baseline') await restoreTree(this.#tree, this.#state.provisioned);
    return checks;
  }

  async #kimi(): Promise<void> {
    const { plan, request, profile, kimi, home, places } = this.#prepared;
    makeHome(plan.home, home);
    const config = {
      file: join(plan.home, 'config.toml'),
      digest: home.digest,
      cacheFile: join(places.cache, 'kimi.json'),
    };
    await checkConfig(kimi, config, { ...this.#env, KIMI_CODE_HOME: plan.home });
    const brief = join(plan.home, 'brief.md');
    const generated = request.spec.generated.map((line) => line.text).join(', ');
    const text = fill(request.root, 'brief.hbs', {
      dir: plan.dir,
      generated,
      task: request.spec.number,
      run: plan.run,
      spec: request.specText,
    });
    writeFileSync(brief, text, { mode: 0o600 });
    writeFileSync(join(this.#attemptFolder, 'prompt.md'), text, { mode: 0o600 });
    const prompt = `Read the file ${brief} completely (in parts if it is long) and do what it says.`;
    const invocation = kimiCode.build({
      prompt,
      home: plan.home,
      steps: plan.limits.steps,
      attempts: plan.limits.attempts,
      ...(profile.model === undefined ? {} : { model: profile.model }),
      ...(kimi.compileCache === undefined ? {} : { compileCache: kimi.compileCache }),
    });
    const enclosure = this.#enclosure;
    this.#state.attempt = await runAttempt({
      file: kimi.file,
      flavour: kimiCode,
      invocation,
      dir: this.#tree.dir,
      env: this.#env,
      marker: plan.run,
      folder: this.#attemptFolder,
      wallMs: plan.limits.wallSeconds * 1000,
      ...this.#abort(),
      run:
        enclosure === undefined ? runProcess : (call: ProcessCall) => enclosure.attempt(call, request.repo.commonDir),
      onEvent: (event, step) => this.#agent(event, step),
    });
  }

  #agent(event: AgentEvent, step: number): void {
    // The whole stream is in stream.ndjson; the ledger holds what tells the story.
    if (event.kind === 'text' || event.kind === 'tool-result') return;
    this.#say({ type: 'agent', attempt: 1, event: { ...event, step } });
  }

  async #collect(): Promise<void> {
    const { plan } = this.#prepared;
    const message = [
      `${plan.title === '' ? 'Kimi run' : plan.title}\n`,
      `Kimi-Dispatch-Run: ${plan.run}`,
      `Kimi-Dispatch-Spec: sha256:${plan.digest}`,
      `Kimi-Version: ${plan.kimi.version}`,
    ].join('\n');
    const scratch = join(this.#folder, 'scratch');
    mkdirSync(scratch, { recursive: true });
    this.#state.collected = await collect(this.#tree, {
      message,
      commonDir: this.#prepared.request.repo.commonDir,
      scratch,
      provisioned: this.#state.provisioned,
      patch: join(this.#folder, 'changes.patch'),
    });
    rmSync(scratch, { recursive: true, force: true });
    this.#state.notes.push(...this.#state.collected.strays);
  }

  async #verify(): Promise<void> {
    if (this.#state.collected?.changes.length === 0) return;
    this.#state.rows = compare(this.#state.before, await this.#check('verify'));
  }

  #outcome(): Outcome {
    const { attempt, collected, rows } = this.#state;
    if (this.#signal?.aborted === true) return 'cancelled';
    if (attempt?.outcome !== undefined) return attempt.outcome;
    if (this.#report()?.status === 'blocked') return 'blocked';
    const changed = collected?.changes.map((change) => change.path) ?? [];
    if (changed.length === 0) return 'no-changes';
    if (!verified(rows)) return 'verification-failed';
    return checkScope(this.#prepared.request.spec, changed).violations.length > 0 ? 'out-of-scope' : 'succeeded';
  }

  #report() {
    return readReport(this.#state.attempt?.words ?? '');
  }

  /** A refusal before Kimi leaves nothing behind but its record. */
  async #abandon(error: unknown): Promise<never> {
    await removeWorktree(this.#prepared.request.repo, this.#tree, true);
    rmSync(this.#prepared.plan.home, { recursive: true, force: true });
    this.#say({ type: 'run-ended', outcome: 'internal-error' });
    this.#say({ type: 'discarded' });
    throw error;
  }

  /** After a failure of ours the work is still saved where that is possible. */
  async #salvage(): Promise<void> {
    if (this.#state.attempt === undefined || this.#state.collected !== undefined) return;
    await this.#collect().catch((error: unknown) =>
      this.#state.notes.push(`the change could not be collected: ${String(error)}`),
    );
  }

  #finish(outcome: Outcome, reason: string | undefined): Result {
    const result = resultSchema.parse(this.#result(outcome, reason));
    writeWhole(join(this.#folder, 'result.json'), `${JSON.stringify(result, null, 2)}\n`);
    writeWhole(join(this.#folder, 'report.md'), fullReport(result));
    const commit = this.#state.collected?.commit;
    this.#say({ type: 'run-ended', outcome, ...(commit === undefined ? {} : { commit }) });
    return result;
  }

  #result(outcome: Outcome, reason: string | undefined): Result {
    const prepared = this.#prepared;
    const { plan, request } = prepared;
    const { attempt, collected, rows, notes } = this.#state;
    const changes = collected?.changes ?? [];
    const changed = changes.map((change) => change.path);
    const report = this.#report();
    const why = reason ?? explain(outcome, attempt, plan.limits.wallSeconds);
    const failed = attempt?.failure;
    return {
      version: 1,
      run: plan.run,
      title: plan.title,
      spec: { digest: plan.digest, path: join(this.#folder, 'spec.md') },
      outcome,
      ...(why === undefined ? {} : { reason: why }),
      base: plan.base,
      branch: plan.branch,
      ...(collected === undefined ? {} : { commit: collected.commit }),
      worktree: plan.dir,
      startedAt: this.#startedAt,
      endedAt: request.now().toISOString(),
      ...(attempt === undefined ? {} : { kimi: usage(attempt, plan.limits.steps, plan.kimi.version) }),
      sandbox: plan.sandbox,
      changes: [...changes],
      scope: toMutable(checkScope(request.spec, changed)),
      verification: rows.map((row) => ({ ...row, newlyFailing: [...row.newlyFailing] })) as Result['verification'],
      manual: [...request.spec.tasks.flatMap((task) => task.verification), ...request.spec.verification]
        .filter((item) => item.kind === 'manual')
        .map((item) => item.text),
      ...(report === undefined ? {} : { report }),
      contradictions: report === undefined ? [] : contradictions(report, changed),
      notes: [
        ...(plan.uncommitted.length === 0
          ? []
          : [
              `${plan.uncommitted.length} uncommitted paths of your checkout are not in this run: ${plan.uncommitted.slice(0, 3).join(', ')}`,
            ]),
        ...(attempt !== undefined && attempt.end.survivors > 0
          ? [`${attempt.end.survivors} processes outlived Kimi and were ended`]
          : []),
        ...(attempt?.end.denied ?? []).map((host) => `sandbox refused Kimi the host ${host} (profile: hosts)`),
        ...(prepared.sandbox.on || prepared.sandbox.why === '' ? [] : [`no sandbox: ${prepared.sandbox.why}`]),
        ...notes,
      ],
      next: nextCommands(outcome, plan.run, changes.length > 0, failed?.kind),
      files: {
        folder: this.#folder,
        patch: join(this.#folder, 'changes.patch'),
        report: join(this.#folder, 'report.md'),
      },
    };
  }
}
