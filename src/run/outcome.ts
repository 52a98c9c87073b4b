import type { Outcome } from '../errors.ts';
import type { checkScope } from '../gate/scope.ts';
import type { Result } from '../review/result.ts';
import type { Attempt } from './attempt.ts';

export const toMutable = (scope: ReturnType<typeof checkScope>): Result['scope'] => ({
  violations: [...scope.violations],
  untouched: [...scope.untouched],
});

export const usage = (attempt: Attempt, stepLimit: number, version: string): NonNullable<Result['kimi']> => ({
  version: attempt.version ?? version,
  steps: attempt.steps,
  stepLimit,
  durationMs: attempt.end.durationMs,
  ...(attempt.session === undefined ? {} : { session: attempt.session }),
  unreadableLines: attempt.unreadable,
  survivors: attempt.end.survivors,
});

const REMEDY: Record<string, string> = {
  auth: 'start `kimi` and type /login',
  quota: 'wait for the quota to come back, or let Claude implement',
  'rate-limit': 'try again later',
  network: 'check the network, then run again',
  server: 'the service failed; try again later',
  refused: 'the service refused the text; reword the spec',
  crashed: 'read stderr.log in the run folder',
};

/** The reason of an outcome, with its remedy; undefined when the outcome says it all. */
export function explain(outcome: Outcome, attempt: Attempt | undefined, wallSeconds: number): string | undefined {
  if (outcome === 'deadline')
    return `Kimi did not end within ${wallSeconds} s. More time: --timeout ${Math.round(wallSeconds * 2)}`;
  if (outcome === 'step-limit') return 'Kimi reached its step limit. More steps: --max-steps N';
  const failure = attempt?.failure;
  return failure === undefined ? undefined : `${failure.kind}: ${failure.text} (${REMEDY[failure.kind] ?? ''})`;
}

/** What a reviewer can do next, as commands. */
export function nextCommands(outcome: Outcome, run: string, changed: boolean, failure: string | undefined): string[] {
  const look = changed ? [`kimi-dispatch diff ${run}`] : [];
  const end = [`kimi-dispatch discard ${run}`];
  if (outcome === 'succeeded') return [...look, `kimi-dispatch merge ${run}`, ...end];
  if (failure === 'auth') return ['kimi  (then /login)', ...end];
  return [...look, `kimi-dispatch show ${run} --full`, ...end];
}
