import { type Outcome, refuse } from '../errors.ts';
import type { RunState } from '../ledger/events.ts';
import type { Result, TaskLine } from '../review/result.ts';
import { type Compared, failing, verdictOfRows } from '../verify/compare.ts';
import type { Attempt } from './attempt.ts';
import { readReport } from './report.ts';

/** How a run ended, as facts. */
export interface Ending {
  readonly cancelled: boolean;
  readonly attempt: Pick<Attempt, 'outcome' | 'words'> | undefined;
  /** True for a run that reviews and may write nothing. */
  readonly review: boolean;
  readonly changed: boolean;
  readonly rows: readonly Pick<Compared, 'verdict' | 'after'>[];
  /** How many violations the gate found. */
  readonly violations: number;
}

/** The outcome of one run: the first that applies, by a fixed order. Pure. */
export function outcomeOf({ cancelled, attempt, review, changed, rows, violations }: Ending): Outcome {
  if (cancelled) return 'cancelled';
  if (attempt?.outcome !== undefined) return attempt.outcome;
  if (readReport(attempt?.words ?? '')?.status === 'blocked') return 'blocked';
  // A review that wrote nothing and reported is done; one that wrote got out of its walls.
  if (review) return changed ? 'out-of-scope' : (attempt?.words ?? '') === '' ? 'no-changes' : 'succeeded';
  if (!changed) return 'no-changes';
  const verdict = verdictOfRows(rows);
  if (verdict === 'failed') return 'verification-failed';
  if (violations > 0) return 'out-of-scope';
  return verdict === 'unverified' ? 'unverified' : 'succeeded';
}

export const usage = (attempt: Attempt, stepLimit: number, version: string): NonNullable<Result['kimi']> => ({
  version: attempt.version ?? version,
  steps: attempt.steps,
  stepLimit,
  durationMs: attempt.end.durationMs,
  ...(attempt.session === undefined ? {} : { session: attempt.session }),
  tokens: { ...attempt.tokens },
  unreadableLines: attempt.unreadable,
  survivors: attempt.end.survivors,
});

const REMEDY: Record<string, string> = {
  auth: 'start `kimi` and type /login',
  quota: 'wait for the quota to come back, or let Claude implement',
  'rate-limit': 'try again later',
  network: 'check the network, then run again',
  server: 'the service failed; try again later',
  context: 'the work is too large for one session; split the spec into tasks and use --waves',
  refused: 'the service refused the text; reword the spec',
  crashed: 'read stderr.log in the run folder',
};

/** The reason of an outcome, with its remedy; undefined when the outcome says it all. */
export function explain(
  outcome: Outcome,
  attempt: Attempt | undefined,
  wallSeconds: number,
  rows: readonly Compared[] = [],
): string | undefined {
  if (outcome === 'deadline')
    return `Kimi did not end within ${wallSeconds} s. More time: --timeout ${Math.round(wallSeconds * 2)}`;
  if (outcome === 'step-limit') return 'Kimi reached its step limit. More steps: --max-steps N';
  if (outcome === 'idle-timeout')
    return 'Kimi gave no sign of life, also after it was nudged. More patience: --idle SECONDS';
  if (outcome === 'no-first-output') return 'The model never said a word. Check the service, then run again';
  if (outcome === 'output-limit')
    return `Kimi wrote more than the profile allows (${attempt?.end.cause === 'disk' ? 'diskMegabytes' : 'outputMegabytes'})`;
  if (outcome === 'unverified') return whyUnverified(rows);
  const denied = rows.find((row) => row.verdict === 'sandbox-denied');
  const fewer = rows.find((row) => row.verdict === 'fewer-tests');
  if (outcome === 'verification-failed' && fewer !== undefined)
    return `${fewer.command}: ${fewer.why ?? 'fewer tests'}`;
  if (outcome === 'verification-failed' && denied !== undefined)
    return `sandbox-denied: ${denied.command} needs ${(denied.after.denied ?? []).join(', ')}. Allow it: verifyHosts in the profile`;
  const failure = attempt?.failure;
  return failure === undefined ? undefined : `${failure.kind}: ${failure.text} (${REMEDY[failure.kind] ?? ''})`;
}

function whyUnverified(rows: readonly Compared[]): string {
  if (rows.length === 0) return 'The spec names no verification command, so nothing could say yes';
  const each = rows
    .slice(0, 3)
    .map((row) => `${row.command} (${row.why ?? [row.verdict, row.after.message].filter(Boolean).join(': ')})`);
  return `Nothing failed, but no command could say yes: ${each.join('; ')}`;
}

export interface NextCall {
  readonly outcome: Outcome;
  readonly run: string;
  readonly branch: string;
  readonly changed: boolean;
  readonly failure: string | undefined;
  readonly rounds: number;
  /** True for a run that reviews: there is nothing to merge. */
  readonly review?: boolean;
  readonly rows?: readonly Pick<Compared, 'verdict' | 'after'>[];
}

const ROUNDS = 3;

/** The number of the round that sends a run's work back; refuses after the last one. */
export function nextRound({ id, rounds, base, branch }: Pick<RunState, 'id' | 'rounds' | 'base' | 'branch'>): number {
  if (rounds < ROUNDS) return rounds + 1;
  throw refuse(
    'wrong-state',
    `Run ${id} was sent back ${rounds} times; that is the limit.`,
    `Take over: git diff ${base.slice(0, 12)} ${branch} | git apply   (or git merge --squash ${branch})`,
  );
}

/** What a reviewer can do next, as commands. */
export function nextCommands(call: NextCall): string[] {
  const { outcome, run, branch, changed, failure, rounds } = call;
  const look = changed ? [`kimi-dispatch diff ${run}`] : [];
  const end = [`kimi-dispatch discard ${run}`];
  if (outcome === 'blocked') return [`kimi-dispatch answer ${run} "..."`, ...end];
  if (call.review === true) return [`kimi-dispatch show ${run} --full`, ...end];
  const back =
    rounds < ROUNDS
      ? [`kimi-dispatch revise ${run} --finding "path:line what to change"`]
      : [`git merge --squash ${branch}  (sent back ${rounds} times: take over)`];
  if (outcome === 'succeeded') return [...look, `kimi-dispatch merge ${run}`, ...back, ...end];
  if (outcome === 'unverified') return [...look, `kimi-dispatch merge ${run} --unverified`, ...back, ...end];
  if (failure === 'auth') return ['kimi  (then /login)', `kimi-dispatch resume ${run}`, ...end];
  if (outcome === 'out-of-scope') return [...look, `kimi-dispatch allow ${run} PATH...`, ...back, ...end];
  if (outcome === 'verification-failed') {
    const red = (call.rows ?? []).filter(failing);
    const onlyFewer = red.length > 0 && red.every((row) => row.verdict === 'fewer-tests');
    const allow = onlyFewer ? [`kimi-dispatch allow ${run} --tests FILE`] : [];
    return [...look, `kimi-dispatch show ${run} --full`, ...back, ...allow, ...end];
  }
  return [...look, `kimi-dispatch show ${run} --full`, `kimi-dispatch resume ${run}`, ...end];
}

const WORST: readonly Outcome[] = [
  'internal-error',
  'cancelled',
  'agent-failed',
  'out-of-scope',
  'verification-failed',
  'unverified',
  'step-limit',
  'deadline',
  'idle-timeout',
  'no-first-output',
  'output-limit',
  'blocked',
  'no-changes',
];

/** The outcome of a run in waves: the worst of its tasks by a fixed order; set aside or not started is not success. */
export function outcomeOfTasks(lines: readonly TaskLine[]): Outcome {
  if (lines.every((line) => line.state === 'integrated')) return 'succeeded';
  const aside = lines.flatMap((line) => (line.state === 'set-aside' ? [line.outcome] : []));
  if (aside.length > 0) return aside.includes('conflict') ? 'conflict' : 'verification-failed';
  return WORST.find((outcome) => lines.some((line) => line.outcome === outcome)) ?? 'agent-failed';
}
