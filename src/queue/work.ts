import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { refuse } from '../errors.ts';
import { gitAnswer } from '../git/git.ts';
import { openRepo, type Repo } from '../git/repo.ts';
import type { RunEvent } from '../ledger/events.ts';
import { findRun, listRuns, runsFolder } from '../ledger/store.ts';
import { ownerLives } from '../process/alive.ts';
import { commitPatch } from '../review/patch.ts';
import type { Result } from '../review/result.ts';
import { discard } from '../review/undo.ts';
import { execute } from '../run/execute.ts';
import type { RunPlan } from '../run/plan.ts';
import { recover } from '../run/recover.ts';
import { type Prepared, prepare, type SandboxMode } from '../run/run.ts';
import { parseSpec } from '../spec/parse.ts';
import { isBelow } from './address.ts';
import { type Done, FOLDER, LARGEST, type Order, pack, unpack } from './order.ts';
import { cloneOf, fetchCommit, forgetCommit, pushCommit } from './remote.ts';

/** What a worker has: its own home, its own credentials for git and Kimi. */
export interface WorkerPlace {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly gitEnv: Record<string, string>;
  /** The folder of its clones. */
  readonly clones: string;
  readonly root: string;
  readonly now: () => Date;
  readonly sandbox: SandboxMode;
  readonly remotes: readonly string[];
}

export interface WorkCall {
  readonly order: Order;
  /** Which try of this order it is, from 1: a run that is taken over gets a record of its own. */
  readonly round: number;
  readonly signal: AbortSignal;
  readonly watch: (event: RunEvent) => void;
  /** Called when all checks have passed, before anything starts; throws to put the order back. */
  readonly admit: (prepared: Prepared) => Promise<void>;
}

const localId = (run: string, round: number): string => (round > 1 ? `${run}-r${round}` : run);

/** The clone that an order is carried out in, with the base in it. */
export async function openClone(place: WorkerPlace, order: Order): Promise<Repo> {
  if (place.remotes.length > 0 && !place.remotes.some((start) => isBelow(order.remote, start)))
    throw refuse('preflight', `This worker does not work for ${order.remote}.`, 'remotes = [...] in its [queue]');
  const repo = await cloneOf(place.clones, order.remote, place.gitEnv);
  await fetchCommit(repo, order.remote, { commit: order.base, run: order.run });
  return repo;
}

/** What a worker that died here left behind: its processes end, its worktrees go, its keys too. */
export async function recoverClones(place: WorkerPlace): Promise<void> {
  const names = existsSync(place.clones) ? readdirSync(place.clones) : [];
  for (const name of names.filter((item) => existsSync(join(place.clones, item, '.git')))) {
    const repo = await openRepo(join(place.clones, name), place.gitEnv);
    await recover(repo, place.now);
    const dead = listRuns(repo.commonDir).filter((run) => !ownerLives(run));
    for (const run of dead) await tidy(repo, run.id, { round: 1, now: place.now() });
  }
}

/** Carries an order out in a clone, as any run. */
export async function carryOut(repo: Repo, place: WorkerPlace, call: WorkCall): Promise<Done> {
  const { order, round } = call;
  const id = localId(order.run, round);
  const prepared = await prepare({
    repo,
    spec: parseSpec(order.spec).spec,
    specText: order.spec,
    env: place.env,
    root: place.root,
    now: place.now,
    known: { uncommitted: [] },
    options: { ...order.options, profile: order.profile, base: order.base, sandbox: place.sandbox, id },
  });
  await call.admit(prepared);
  const result = await execute(prepared, call.watch, { signal: call.signal });
  return packDone(order, result, prepared.plan);
}

/** The result under the name that it was ordered by. */
export function packDone(order: Order, result: Result, plan: RunPlan): Done {
  const text = JSON.stringify({ ...result, worktree: '' }).replaceAll(result.files.folder, FOLDER);
  const named = JSON.parse(text.replaceAll(result.run, order.run)) as Result;
  const patch = existsSync(result.files.patch) ? readFileSync(result.files.patch) : Buffer.alloc(0);
  const packed = pack(patch);
  if (packed.length > LARGEST)
    throw refuse('gate', 'The change is too large for the queue (20 MB).', 'Run it here: --no-queue');
  return {
    result: { ...named, branch: order.branch, ...(result.commit === undefined ? {} : { commit: result.commit }) },
    plan: {
      kimi: plan.kimi,
      limits: plan.limits,
      sandbox: plan.sandbox,
      steps: [...plan.steps],
      ...(plan.review === undefined ? {} : { review: plan.review }),
    },
    patch: packed,
    logs: Object.fromEntries(logsOf(result).map((path) => [relative(result.files.folder, path), pack(tailOf(path))])),
  };
}

const logsOf = (result: Result): string[] =>
  result.verification
    .flatMap(({ before, after }) => [before?.log ?? '', after.log ?? ''])
    .filter((path) => path.startsWith(result.files.folder) && existsSync(path));

/** Enough of a log to see what failed. */
const tailOf = (path: string): Buffer => readFileSync(path).subarray(-256 * 1024);

/** Pushes what was made. The commit may be another worker's, which died: then it is made again from the patch. */
export async function publish(repo: Repo, order: Order, done: Done): Promise<{ commit?: string; refused?: string }> {
  if (done.result.commit === undefined || done.result.changes.length === 0) return {};
  const commit = await ownCommit(repo, order, done);
  const refused = await pushCommit(repo, order.remote, { commit, branch: order.branch });
  return { commit, ...(refused === undefined ? {} : { refused }) };
}

async function ownCommit(repo: Repo, order: Order, done: Done): Promise<string> {
  const commit = done.result.commit ?? '';
  const known = await gitAnswer(repo, ['cat-file', '-e', `${commit}^{commit}`], { answers: [1, 128] });
  if (known.code === 0) return commit;
  return commitPatch(repo, { patch: unpack(done.patch), base: order.base, result: done.result });
}

/** After an order nothing of it stays on the worker: the worktree goes back to the pool. */
export async function tidy(repo: Repo, name: string, call: { round: number; now: Date }): Promise<void> {
  const id = localId(name, call.round);
  const folder = join(runsFolder(repo.commonDir), id);
  if (existsSync(join(folder, 'events.ndjson'))) {
    const run = findRun(repo.commonDir, id);
    if (run.review === 'waiting') await discard(repo, run, call.now);
  }
  rmSync(folder, { recursive: true, force: true });
  await forgetCommit(repo, name);
}
