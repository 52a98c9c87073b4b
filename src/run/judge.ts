import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { refusalOf } from '../errors.ts';
import { fillPointers } from '../git/filters.ts';
import { at, type GitPlace, git, gitAnswer } from '../git/git.ts';
import { claimSlot, openSlot, putCommit, releaseSlot } from '../git/pool.ts';
import { fileAt, type Repo } from '../git/repo.ts';
import { judgeOwner } from '../git/slot.ts';
import { fillTree } from '../git/submodules.ts';
import { restoreLink } from '../git/worktree.ts';
import { withinDisk } from '../process/disk.ts';
import { inTree } from '../process/environment.ts';
import type { Runner } from '../process/run.ts';
import type { Profile } from '../profile/profile.ts';
import { scriptsIn } from '../spec/facts.ts';
import type { Command, Spec } from '../spec/model.ts';
import type { Check } from '../verify/compare.ts';
import { type VerifyPlace, verifyOne } from '../verify/verify.ts';
import { Enclosure, verifierOf, type Walls } from './enclosure.ts';
import { dropKept } from './kept.ts';
import type { Places } from './places.ts';
import { commandsOf } from './plan.ts';
import { type Provision, planProvision, provision } from './provision.ts';
import { provisionerFor } from './provisioner.ts';
import { checkEnvironment, type Prepared, slotCall, wallsOf } from './run.ts';

export interface JudgeCall {
  readonly repo: Repo;
  /** The program's own folder. */
  readonly root: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly run: string;
  readonly spec: Spec;
  /** A commit that the user has reviewed: what its dependencies are made from may be kept. */
  readonly base: string;
  readonly profile: Pick<Profile, 'setup' | 'pool' | 'provisionHosts' | 'env' | 'diskMegabytes' | 'parallel'>;
  readonly places: Pick<Places, 'state' | 'worktrees'>;
  /** The run's record: the log of provisioning goes there. */
  readonly folder: string;
  /** Missing where the run has no sandbox. */
  readonly walls: Walls | undefined;
  readonly signal?: AbortSignal;
}

export interface CheckCall {
  /** Where the logs go, and what their names begin with. */
  readonly logs: string;
  readonly label: string;
  readonly each?: (check: Check) => void;
}

export interface Lent {
  readonly place: GitPlace;
  /** Missing where the run has no sandbox. */
  readonly enclosure: Enclosure | undefined;
  /** What a verification there would see. */
  readonly env: Readonly<Record<string, string>>;
}

/** The judge of a prepared run. */
export const judgeOf = (prepared: Prepared, folder: string, signal?: AbortSignal): Judge => {
  const { request, plan, profile, places, sandbox } = prepared;
  const { repo, root, env, spec } = request;
  return new Judge(
    {
      repo,
      root,
      env,
      spec,
      run: plan.run,
      base: plan.base,
      profile,
      places,
      folder,
      walls: sandbox.on ? wallsOf(prepared) : undefined,
      ...(signal === undefined ? {} : { signal }),
    },
    prepared.provision.key === '' ? undefined : prepared.provision,
  );
};

/**
 * A worktree in which commits are verified, and which no worker ever sees: a verdict is about exactly one commit, with
 * nothing beside it but what provisioning made.
 */
export class Judge {
  readonly #call: JudgeCall;
  /** What the base needs, where that is known. */
  /** By commit. */
  readonly #provisions = new Map<string, Promise<Provision>>();
  #opening: Promise<string> | undefined;
  #enclosure: Enclosure | undefined;
  /** The commit that lies there, and whether something ran since. */
  #at: { readonly commit: string; readonly used: boolean } | undefined;
  /** What was made there or could be written there belongs to a commit that nobody reviewed. */
  #suspect = false;

  constructor(call: JudgeCall, baseProvision?: Provision) {
    this.#call = call;
    if (baseProvision !== undefined) this.#provisions.set(call.base, Promise.resolve(baseProvision));
  }

  /** False where its commands can reach everything that the user can. */
  get walled(): boolean {
    return this.#call.walls !== undefined;
  }

  /** Makes the worktree ready while something else goes on; what fails is told at the first use. */
  prepare(): void {
    if (this.#opening === undefined) void this.place(this.#call.base).catch(() => undefined);
  }

  /** The whole verification on a commit. Where its dependencies cannot be made, no command has an exit code. */
  async check(commit: string, how: CheckCall): Promise<Check[]> {
    if (!(await this.#ready(commit))) return this.#commands.map(notStarted);
    return this.#verify(this.#commands, how);
  }

  /** One command of the verification once more; on another commit those before it run first. */
  async again(commit: string, index: number, logs: string): Promise<Check | undefined> {
    const there = this.#at?.commit === commit;
    if (!there && !(await this.#ready(commit))) return undefined;
    const commands = this.#commands.slice(there ? index : 0, index + 1);
    return (await this.#verify(commands, { logs, label: `again-${index + 1}` })).at(-1);
  }

  /** The worktree with a commit in it and with its dependencies; refuses where they cannot be made. */
  async place(commit: string): Promise<GitPlace> {
    const { repo, base, walls } = this.#call;
    const dir = await this.#open();
    const place = at(repo, dir);
    if (this.#at?.commit === commit && !this.#at.used) return place;
    // Without walls, what is reviewed makes the dependencies of what is not, where both want the same.
    if (walls === undefined && commit !== base && (await this.#sameProvision(base, commit))) await this.place(base);
    const fresh = this.#at?.used === false && (await this.#sameProvision(this.#at.commit, commit));
    // Nothing ran there yet, so only the tracked files are other ones.
    if (fresh) {
      await git(place, ['reset', '--hard', '-q', commit]);
      await fillTree(place, repo.commonDir, commit);
    } else {
      if (this.#at !== undefined || commit !== base) await this.#put(dir, commit);
      await this.#provide(dir, commit);
    }
    await showSparse(place, base, commit);
    this.#at = { commit, used: false };
    return place;
  }

  /** The worktree for something else that runs there: what it leaves is part of no verdict. */
  async lend(commit: string): Promise<Lent> {
    const place = await this.place(commit);
    this.#at = { commit, used: true };
    this.#suspect ||= this.#enclosure === undefined;
    return {
      place,
      enclosure: this.#enclosure,
      env: checkEnvironment(this.#call.env, this.#call.profile, this.#call.repo.root),
    };
  }

  async close(): Promise<void> {
    const { repo, run, base } = this.#call;
    const dir = await this.#opening?.catch(() => undefined);
    this.#enclosure?.close();
    if (dir === undefined) return;
    if (this.#suspect) dropKept(dir);
    // What cannot be given back now is taken by a later claim.
    await releaseSlot(repo, { id: judgeOwner(run), dir, base }, false).catch(() => undefined);
  }

  get #commands(): Command[] {
    return commandsOf(this.#call.spec).filter((command) => command.kind === 'command');
  }

  async #ready(commit: string): Promise<boolean> {
    try {
      await this.place(commit);
      return true;
    } catch (error) {
      this.#call.signal?.throwIfAborted();
      const code = refusalOf(error)?.code;
      if (code === undefined || code === 'unreviewed' || commit === this.#call.base) throw error;
      return false;
    }
  }

  #open(): Promise<string> {
    this.#opening ??= this.#claim();
    return this.#opening;
  }

  async #claim(): Promise<string> {
    const { repo, run, places, walls, profile, base, root } = this.#call;
    const { key } = await this.#provisionOf(base);
    const call = slotCall(repo, { run: judgeOwner(run), key, sandboxed: walls !== undefined, most: 2 * profile.pool });
    const dir = await claimSlot(repo, places.worktrees, call);
    await openSlot(repo, { ...at(repo, dir), base });
    if (walls !== undefined) this.#enclosure = new Enclosure(root, run, wallsAt(walls, dir));
    return dir;
  }

  async #put(dir: string, commit: string): Promise<void> {
    const { repo } = this.#call;
    if (this.#suspect) dropKept(dir);
    this.#suspect = false;
    this.#at = undefined;
    // A command may have removed it.
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    await putCommit(repo, dir, commit);
  }

  async #sameProvision(one: string, other: string): Promise<boolean> {
    return (await this.#provisionOf(one)).key === (await this.#provisionOf(other)).key;
  }

  async #provide(dir: string, commit: string): Promise<void> {
    const { repo, run, env, folder, signal, base, profile, places } = this.#call;
    const plan = await this.#provisionOf(commit);
    this.#suspect ||= commit !== base && plan.key !== (await this.#provisionOf(base)).key;
    const cut = signal === undefined ? {} : { signal };
    const own = checkEnvironment(env, profile, repo.root);
    const call = { repo, enclosure: this.#enclosure, profile, state: places.state, env: own, base };
    const runner = await provisionerFor(call, plan, commit);
    const log = join(folder, 'provision.log');
    const place = {
      ...at(repo, dir),
      env: own,
      marker: run,
      log,
      run: runner,
      ...cut,
      walled: this.#enclosure !== undefined,
    };
    const made = await provision(repo, plan, place, true);
    this.#enclosure?.protect(made.readOnly);
  }

  #provisionOf(commit: string): Promise<Provision> {
    const { repo, profile } = this.#call;
    const plan = this.#provisions.get(commit) ?? planProvision(repo, commit, profile.setup);
    this.#provisions.set(commit, plan);
    return plan;
  }

  async #verify(commands: readonly Command[], { each, ...how }: CheckCall): Promise<Check[]> {
    const { repo, env, run, walls, signal, base, profile } = this.#call;
    const commit = this.#at?.commit ?? base;
    this.#at = { commit, used: true };
    // Without walls, what runs could write to the dependencies.
    this.#suspect ||= walls === undefined && commit !== base;
    const cut = signal === undefined ? {} : { signal };
    const dir = await this.#open();
    const place = {
      dir,
      env: inTree(checkEnvironment(env, profile, repo.root), repo.root, dir),
      scripts: await this.#scripts(commit),
      marker: run,
      ...how,
      ...cut,
      run: this.#verifier(dir),
    };
    if (profile.parallel > 1) return this.#together(commands, place, each);
    const checks: Check[] = [];
    for (const index of commands.keys()) {
      // A command that writes to the files of the commit shows something of another tree to those after it.
      if (index > 0) await this.#putBack(dir, commit);
      const check = await verifyOne(commands, index, place);
      if (check === undefined) break;
      checks.push(check);
      each?.(check);
      if (existsSync(dir)) continue;
      // Without its dependencies nothing shows anything: all of it is made again before the next check.
      checks.push(...commands.slice(index + 1).map(notStarted));
      break;
    }
    return checks;
  }

  /** At the same time, because the profile says so: nothing is put back between them. */
  async #together(commands: readonly Command[], place: VerifyPlace, each: CheckCall['each']): Promise<Check[]> {
    const limit = pLimit(this.#call.profile.parallel);
    const checks = commands.map((_, index) =>
      limit(async () => {
        const check = await verifyOne(commands, index, place);
        if (check !== undefined) each?.(check);
        return check;
      }),
    );
    return (await Promise.all(checks)).filter((check) => check !== undefined);
  }

  /** The limit of disk use counts for a verification, too: the worktree, and in the sandbox its temp folder. */
  #verifier(dir: string): Runner {
    const written = this.#enclosure === undefined ? [dir] : [dir, this.#enclosure.scratch];
    return withinDisk(verifierOf(this.#enclosure), written, this.#call.profile.diskMegabytes * 2 ** 20);
  }

  /** What a command could stand for, read only where it matters. */
  async #scripts(commit: string): Promise<Record<string, string>> {
    if (!this.#commands.some(({ text }) => /\b(npm|pnpm|yarn|bun)\b/.test(text))) return {};
    return scriptsIn(await fileAt(this.#call.repo, commit, 'package.json'));
  }

  async #putBack(dir: string, commit: string): Promise<void> {
    const { repo, base } = this.#call;
    const place = at(repo, dir);
    restoreLink(repo.commonDir, { dir });
    await git(place, ['reset', '--hard', '-q', commit]);
    await fillPointers(place, commit);
    await showSparse(place, base, commit);
  }
}

const wallsAt = ({ dependencies: _dependencies, caches: _caches, ...walls }: Walls, worktree: string): Walls => ({
  ...walls,
  worktree,
});

/** In a sparse checkout, what a commit changes lies there although the definition leaves it out. */
async function showSparse(place: GitPlace, base: string, commit: string): Promise<void> {
  if (base === commit) return;
  const sparse = await gitAnswer(place, ['config', '--bool', 'core.sparseCheckout'], { answers: [1] });
  if (sparse.stdout.trim() !== 'true') return;
  const changed = await git(place, ['diff-tree', '-r', '-z', '--name-only', '--diff-filter=d', base, commit]);
  if (changed === '') return;
  const list = ['--pathspec-from-file=-', '--pathspec-file-nul'];
  const args = ['--literal-pathspecs', 'checkout', '-q', '--ignore-skip-worktree-bits', commit, ...list];
  await git(place, args, { input: changed });
}

const notStarted = ({ text: command, expect, baselineFails }: Command): Check => {
  return { command, expect, baselineFails, code: null, timedOut: false, durationMs: 0 };
};
