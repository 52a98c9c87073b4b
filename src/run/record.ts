import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../files.ts';
import type { NewEvent, RunEvent } from '../ledger/events.ts';
import { append, runsFolder } from '../ledger/store.ts';
import { ownerHere } from '../process/alive.ts';
import type { Result } from '../review/result.ts';
import { keepResult } from '../review/stored.ts';
import { keepWalls } from './enclosure.ts';
import { type Prepared, wallsOf } from './run.ts';

/** Told of every event as it is written. */
export type Watcher = (event: RunEvent) => void;

/** What a run leaves in its folder: what was asked for, its events, its result. */
export class RunRecord {
  readonly folder: string;
  readonly #prepared: Prepared;
  readonly #watch: Watcher;

  constructor(prepared: Prepared, watch: Watcher) {
    this.#prepared = prepared;
    this.#watch = watch;
    this.folder = join(runsFolder(prepared.request.repo.commonDir), prepared.plan.run);
  }

  /** Puts the run on record, with where it came from. */
  begin(): void {
    const { plan, request, sandbox } = this.#prepared;
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    writeWhole(join(this.folder, 'spec.md'), request.specText);
    writeWhole(join(this.folder, 'plan.json'), JSON.stringify(plan));
    if (sandbox.on) keepWalls(this.folder, wallsOf(this.#prepared));
    const { run: id, title, digest, base, branch, dir, home } = plan;
    const claude = request.env.CLAUDE_CODE_SESSION_ID;
    const from = {
      ...(plan.parent === undefined ? {} : { parent: plan.parent }),
      ...(claude === undefined ? {} : { claude }),
      ...(plan.task === undefined ? {} : { task: plan.task }),
    };
    this.say({ type: 'run-started', v: 1, id, title, digest, base, branch, dir, home, ...from, ...ownerHere() });
  }

  say(event: NewEvent): void {
    this.#watch(append(this.folder, event, this.#prepared.request.now()));
  }

  /** One step, with its beginning, its end and how long it took (ms). */
  async step(step: { id: string; title: string }, work: () => Promise<unknown>): Promise<void> {
    const started = performance.now();
    this.say({ type: 'step-started', step: step.id, title: step.title });
    await work();
    this.say({ type: 'step-ended', step: step.id, ms: Math.round(performance.now() - started) });
  }

  /** The end: the result first, then the event that says there is one. */
  end(result: Result, commit: string | undefined): void {
    keepResult(this.folder, result);
    this.say({ type: 'run-ended', outcome: result.outcome, ...(commit === undefined ? {} : { commit }) });
  }
}
