import { isSelective } from './selective.ts';
import { type Around, executed, shortfall } from './shortfall.ts';
import type { Summary } from './summary.ts';

export type { Around } from './shortfall.ts';

/** One run of one verification command. */
export interface Check {
  readonly command: string;
  readonly expect: number;
  readonly baselineFails: boolean;
  /** The exit code, or null when there was none (a signal, a time-out, not started). */
  readonly code: number | null;
  readonly timedOut: boolean;
  readonly durationMs: number;
  readonly summary?: Summary | undefined;
  readonly log?: string | undefined;
  /** Hosts that the sandbox refused while it ran. */
  readonly denied?: readonly string[] | undefined;
  /** What its output says of the first failure. */
  readonly message?: string | undefined;
  /** True when CI was set for it, without which it would have watched files. */
  readonly ciSet?: boolean | undefined;
}

export const VERDICTS = [
  'passing',
  'newly-passing',
  /** It failed, and passed when it was run again. */
  'flaky',
  'already-failing',
  /** It could not be started, neither before nor after (exit 126 or 127). */
  'not-run',
  /** It passed, but ran no test, or only those that it picked by the change. */
  'no-witness',
  'newly-failing',
  /** Tests that ran and passed before did not run. */
  'fewer-tests',
  'sandbox-denied',
] as const;
export type Verdict = (typeof VERDICTS)[number];

export interface Compared {
  readonly command: string;
  readonly verdict: Verdict;
  readonly before: Check | undefined;
  readonly after: Check;
  readonly newlyFailing: readonly string[];
  /** What the verdict rests on, as a sentence for a person. */
  readonly why?: string | undefined;
}

type Judged = Pick<Compared, 'verdict' | 'why'>;

/** True when a check ended as it was declared to. */
export const ok = (check: Check): boolean => !check.timedOut && check.code === check.expect;

/** True when the command could not be started: no such program, no permission, or it needed a shell. */
export const notStarted = (check: Check): boolean =>
  check.expect !== check.code && (check.code === 126 || check.code === 127);

/** Compares each command before and after. `around` excuses tests that are gone. Pure. */
export function compare(before: readonly Check[] | undefined, after: readonly Check[], around?: Around): Compared[] {
  return after.map((check, index) => compareOne(before?.[index], check, around));
}

/** Compares one command before and after; without a `before` every failure is new. Pure. */
export function compareOne(before: Check | undefined, after: Check, around?: Around): Compared {
  const newlyFailing = newFailures(before, after);
  const judged = ok(after)
    ? judgeGreen(before, after, { newlyFailing, around })
    : judgeRed(before, after, { newlyFailing, around });
  return { command: after.command, before, after, newlyFailing, ...judged };
}

interface With {
  readonly newlyFailing: readonly string[];
  readonly around: Around | undefined;
}

function judgeGreen(before: Check | undefined, after: Check, { newlyFailing, around }: With): Judged {
  const { summary } = after;
  const more = summary !== undefined && summary.failed > (before?.summary?.failed ?? 0);
  // A command that is meant to fail has failing tests.
  if (after.expect === 0 && (newlyFailing.length > 0 || more))
    return { verdict: 'newly-failing', why: `it ended with ${after.code}, but tests failed` };
  const selective = isSelective(after.command);
  const missing = selective || before?.summary === undefined ? undefined : shortfall(before.summary, summary, around);
  if (missing !== undefined) return { verdict: 'fewer-tests', why: missing };
  if (selective) return { verdict: 'no-witness', why: 'it picks the tests that it runs' };
  const ranBefore = before?.summary !== undefined && executed(before.summary) > 0;
  if (summary === undefined ? ranBefore : executed(summary) === 0) return { verdict: 'no-witness', why: 'no test ran' };
  if (before === undefined) return { verdict: 'passing' };
  if (!ok(before)) return { verdict: 'newly-passing' };
  return {
    verdict: 'passing',
    ...(after.baselineFails ? { why: 'declared to fail on the base, but it passed there' } : {}),
  };
}

function judgeRed(before: Check | undefined, after: Check, { newlyFailing, around }: With): Judged {
  if (before === undefined || ok(before))
    return { verdict: (after.denied ?? []).length > 0 ? 'sandbox-denied' : 'newly-failing' };
  if (notStarted(before))
    return notStarted(after)
      ? { verdict: 'not-run', why: `it cannot be started (exit ${after.code}), as before` }
      : { verdict: 'newly-failing', why: `it could not be started before (exit ${before.code}), and fails now` };
  if (newlyFailing.length > 0) return { verdict: 'newly-failing' };
  if (isWorse(before, after)) return { verdict: 'newly-failing', why: 'it was red before, and is worse now' };
  const selective = isSelective(after.command);
  const missing =
    selective || before.summary === undefined ? undefined : shortfall(before.summary, after.summary, around);
  return missing === undefined ? { verdict: 'already-failing' } : { verdict: 'fewer-tests', why: missing };
}

/** Without names the rest decides: more red tests, a lost summary, no end, or no start any more. */
function isWorse(before: Check, after: Check): boolean {
  if (before.summary !== undefined && (after.summary === undefined || after.summary.failed > before.summary.failed))
    return true;
  return (after.timedOut && !before.timedOut) || (after.code === null && before.code !== null) || notStarted(after);
}

function newFailures(before: Check | undefined, after: Check): string[] {
  if (after.summary === undefined) return [];
  if (before?.summary === undefined) return before === undefined ? [...after.summary.failures] : [];
  const known = new Set(before.summary.failures);
  return after.summary.failures.filter((name) => !known.has(name));
}

type Row = Pick<Compared, 'verdict' | 'after'>;

/** True for a row that fails a run: something is worse than before, or a `baseline fail` command is still red. */
export const failing = ({ verdict, after }: Row): boolean => isDamage(verdict) || (after.baselineFails && !ok(after));

/** True for a verdict that says something is worse than before. */
export const isDamage = (verdict: Verdict): boolean =>
  verdict === 'newly-failing' || verdict === 'fewer-tests' || verdict === 'sandbox-denied';

const YES: readonly Verdict[] = ['passing', 'newly-passing', 'flaky'];

/** What all commands say together. `unverified`: nothing failed, and nothing ran that could say yes. Pure. */
export function verdictOfRows(rows: readonly Row[]): 'verified' | 'failed' | 'unverified' {
  if (rows.some(failing)) return 'failed';
  return rows.some(({ verdict }) => YES.includes(verdict)) ? 'verified' : 'unverified';
}

/** True when nothing failed; it does not say that anything could have. */
export const verified = (rows: readonly Row[]): boolean => verdictOfRows(rows) !== 'failed';
