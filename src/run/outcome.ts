import type { Outcome } from '../errors.ts';
import type { Result, TaskLine } from '../review/result.ts';
import type { Compared } from '../verify/compare.ts';
import type { Attempt } from './attempt.ts';

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
  const denied = rows.find((row) => row.verdict === 'sandbox-denied');
  if (outcome === 'verification-failed' && denied !== undefined)
    return `sandbox-denied: ${denied.command} needs ${(denied.after.denied ?? []).join(', ')}. Allow it: verifyHosts in the profile`;
  const failure = attempt?.failure;
  return failure === undefined ? undefined : `${failure.kind}: ${failure.text} (${REMEDY[failure.kind] ?? ''})`;
}

export interface NextCall {
  readonly outcome: Outcome;
  readonly run: string;
  readonly branch: string;
  readonly changed: boolean;
  readonly failure: string | undefined;
  readonly rounds: number;
}

export const ROUNDS = 3;

/** What a reviewer can do next, as commands. */
export function nextCommands({ outcome, run, branch, changed, failure, rounds }: NextCall): string[] {
  const look = changed ? [`kimi-dispatch diff ${run}`] : [];
  const end = [`kimi-dispatch discard ${run}`];
  if (outcome === 'blocked') return [`kimi-dispatch answer ${run} "..."`, ...end];
  const back =
    rounds < ROUNDS
      ? [`kimi-dispatch revise ${run} --findings FILE`]
      : [`git merge --squash ${branch}  (sent back ${rounds} times: take over)`];
  if (outcome === 'succeeded') return [...look, `kimi-dispatch merge ${run}`, ...back, ...end];
  if (failure === 'auth') return ['kimi  (then /login)', `kimi-dispatch resume ${run}`, ...end];
  if (outcome === 'verification-failed' || outcome === 'out-of-scope')
    return [...look, `kimi-dispatch show ${run} --full`, ...back, ...end];
  return [...look, `kimi-dispatch show ${run} --full`, `kimi-dispatch resume ${run}`, ...end];
}

const WORST: readonly Outcome[] = [
  'internal-error',
  'cancelled',
  'agent-failed',
  'out-of-scope',
  'verification-failed',
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
