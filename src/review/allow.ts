import { join, posix } from 'node:path';
import { refuse } from '../errors.ts';
import { checkGate, type Gate } from '../gate/gate.ts';
import { readKnownKeys } from '../gate/known-keys.ts';
import { type Change, changesBetween } from '../git/change.ts';
import { unfiltered } from '../git/filters.ts';
import { append, runsFolder } from '../ledger/store.ts';
import { settleAt } from '../run/around.ts';
import { judgedParts } from '../run/assemble.ts';
import { judgeLater, type LaterCall, specOf } from '../run/later.ts';
import { explain, outcomeOf } from '../run/outcome.ts';
import { allowOutside, readOutside, watchRun } from '../run/outside.ts';
import { readReady } from '../run/ready.ts';
import type { Compared } from '../verify/compare.ts';
import { holdRun, openRun } from './lock.ts';
import { nextOf } from './next.ts';
import type { Result } from './result.ts';
import { keepResult, readResult } from './stored.ts';

export interface AllowCall extends LaterCall {
  readonly now: () => Date;
  /** Changed paths from the top of the repository; a folder means what the run changed in it. */
  readonly paths: readonly string[];
  readonly tests: readonly string[];
}

const JUDGED = ['succeeded', 'verification-failed', 'out-of-scope', 'unverified'];

/**
 * Records that a person accepts undeclared paths of a change, or that tests of some files are gone, and judges it again:
 * the gate always, the verification where tests were allowed.
 */
export const allow = (call: AllowCall): Promise<Result> =>
  holdRun(call.repo, call.run, () => allowAlone({ ...call, run: openRun(call.repo, call.run) }));

async function allowAlone(call: AllowCall): Promise<Result> {
  const { repo, now, tests } = call;
  const folder = join(runsFolder(repo.commonDir), call.run.id);
  const result = readResult(folder);
  requireAllowable(call, result);
  const { inside, outside } = meant(call, result);
  append(folder, { type: 'allowed', paths: inside, tests, outside }, now());
  allowOutside({ repo, run: call.run.id }, outside);
  const again = { ...call, run: openRun(repo, call.run) };
  const known = result.verification.map((row) => ({ ...row, before: row.before }));
  const rows = tests.length === 0 ? known : await verifyAgain(again, folder);
  const changes = await changesBetween(repo, again.run.base, again.run.commit ?? '');
  const judged = judgedAnew(again, result, { changes, rows, gate: await gateAgain(again, result, changes) });
  keepResult(folder, judged);
  append(folder, { type: 'run-ended', outcome: judged.outcome, commit: again.run.commit ?? '' }, now());
  return judged;
}

/** The result with what gate and verification say now. */
function judgedAnew(
  { paths, tests }: AllowCall,
  result: Result,
  { changes, rows, gate }: { changes: readonly Change[]; rows: readonly Compared[]; gate: Gate },
): Result {
  const outcome = outcomeOf({
    cancelled: false,
    attempt: undefined,
    review: false,
    changed: changes.length > 0,
    rows,
    violations: gate.violations.length,
  });
  const { reason: _reason, ...rest } = result;
  const reason = explain(outcome, undefined, 0, rows);
  const judged = {
    ...rest,
    outcome,
    ...(reason === undefined ? {} : { reason }),
    ...judgedParts(result.scope.kind, gate, rows),
    notes: [...result.notes, `allowed: ${[...paths, ...tests].join(', ')}`],
  };
  return { ...judged, next: nextOf(judged) };
}

/** The gate, with all that was allowed so far. */
async function gateAgain(call: AllowCall, result: Result, changes: readonly Change[]): Promise<Gate> {
  const { repo, run, env } = call;
  const { base, commit = '' } = run;
  const allowed = new Set(run.allowed?.paths);
  // Only what a person named goes without its filter.
  const there = changes.filter(({ status, path }) => status !== 'D' && !allowed.has(path)).map(({ path }) => path);
  const gate = await checkGate(repo, specOf(call), {
    changes,
    base,
    commit,
    known: readKnownKeys(env),
    unfiltered: await unfiltered(repo, there),
  });
  // What was seen outside of the change stands until it is allowed by its name.
  const inside = new Set(changes.map((change) => change.path));
  const named = new Set(call.paths);
  const said = result.scope.violations.filter(({ path }) => !inside.has(path) && !named.has(path));
  const since = readOutside({ repo, run: run.id }).violations;
  const outside = [
    ...said,
    ...since.filter(({ path, why }) => !said.some((one) => one.path === path && one.why === why)),
  ];
  const byHand = [...allowed].filter((path) => inside.has(path)).map((path) => ({ path, why: 'allowed by hand' }));
  return { ...gate, violations: [...outside, ...gate.violations], flags: [...gate.flags, ...byHand] };
}

function requireAllowable({ run, paths, tests }: AllowCall, result: Result): void {
  if (run.review !== 'waiting' || run.outcome === undefined || run.commit === undefined)
    throw refuse('wrong-state', `Run ${run.id} does not wait for review.`, 'kimi-dispatch status');
  if (!JUDGED.includes(result.outcome))
    throw refuse('wrong-state', `Run ${run.id} ended with ${result.outcome}.`, `kimi-dispatch resume ${run.id}`);
  if (paths.length + tests.length === 0)
    throw refuse('usage', 'allow needs a path, or --tests FILE.', `kimi-dispatch allow ${run.id} PATH...`);
}

/** The paths that are meant, in the change and outside of it; refuses a name that means none. */
function meant({ run, paths }: AllowCall, result: Result): { inside: string[]; outside: string[] } {
  const changed = result.changes.map((change) => change.path);
  const whole = new Set(changed);
  const violated = new Set(result.scope.violations.map(({ path }) => path));
  const inside = new Set<string>();
  const outside: string[] = [];
  const unknown: string[] = [];
  for (const name of paths) {
    const path = posix.normalize(name).replace(/\/$/, '');
    const found = whole.has(path) ? [path] : changed.filter((one) => one.startsWith(`${path}/`));
    for (const one of found) inside.add(one);
    if (found.length > 0) continue;
    if (violated.has(name)) outside.push(name);
    else unknown.push(name);
  }
  if (unknown.length === 0) return { inside: [...inside], outside };
  throw refuse('usage', `The run did not change ${unknown.slice(0, 10).join(', ')}.`, `kimi-dispatch diff ${run.id}`);
}

async function verifyAgain(call: AllowCall, folder: string): Promise<Compared[]> {
  const { repo, run } = call;
  const { base, commit = '' } = run;
  const judge = await judgeLater(call, base);
  try {
    const watch = { repo, env: call.env, run: run.id, walled: judge.walled };
    return await watchRun(watch, async () =>
      settleAt(judge, {
        repo,
        spec: specOf(call),
        from: base,
        to: commit,
        before: readReady(folder).before,
        after: await judge.check(commit, { logs: folder, label: 'allow' }),
        logs: folder,
        allowedTests: run.allowed?.tests ?? [],
      }),
    );
  } finally {
    await judge.close();
  }
}
