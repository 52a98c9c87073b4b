import { dirname, join } from 'node:path';
import { refuse } from '../errors.ts';
import { userHome } from '../flavour/home.ts';
import { at, git, gitAnswer } from '../git/git.ts';
import { claimSlot, openSlot, reclaimSlot, releaseSlot, reopenSlot } from '../git/pool.ts';
import type { Repo } from '../git/repo.ts';
import { holdsSlot, readSlot, writeSlot } from '../git/slot.ts';
import { ignoredIn } from '../git/stage.ts';
import { holdsFiles, type RunTree, restoreLink } from '../git/worktree.ts';
import type { RunState } from '../ledger/events.ts';
import { append, runsFolder } from '../ledger/store.ts';
import { loadProfile } from '../profile/profile.ts';
import { Enclosure, hasWalls, keepWalls, moveWalls, readWalls } from './enclosure.ts';
import { dropKept } from './kept.ts';
import { watchRun } from './outside.ts';
import { placesOf } from './places.ts';
import { planProvision, provision } from './provision.ts';
import { provisionerFor } from './provisioner.ts';
import { keepReady, type Ready, readReady } from './ready.ts';
import {
  checkEnvironment,
  decideSandbox,
  keepsDependencies,
  oursOf,
  type Prepared,
  programIn,
  sandboxMode,
  slotCall,
} from './run.ts';
import { findPlan } from './stored.ts';

/** Claims the slot that the plan names, or another when somebody was faster; the plan that comes back is true. */
export async function takeSlot(prepared: Prepared): Promise<Prepared> {
  const { plan, request, places, provision: provided, sandbox, profile } = prepared;
  const call = { run: plan.run, key: provided.key, sandboxed: sandbox.on, most: profile.pool };
  const dir = await claimSlot(request.repo, places.worktrees, slotCall(request.repo, call));
  if (dir === plan.dir) return prepared;
  const steps = plan.steps.map((step) => ({ ...step, detail: step.detail.replace(plan.dir, dir) }));
  return { ...prepared, plan: { ...plan, dir, steps } };
}

/** Puts the base into the claimed slot; dependencies of an earlier run stay only where this one wants the same. */
export async function openTree(prepared: Prepared, tree: RunTree): Promise<void> {
  await openSlot(prepared.request.repo, tree);
  const same = readSlot(tree.dir)?.kept?.key === prepared.provision.key;
  if (!same || !keepsDependencies(prepared)) dropKept(tree.dir);
}

/** Puts files and dependencies into a run's worktree; what lies there afterwards is not the worker's. */
export async function provideTree(
  prepared: Prepared,
  tree: RunTree,
  how: { readonly enclosure: Enclosure | undefined; readonly signal?: AbortSignal | undefined },
): Promise<Ready> {
  const { request, plan, provision: planned, profile, places } = prepared;
  const { enclosure, signal } = how;
  const env = checkEnvironment(request.env, profile, request.repo.root);
  const log = join(runsFolder(request.repo.commonDir), plan.run, 'provision.log');
  const cut = signal === undefined ? {} : { signal };
  const call = { repo: request.repo, enclosure, profile, state: places.state, env, base: plan.base };
  const run = await provisionerFor(call, planned, plan.base);
  const place = { ...at(tree, tree.dir), env, marker: plan.run, log, run, ...cut, walled: enclosure !== undefined };
  const made = await provision(request.repo, planned, place, keepsDependencies(prepared));
  return { provisioned: made.paths, readOnly: made.readOnly, ignored: await ignoredIn(tree, {}) };
}

/** Once something runs in a slot without the sandbox, no later run gets it. */
export function distrustSlot(dir: string): void {
  const record = readSlot(dir);
  if (record !== undefined) writeSlot(dir, { ...record, sandboxed: false });
}

export interface TreeCall {
  readonly repo: Repo;
  /** The program's own folder. */
  readonly root: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: () => Date;
  /** Whether commands will run in it, which need files and dependencies. */
  readonly provide: boolean;
}

/**
 * The run with a worktree of its own that holds its branch. One that was deleted, or given to another run after a merge
 * that was undone, is made again: at the same path where that is free, because a session of Kimi resumes only there.
 */
export async function ensureTree(run: RunState, call: TreeCall): Promise<RunState> {
  if (holdsSlot(run) && holdsFiles(run.dir)) {
    restoreLink(call.repo.commonDir, run);
    return run;
  }
  const { repo, env } = call;
  await requireBranch(repo, run);
  const folder = placesOf(env, repo).worktrees;
  const claim = slotCall(repo, { run: run.id, key: '', sandboxed: false, most: 0 });
  const dir =
    dirname(run.dir) === folder ? await reclaimSlot(repo, run.dir, claim) : await claimSlot(repo, folder, claim);
  const moved = { ...run, dir };
  try {
    await reopenSlot(repo, moved);
    dropKept(dir);
    if (call.provide) await provide(moved, call);
  } catch (error) {
    await releaseSlot(repo, moved, false);
    throw error;
  }
  if (dir === run.dir) return run;
  const record = join(runsFolder(repo.commonDir), run.id);
  moveWalls(record, dir);
  append(record, { type: 'moved', dir }, call.now());
  const { session: _session, ...rest } = moved;
  return rest;
}

/**
 * The walls of a verification here for a run that another machine carried out: those that a run of this machine's
 * profile would have. Refuses where the sandbox is required and cannot be had.
 */
export async function ensureWalls(
  run: RunState,
  call: Pick<TreeCall, 'repo' | 'env'> & { root: string },
): Promise<void> {
  const { repo, env, root } = call;
  const record = join(runsFolder(repo.commonDir), run.id);
  if (run.home !== '' && run.queued !== true) return;
  if (hasWalls(record) || !(await decideSandbox({ root, env, options: { sandbox: sandboxMode(undefined, env) } })).on)
    return;
  const places = placesOf(env, repo);
  const profile = loadProfile(findPlan(repo, run)?.profile ?? 'default', places.config);
  keepWalls(record, {
    home: env.HOME ?? '/',
    checkout: repo.root,
    worktree: run.dir,
    records: join(repo.commonDir, 'kimi-dispatch'),
    kimiHome: run.home,
    kimiHomes: join(places.state, 'homes'),
    userKimi: userHome(env),
    apiUrls: [],
    hosts: [],
    verifyHosts: profile.verifyHosts,
    denyRead: profile.denyRead,
    allowRead: profile.allowRead,
    tools: programIn(root),
    ours: oursOf(env, places),
    claudeHome: env.CLAUDE_CONFIG_DIR,
    readOnly: false,
  });
}

/** A branch that was deleted by hand is put back at the run's commit. */
async function requireBranch(repo: Repo, run: RunState): Promise<void> {
  const ref = `refs/heads/${run.branch}`;
  const known = await gitAnswer(repo, ['rev-parse', '-q', '--verify', ref], { answers: [1, 128] });
  if (known.code === 0) return;
  const back =
    run.commit === undefined
      ? undefined
      : await gitAnswer(repo, ['update-ref', ref, run.commit, ''], { answers: [1, 128] });
  if (back?.code === 0) return;
  throw refuse(
    'wrong-state',
    `The worktree of ${run.id} is gone and its branch ${run.branch} too.`,
    `git apply ${join(runsFolder(repo.commonDir), run.id, 'changes.patch')}`,
  );
}

/** The steps before Kimi found this for a run; its worktree was made anew, so its files are given to it again. */
export async function provide(run: RunState, { repo, env, root }: TreeCall): Promise<void> {
  const record = join(runsFolder(repo.commonDir), run.id);
  const tree = at(repo, run.dir);
  const places = placesOf(env, repo);
  const profile = loadProfile(findPlan(repo, run)?.profile ?? 'default', places.config);
  const plan = await planProvision(repo, run.base, profile.setup);
  const walls = readWalls(record);
  const enclosure = walls === undefined ? undefined : new Enclosure(root, run.id, { ...walls, worktree: run.dir });
  const own = checkEnvironment(env, profile, repo.root);
  const call = { repo, enclosure, profile, state: places.state, env: own, base: run.base };
  try {
    // What lies there is the run's own commit, which Kimi wrote, or the base where it has none.
    const runner = await provisionerFor(call, plan, await git(tree, ['rev-parse', 'HEAD']));
    const log = join(record, 'provision.log');
    const walled = enclosure !== undefined;
    const place = { ...tree, env: own, marker: run.id, log, run: runner, walled };
    const made = await watchRun({ repo, env, run: run.id, walled }, () => provision(repo, plan, place));
    const { before } = readReady(record);
    const ignored = await ignoredIn(tree, {});
    keepReady(record, { provisioned: made.paths, ignored, ...(before === undefined ? {} : { before }) });
  } finally {
    enclosure?.close();
  }
}
