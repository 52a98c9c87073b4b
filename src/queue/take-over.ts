import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { writeWhole } from '../files.ts';
import { checkGate } from '../gate/gate.ts';
import { changesBetween, writePatch } from '../git/change.ts';
import { git, gitAnswer } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { append, findRun, readEvents, runsFolder } from '../ledger/store.ts';
import { ownerHere } from '../process/alive.ts';
import { nextOf } from '../review/next.ts';
import { commitPatch, patchDigest } from '../review/patch.ts';
import { type Result, resultSchema } from '../review/result.ts';
import { keepResult, readResult } from '../review/stored.ts';
import type { RunPlan } from '../run/plan.ts';
import { lostResult } from '../run/recover.ts';
import { parseSpec } from '../spec/parse.ts';
import type { DispatchCall } from './dispatch.ts';
import { type Answer, type Done, FOLDER, type Order, readOrder, unpack } from './order.ts';
import { fetchBranch } from './remote.ts';
import { readTask } from './task.ts';

/**
 * Takes over what a worker made. It is compared with what was ordered, as this machine knows it, and the gate looks at
 * it again here: what is merged later is what was checked on this machine. Twice is once.
 */
export async function takeResult(call: DispatchCall, data: unknown, answer: Answer): Promise<Result> {
  const { repo } = call;
  const order = ownOrder(call, readOrder(data, (data as Order).version));
  const folder = join(runsFolder(repo.commonDir), order.run);
  if (readEvents(folder).some((event) => event.type === 'run-ended')) return readResult(folder);
  const { done } = order;
  if (done === undefined) throw refuse('gate', `The result of ${order.run} is not in the queue.`);
  const theirs = JSON.parse(JSON.stringify(done.result).replaceAll(FOLDER, folder)) as Result;
  const commit = theirs.changes.length === 0 ? undefined : await bring(call, order, answer);
  const judged = commit === undefined ? theirs : await judge(repo, order, { theirs, commit });
  const notes = [...judged.notes, ...(answer.note === undefined ? [] : [answer.note])];
  writeWhole(join(folder, 'plan.json'), JSON.stringify(ownPlan(call, order, done)));
  for (const [path, text] of Object.entries(done.logs)) writeWhole(join(folder, path), unpack(text).toString());
  const own = { ...judged, notes, run: order.run, branch: order.branch, worktree: '' };
  return record(call, { ...own, next: nextOf(own) }, commit);
}

/** The order as it was given here: the record and the spec of this machine, not those of the queue. */
function ownOrder({ repo, remote }: DispatchCall, order: Order): Order {
  const run = findRun(repo.commonDir, order.run);
  const spec = readFileSync(join(runsFolder(repo.commonDir), run.id, 'spec.md'), 'utf8');
  for (const name of ['base', 'branch', 'digest'] as const)
    if (run[name] !== order[name])
      throw refuse(
        'gate',
        `What is in the queue is not what was ordered: its ${name} differs.`,
        `kimi-dispatch discard ${run.id}`,
      );
  return { ...order, spec, remote };
}

/** A plan for another attempt, which is made on this machine. */
function ownPlan(call: DispatchCall, order: Order, done: Done): RunPlan {
  const { kimi, limits, sandbox, steps, review } = done.plan;
  const { run, title, digest, base, branch, profile } = order;
  const own = { version: 1, run, title, digest, base, branch, profile, dir: '', home: join(call.homes, run) } as const;
  return { ...own, kimi, limits, sandbox, steps, uncommitted: [], ...(review === undefined ? {} : { review }) };
}

/** The commit: from the remote when it is exactly the one that the worker names, else made here from the patch. */
async function bring({ repo }: DispatchCall, order: Order, answer: Answer): Promise<string> {
  const { commit } = answer;
  if (commit !== undefined && answer.pushed) {
    const ref = `refs/kimi-dispatch/taken/${order.run}`;
    const found = await fetchBranch(repo, order.remote, { branch: order.branch, to: ref });
    const above = await gitAnswer(repo, ['merge-base', '--is-ancestor', order.base, commit], { answers: [1, 128] });
    await gitAnswer(repo, ['update-ref', '-d', ref], { answers: [1, 128] });
    if (found === commit && above.code === 0) return commit;
  }
  const { result, patch } = order.done ?? {};
  if (result === undefined || patch === undefined) throw refuse('gate', `The change of ${order.run} is not there.`);
  return commitPatch(repo, { patch: unpack(patch), base: order.base, result });
}

/** The gate again, on what is really there. */
async function judge(repo: Repo, order: Order, what: { theirs: Result; commit: string }): Promise<Result> {
  const { theirs, commit } = what;
  const changes = await changesBetween(repo, order.base, commit);
  const gate = await checkGate(repo, parseSpec(order.spec).spec, { changes, base: order.base, commit });
  const violations = gate.violations.map(({ path, why }) => ({ path, why }));
  const outcome = theirs.outcome === 'succeeded' && violations.length > 0 ? 'out-of-scope' : theirs.outcome;
  const scope = { ...theirs.scope, violations: [...theirs.scope.violations, ...violations].filter(once) };
  return { ...theirs, outcome, changes, scope };
}

const once = <T extends { path: string; why: string }>(item: T, index: number, all: T[]): boolean =>
  all.findIndex((other) => other.path === item.path && other.why === item.why) === index;

async function record(call: DispatchCall, result: Result, commit: string | undefined): Promise<Result> {
  const { repo } = call;
  const folder = join(runsFolder(repo.commonDir), result.run);
  const files = { folder, patch: join(folder, 'changes.patch'), report: join(folder, 'report.md') };
  const { commit: _commit, patchDigest: _digest, ...rest } = result;
  if (commit !== undefined) {
    await git(repo, ['update-ref', `refs/heads/${result.branch}`, commit]);
    await writePatch(repo, { from: result.base, to: commit, file: files.patch });
  }
  const kept = resultSchema.parse({
    ...rest,
    ...(commit === undefined ? {} : { commit, patchDigest: patchDigest(files.patch) }),
    spec: { ...result.spec, path: join(folder, 'spec.md') },
    files,
  });
  keepResult(folder, kept);
  const end = { type: 'run-ended', outcome: kept.outcome, ...(commit === undefined ? {} : { commit }) } as const;
  call.watch(append(folder, end, call.now()));
  return kept;
}

/** The runs of a wave's tasks: on record here too, so that what was set aside can be looked at. */
export async function takeTasks(call: DispatchCall, data: unknown): Promise<void> {
  const order = ownOrder(call, readOrder(data, (data as Order).version));
  if (order.wave === undefined) return;
  const quiet = { ...call, watch: () => {} };
  for (const { number } of parseSpec(order.spec).spec.tasks) {
    const end = await readTask(call.door, order, { task: number });
    if (end?.answer === undefined || end.order.done === undefined) continue;
    const { order: task, answer } = end;
    const base = await gitAnswer(call.repo, ['cat-file', '-e', `${task.base}^{commit}`], {
      answers: [1, 128],
    });
    const known = readEvents(join(runsFolder(call.repo.commonDir), task.run)).length > 0;
    if (base.code !== 0 || known) continue;
    begin(quiet, task, { parent: order.run });
    await takeResult(quiet, task, answer);
  }
}

/** Puts a run that others carry out on record. */
export function begin(call: DispatchCall, order: Order, from: Partial<RunState>): void {
  const folder = join(runsFolder(call.repo.commonDir), order.run);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeWhole(join(folder, 'spec.md'), order.spec);
  const { run: id, title, digest, base, branch } = order;
  const facts = { id, title, digest, base, branch, dir: '', home: join(call.homes, id), queued: true, ...from };
  call.watch(append(folder, { type: 'run-started', v: 1, ...facts, ...ownerHere() }, call.now()));
}

/** A run that two workers died over, or that ended in a defect of ours. */
export function takeLost(call: DispatchCall, run: string, why: string): Promise<Result> {
  const stalled = /stalled/.test(why);
  const reason = stalled
    ? 'Two workers died over this run, or fell silent. Nothing was verified.'
    : `The worker failed: ${why}`;
  return recordNothing(call, run, { outcome: stalled ? 'lost' : 'internal-error', reason });
}

/** A run that left the queue before a worker took it. */
export const takeCancelled = (call: DispatchCall, run: string): Promise<Result> =>
  recordNothing(call, run, { outcome: 'cancelled', reason: 'Cancelled before a worker began.' });

function recordNothing(call: DispatchCall, id: string, end: Pick<Result, 'outcome' | 'reason'>): Promise<Result> {
  const run = findRun(call.repo.commonDir, id);
  const folder = join(runsFolder(call.repo.commonDir), id);
  const nothing = lostResult(run, { folder, now: call.now(), commit: undefined, changes: [], notes: [] });
  return record(call, { ...nothing, ...end }, undefined);
}
