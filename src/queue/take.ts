import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { checkGate } from '../gate/gate.ts';
import { git, gitAnswer } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import { changesBetween, writePatch } from '../git/worktree.ts';
import type { RunState } from '../ledger/events.ts';
import { append, findRun, readEvents, runsFolder, writeWhole } from '../ledger/store.ts';
import { ownerHere } from '../process/alive.ts';
import { commitPatch } from '../review/patch.ts';
import { fullReport } from '../review/present.ts';
import { type Result, resultSchema } from '../review/result.ts';
import { readResult } from '../review/stored.ts';
import { lostResult } from '../run/recover.ts';
import { parseSpec } from '../spec/parse.ts';
import type { DispatchCall } from './dispatch.ts';
import { type Answer, FOLDER, type Order, readOrder, unpack } from './order.ts';
import { taskId } from './wave.ts';

/**
 * Takes over what a worker made. Spec, base, change and gate are looked at again here: what is merged later is what was
 * checked on this machine. Twice is once.
 */
export async function takeResult(call: DispatchCall, data: unknown, answer: Answer): Promise<Result> {
  const { repo } = call;
  const order = readOrder(data, (data as Order).version);
  const folder = join(runsFolder(repo.commonDir), order.run);
  if (readEvents(folder).some((event) => event.type === 'run-ended')) return readResult(folder);
  const { done } = order;
  if (done === undefined) throw refuse('gate', `The result of ${order.run} is not in the queue.`);
  const theirs = JSON.parse(JSON.stringify(done.result).replaceAll(FOLDER, folder)) as Result;
  if (theirs.run !== order.run || theirs.base !== order.base || theirs.spec.digest !== order.digest)
    throw refuse('gate', `The result is not of the run ${order.run}.`, `kimi-dispatch discard ${order.run}`);
  const commit = theirs.changes.length === 0 ? undefined : await bring(repo, order, answer);
  const judged = commit === undefined ? theirs : await judge(repo, order, { theirs, commit });
  const notes = [...judged.notes, ...(answer.note === undefined ? [] : [answer.note])];
  const plan = { ...done.plan, dir: '', home: join(call.homes, order.run) };
  writeWhole(join(folder, 'plan.json'), JSON.stringify(plan));
  for (const [path, text] of Object.entries(done.logs)) writeWhole(join(folder, path), unpack(text).toString());
  return record(call, { ...judged, notes, branch: order.branch, worktree: '' }, commit);
}

/** The commit: from the remote when it is exactly the one that the worker names, else made here from the patch. */
async function bring(repo: Repo, order: Order, answer: Answer): Promise<string> {
  const { commit } = answer;
  if (commit !== undefined && answer.pushed) {
    const ref = `refs/kimi-dispatch/taken/${order.run}`;
    const fetch = ['fetch', '-q', '--no-tags', '--no-write-fetch-head', '--end-of-options', order.remote];
    await gitAnswer(repo, [...fetch, `+refs/heads/${order.branch}:${ref}`], { answers: [1, 128], quiet: true });
    const found = await gitAnswer(repo, ['rev-parse', '-q', '--verify', ref], { answers: [1, 128] });
    await gitAnswer(repo, ['update-ref', '-d', ref], { answers: [1, 128], quiet: true });
    const above = await gitAnswer(repo, ['merge-base', '--is-ancestor', order.base, commit], { answers: [1, 128] });
    if (found.stdout.trim() === commit && above.code === 0) return commit;
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
  const { commit: _commit, ...rest } = result;
  const kept = resultSchema.parse({
    ...rest,
    ...(commit === undefined ? {} : { commit }),
    spec: { ...result.spec, path: join(folder, 'spec.md') },
    files,
  });
  if (commit !== undefined) {
    await git(repo, ['update-ref', `refs/heads/${result.branch}`, commit], { quiet: true });
    await writePatch(repo, { from: result.base, to: commit, file: files.patch });
  }
  writeWhole(join(folder, 'result.json'), `${JSON.stringify(kept, null, 2)}\n`);
  writeWhole(files.report, fullReport(kept));
  const end = { type: 'run-ended', outcome: kept.outcome, ...(commit === undefined ? {} : { commit }) } as const;
  call.watch(append(folder, end, call.now()));
  return kept;
}

/** The runs of a wave's tasks: on record here too, so that what was set aside can be looked at. */
export async function takeTasks(call: DispatchCall, order: Order): Promise<void> {
  if (order.wave === undefined) return;
  for (const { number } of parseSpec(order.spec).spec.tasks) {
    const job = await call.door.queue.getJob(taskId(order.run, number));
    const data = job?.data as Order | undefined;
    if (data?.done === undefined || !job?.returnvalue) continue;
    const folder = join(runsFolder(call.repo.commonDir), data.run);
    const base = await gitAnswer(call.repo, ['cat-file', '-e', `${data.base}^{commit}`], {
      answers: [1, 128],
      quiet: true,
    });
    if (base.code !== 0 || readEvents(folder).length > 0) continue;
    begin({ ...call, watch: () => {} }, data, { parent: order.run });
    await takeResult({ ...call, watch: () => {} }, data, job.returnvalue as Answer);
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
  const reason = stalled ? 'Two workers died over this run. Nothing was verified.' : `The worker failed: ${why}`;
  return recordNothing(call, run, { outcome: stalled ? 'lost' : 'internal-error', reason });
}

/** A run that left the queue before a worker took it. */
export const takeCancelled = (call: DispatchCall, run: string): Promise<Result> =>
  recordNothing(call, run, { outcome: 'cancelled', reason: 'Cancelled before a worker began.' });

function recordNothing(call: DispatchCall, id: string, end: Pick<Result, 'outcome' | 'reason'>): Promise<Result> {
  const run = findRun(call.repo.commonDir, id);
  const folder = join(runsFolder(call.repo.commonDir), id);
  const nothing = lostResult(run, { folder, now: call.now(), commit: undefined, changes: [] });
  return record(call, { ...nothing, ...end }, undefined);
}
