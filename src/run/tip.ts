import { join } from 'node:path';
import { refusalOf } from '../errors.ts';
import { fields, type GitPlace, git, keeping } from '../git/git.ts';
import type { Command } from '../spec/model.ts';
import type { Check } from '../verify/compare.ts';
import { verify } from '../verify/verify.ts';
import { Enclosure, keepWalls, verifierOf } from './enclosure.ts';
import { commandsOf } from './plan.ts';
import { type Provision, planProvision, provision } from './provision.ts';
import { keepsDependencies, type Prepared, runEnvironment, wallsOf } from './run.ts';

/** The worktree in which one commit of an integration after another is verified. */
export class TipTree {
  readonly #prepared: Prepared;
  readonly #folder: string;
  readonly #signal: AbortSignal | undefined;
  readonly #enclosure: Enclosure | undefined;
  #provided: { readonly key: string; readonly keep: readonly string[] } | undefined;

  /** `folder` is that of the run's record. */
  constructor(prepared: Prepared, folder: string, signal: AbortSignal | undefined) {
    const { request, plan, sandbox } = prepared;
    this.#prepared = prepared;
    this.#folder = folder;
    this.#signal = signal;
    this.#enclosure = sandbox.on ? new Enclosure(request.root, plan.run, wallsOf(prepared)) : undefined;
  }

  /** Files and dependencies; what lies there afterwards and git does not track stays for every verification. */
  async provide(provided: Provision): Promise<void> {
    const { plan, request } = this.#prepared;
    const log = join(this.#folder, 'provision.log');
    const cut = this.#signal === undefined ? {} : { signal: this.#signal };
    const place = { dir: plan.dir, env: runEnvironment(request.env), marker: plan.run, log, ...cut };
    const made = await provision(request.repo, provided, place, keepsDependencies(this.#prepared));
    const keep = await git(this.place, ['ls-files', '-z', '--others', '--directory']);
    this.#provided = { key: provided.key, keep: fields(keep) };
    if (this.#enclosure !== undefined) keepWalls(this.#folder, this.#enclosure.protect(made.readOnly));
  }

  get place(): GitPlace {
    return { dir: this.#prepared.plan.dir, env: this.#prepared.request.repo.env };
  }

  /** The whole verification on what is checked out; nothing that it writes is there for the next. */
  async check(label: string): Promise<Check[]> {
    const { plan, request } = this.#prepared;
    const signal = this.#signal;
    const checks = await verify(commandsOf(request.spec), {
      dir: plan.dir,
      env: runEnvironment(request.env),
      marker: plan.run,
      logs: this.#folder,
      label,
      ...(signal === undefined ? {} : { signal }),
      run: verifierOf(this.#enclosure),
    });
    await git(this.place, ['clean', '-fdxq', ...keeping(this.#provided?.keep ?? [])], { quiet: true });
    // What was cut short says nothing about any change.
    signal?.throwIfAborted();
    return checks;
  }

  /** The whole verification on a commit, with the dependencies that its lock files ask for. */
  async checkAt(tip: string): Promise<Check[]> {
    await git(this.place, ['checkout', '-q', '--detach', '--force', tip], { quiet: true });
    const ready = await this.#provideFor(tip).catch((error: unknown) => {
      this.#signal?.throwIfAborted();
      if (refusalOf(error) === undefined) throw error;
      return false;
    });
    if (ready) return this.check(`tip-${tip.slice(0, 8)}`);
    const commands = commandsOf(this.#prepared.request.spec).filter((command) => command.kind === 'command');
    return commands.map(notStarted);
  }

  /** Other lock files, other dependencies; those that cannot be made are the fault of the change. */
  async #provideFor(tip: string): Promise<boolean> {
    const { request, profile } = this.#prepared;
    const provided = await planProvision(request.repo, tip, profile.setup);
    if (provided.key === this.#provided?.key) return true;
    this.#provided = undefined;
    await git(this.place, ['clean', '-ffdxq'], { quiet: true });
    await this.provide(provided);
    return true;
  }

  close(): void {
    this.#enclosure?.close();
  }
}

const notStarted = ({ text: command, expect, baselineFails }: Command): Check => {
  return { command, expect, baselineFails, code: null, timedOut: false, durationMs: 0 };
};
