import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { checkGate } from '../gate/gate.ts';
import { readKnownKeys } from '../gate/known-keys.ts';
import { changesBetween } from '../git/change.ts';
import { unfiltered, whyUnfiltered } from '../git/filters.ts';
import { append, runsFolder } from '../ledger/store.ts';
import { aroundOf } from '../run/around.ts';
import { judgeLater, type LaterCall, specOf } from '../run/later.ts';
import { nextCommands, outcomeOf } from '../run/outcome.ts';
import { allowOutside, readOutside, watchRun } from '../run/outside.ts';
import { readReady } from '../run/ready.ts';
import type { Compared } from '../verify/compare.ts';
import { settle } from '../verify/settle.ts';
import { holdRun, openRun } from './lock.ts';
import type { Result } from './result.ts';
import { keepResult, readResult } from './stored.ts';

export interface AllowCall extends LaterCall {
  readonly now: () => Date;
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
  const { repo, now, paths, tests } = call;
  const folder = join(runsFolder(repo.commonDir), call.run.id);
  const result = readResult(folder);
  requireAllowable(call, result);
  const changed = new Set(result.changes.map((change) => change.path));
  const inChange = paths.filter((path) => changed.has(path));
  const outsideOf = paths.filter((path) => !changed.has(path));
  append(folder, { type: 'allowed', paths: inChange, tests, outside: outsideOf }, now());
  allowOutside({ repo, run: call.run.id }, outsideOf);
  const run = openRun(repo, call.run);
  const again = { ...call, run };
  const rows = tests.length === 0 ? result.verification : await verifyAgain(again, folder);
  const { base } = run;
  const commit = run.commit ?? '';
  const changes = await changesBetween(repo, base, commit);
  const known = readKnownKeys(call.env);
  const { violations, flags, untouched } = await checkGate(repo, specOf(again), { changes, base, commit, known });
  // What was seen outside of the change stands until it is allowed by its name.
  const said = result.scope.violations.filter(({ path }) => !changed.has(path) && !outsideOf.includes(path));
  const since = readOutside({ repo, run: run.id }).violations;
  const outside = [
    ...said,
    ...since.filter(({ path, why }) => !said.some((one) => one.path === path && one.why === why)),
  ];
  // Nor does it make a filter run that was not.
  const there = changes.filter(({ status, path }) => status !== 'D' && !paths.includes(path));
  const raw = await unfiltered(
    repo,
    there.map(({ path }) => path),
  );
  const all = [...outside, ...[...raw].map(([path, name]) => ({ path, why: whyUnfiltered(name) })), ...violations];
  const outcome = outcomeOf({
    cancelled: false,
    attempt: undefined,
    review: false,
    changed: changes.length > 0,
    rows,
    violations: all.length,
  });
  const { reason: _reason, ...rest } = result;
  const judged: Result = {
    ...rest,
    outcome,
    verification: rows.map((row) => ({ ...row, newlyFailing: [...row.newlyFailing] })) as Result['verification'],
    scope: { ...result.scope, violations: all.map(({ path, why }) => ({ path, why })), untouched: [...untouched] },
    flags: [
      ...flags.map(({ path, why }) => ({ path, why })),
      ...paths.map((path) => ({ path, why: 'allowed by hand' })),
    ],
    notes: [...result.notes, `allowed: ${[...paths, ...tests].join(', ')}`],
    next: nextCommands({
      outcome,
      run: run.id,
      branch: run.branch,
      changed: true,
      failure: undefined,
      rounds: run.rounds,
      rows,
    }),
  };
  keepResult(folder, judged);
  append(folder, { type: 'run-ended', outcome, commit }, now());
  return judged;
}

function requireAllowable({ run, paths, tests }: AllowCall, result: Result): void {
  if (run.review !== 'waiting' || run.outcome === undefined || run.commit === undefined)
    throw refuse('wrong-state', `Run ${run.id} does not wait for review.`, 'kimi-dispatch status');
  if (!JUDGED.includes(result.outcome))
    throw refuse('wrong-state', `Run ${run.id} ended with ${result.outcome}.`, `kimi-dispatch resume ${run.id}`);
  if (paths.length + tests.length === 0)
    throw refuse('usage', 'allow needs a path, or --tests FILE.', `kimi-dispatch allow ${run.id} PATH...`);
  const known = new Set([...result.changes, ...result.scope.violations].map(({ path }) => path));
  const unknown = paths.filter((path) => !known.has(path));
  if (unknown.length > 0)
    throw refuse('usage', `The run did not change ${unknown.join(', ')}.`, `kimi-dispatch diff ${run.id}`);
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
    const watch = { repo, env: call.env, run: run.id, walled: judge.walled };
    return await watchRun(watch, async () =>
      settle({
        before: readReady(folder).before,
        after: await judge.check(commit, { logs: folder, label: 'allow' }),
        around,
        again: (index, side) => judge.again(side === 'before' ? base : commit, index, folder),
      }),
    );
  } finally {
    await judge.close();
  }
}
