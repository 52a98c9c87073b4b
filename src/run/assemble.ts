import { join } from 'node:path';
import type { Outcome } from '../errors.ts';
import type { Gate, Remark } from '../gate/gate.ts';
import type { Seen } from '../gate/tripwire/tripwire.ts';
import type { Collected } from '../git/collect.ts';
import { patchDigest } from '../review/patch.ts';
import type { Result } from '../review/result.ts';
import type { Check, Compared } from '../verify/compare.ts';
import type { Attempt } from './attempt.ts';
import { explain, nextCommands, usage } from './outcome.ts';
import { contradictions, readReport } from './report.ts';
import type { Prepared } from './run.ts';

/** What a run gathers on its way; every step reads it and adds its own part. */
export interface Gathered {
  provisioned: string[];
  before?: Check[];
  attempt?: Attempt;
  collected?: Collected;
  gate?: Gate;
  /** What changed outside the worktree; looked at without a sandbox only. */
  outside?: Seen;
  rows: Compared[];
  notes: string[];
}

export interface Ended {
  readonly outcome: Outcome;
  readonly reason: string | undefined;
  readonly startedAt: string;
  readonly folder: string;
  /** How often the work was sent back so far. */
  readonly rounds: number;
}

/** All that gates the merge, outside the change and in it. */
export const violationsOf = ({ outside, gate }: Pick<Gathered, 'outside' | 'gate'>): Remark[] => [
  ...(outside?.violations ?? []),
  ...(gate?.violations ?? []),
];

/** Puts the result of an ended run together. Reads the clock of the request and the patch, else pure. */
export function assemble(prepared: Prepared, gathered: Gathered, ended: Ended): Result {
  const { plan, request } = prepared;
  const { attempt, collected, gate, rows } = gathered;
  const { outcome, folder } = ended;
  const changes = collected?.changes ?? [];
  const report = readReport(attempt?.words ?? '');
  const reason = ended.reason ?? explain(outcome, attempt, plan.limits.wallSeconds, rows);
  return {
    version: 2,
    run: plan.run,
    title: plan.title,
    spec: { digest: plan.digest, path: join(folder, 'spec.md') },
    outcome,
    ...(reason === undefined ? {} : { reason }),
    base: plan.base,
    branch: plan.branch,
    ...(collected === undefined ? {} : { commit: collected.commit }),
    worktree: plan.dir,
    startedAt: ended.startedAt,
    endedAt: request.now().toISOString(),
    ...(attempt === undefined ? {} : { kimi: usage(attempt, plan.limits.steps, plan.kimi.version) }),
    rounds: ended.rounds,
    sandbox: plan.sandbox,
    changes: [...changes],
    ...judgedParts(request.spec.scope, { flags: [], untouched: [], ...gate, violations: violationsOf(gathered) }, rows),
    ...(plan.review === true && attempt !== undefined ? { review: attempt.words } : {}),
    manual: manualChecks(prepared),
    ...(report === undefined ? {} : { report }),
    contradictions:
      report === undefined
        ? []
        : contradictions(
            report,
            changes.map((change) => change.path),
          ),
    notes: notesOf(prepared, gathered),
    next: nextCommands({
      outcome,
      run: plan.run,
      branch: plan.branch,
      changed: changes.length > 0,
      failure: attempt?.failure?.kind,
      rounds: ended.rounds,
      review: plan.review === true,
      rows,
    }),
    files: { folder, patch: join(folder, 'changes.patch'), report: join(folder, 'report.md') },
    ...(collected === undefined ? {} : { patchDigest: patchDigest(join(folder, 'changes.patch')) }),
  };
}

/** What gate and verification found, as a result says it. */
export const judgedParts = (
  kind: Result['scope']['kind'],
  gate: Gate,
  rows: readonly Compared[],
): Pick<Result, 'scope' | 'flags' | 'verification'> => ({
  scope: {
    kind,
    violations: gate.violations.map(({ path, why }) => ({ path, why })),
    untouched: [...gate.untouched],
  },
  flags: gate.flags.map(({ path, why }) => ({ path, why })),
  verification: rows.map((row) => ({ ...row, newlyFailing: [...row.newlyFailing] })) as Result['verification'],
});

const manualChecks = ({ request }: Prepared): string[] =>
  [...request.spec.tasks.flatMap((task) => task.verification), ...request.spec.verification]
    .filter((item) => item.kind === 'manual')
    .map((item) => item.text);

function notesOf({ plan, sandbox, home, warnings }: Prepared, { attempt, notes, outside }: Gathered): string[] {
  const dirty = plan.uncommitted;
  const survivors = attempt?.end.survivors ?? 0;
  return [
    ...warnings,
    ...(dirty.length === 0
      ? []
      : [`${dirty.length} uncommitted paths of your checkout are not in this run: ${dirty.slice(0, 3).join(', ')}`]),
    ...(survivors > 0 ? [`${survivors} processes outlived Kimi and were ended`] : []),
    ...(plan.kimi.flavour === 'kimi-code' && !/^[0-2]\./.test(plan.kimi.version)
      ? [`Kimi ${plan.kimi.version} is newer than the versions this was tried with (2.x)`]
      : []),
    ...(attempt?.end.cause === 'finished' ? ['Kimi had ended its work and did not leave; it was ended'] : []),
    ...(attempt?.end.denied ?? []).map((host) => `sandbox refused Kimi the host ${host} (profile: hosts)`),
    ...(attempt?.end.closed ?? []).map((path) => `sandbox closed ${path} to Kimi (profile: allowRead)`),
    ...(sandbox.on || sandbox.why === '' ? [] : [`no sandbox: ${sandbox.why}`]),
    ...(home.left.length === 0 ? [] : [`left behind of your Kimi: ${home.left.join('; ')}`]),
    ...notes,
    ...(outside?.notes ?? []),
  ];
}
