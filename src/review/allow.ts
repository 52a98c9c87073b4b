import { join, posix } from 'node:path';
import { refuse } from '../errors.ts';
import { checkGate, type Gate } from '../gate/gate.ts';
import { readKnownKeys } from '../gate/known-keys.ts';
import { type Change, changesBetween } from '../git/change.ts';
import { unfiltered } from '../git/filters.ts';
import { append, runsFolder } from '../ledger/store.ts';
import { aroundOf } from '../run/around.ts';
import { judgedParts } from '../run/assemble.ts';
import { judgeLater, type LaterCall, specOf } from '../run/later.ts';
import { explain, outcomeOf } from '../run/outcome.ts';
import { readReady } from '../run/ready.ts';
import type { Compared } from '../verify/compare.ts';
import { settle } from '../verify/settle.ts';
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
  append(folder, { type: 'allowed', paths: changedUnder(call, result), tests }, now());
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
    ...judgedParts(gate, rows),
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
  // What was seen outside of the change stands whatever is allowed.
  const inside = new Set(changes.map((change) => change.path));
  const outside = result.scope.violations.filter(({ path }) => !inside.has(path));
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

/** The changed paths that are meant; refuses a name that means none. */
function changedUnder({ run, paths }: AllowCall, result: Result): string[] {
  const changed = result.changes.map((change) => change.path);
  const whole = new Set(changed);
  const found = new Set<string>();
  const unknown: string[] = [];
  for (const name of paths) {
    const path = name === '' ? '' : posix.normalize(name).replace(/\/$/, '');
    const meant = whole.has(path) ? [path] : path === '' ? [] : changed.filter((one) => one.startsWith(`${path}/`));
    if (meant.length === 0) unknown.push(name);
    for (const one of meant) found.add(one);
  }
  if (unknown.length === 0) return [...found];
  const some = unknown.slice(0, 10).map((name) => (name === '' ? '""' : name));
  throw refuse('usage', `The run did not change ${some.join(', ')}.`, `kimi-dispatch diff ${run.id}`);
}

async function verifyAgain(call: AllowCall, folder: string): Promise<Compared[]> {
  const { repo, run } = call;
  const { base, commit = '' } = run;
  const judge = await judgeLater(call, base);
  try {
    const around = await aroundOf(repo, specOf(call), {
      from: base,
      to: commit,
      allowedTests: run.allowed?.tests ?? [],
    });
    return await settle({
      before: readReady(folder).before,
      after: await judge.check(commit, { logs: folder, label: 'allow' }),
      around,
      again: (index, side) => judge.again(side === 'before' ? base : commit, index, folder),
    });
  } finally {
    await judge.close();
  }
}
