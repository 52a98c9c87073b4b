import type { Summary } from './summary.ts';

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
}

export const VERDICTS = ['passing', 'newly-passing', 'already-failing', 'newly-failing', 'sandbox-denied'] as const;
export type Verdict = (typeof VERDICTS)[number];

export interface Compared {
  readonly command: string;
  readonly verdict: Verdict;
  readonly before: Check | undefined;
  readonly after: Check;
  readonly newlyFailing: readonly string[];
}

export const ok = (check: Check): boolean => !check.timedOut && check.code === check.expect;

/** Compares each command before and after. Pure. */
export function compare(before: readonly Check[] | undefined, after: readonly Check[]): Compared[] {
  return after.map((check, index) => {
    const base = before?.[index];
    const newlyFailing = newFailures(base, check);
    return {
      command: check.command,
      verdict: verdictOf(base, check, newlyFailing),
      before: base,
      after: check,
      newlyFailing,
    };
  });
}

function verdictOf(before: Check | undefined, after: Check, newlyFailing: readonly string[]): Verdict {
  if (!ok(after) && (after.denied ?? []).length > 0) return 'sandbox-denied';
  if (ok(after)) return before !== undefined && !ok(before) ? 'newly-passing' : 'passing';
  if (before === undefined || ok(before) || newlyFailing.length > 0) return 'newly-failing';
  // Without names the counts decide: more red tests than before is new damage, and so is a lost summary.
  const worse =
    before.summary !== undefined && (after.summary === undefined || after.summary.failed > before.summary.failed);
  return worse || after.timedOut ? 'newly-failing' : 'already-failing';
}

function newFailures(before: Check | undefined, after: Check): string[] {
  if (before?.summary === undefined || after.summary === undefined) return [];
  const known = new Set(before.summary.failures);
  return after.summary.failures.filter((name) => !known.has(name));
}

/** Ruling 8: nothing newly failing, and every command that was declared `baseline fail` now passes. */
export const verified = (rows: readonly Pick<Compared, 'verdict' | 'after'>[]): boolean =>
  rows.every(
    (row) =>
      row.verdict !== 'newly-failing' &&
      row.verdict !== 'sandbox-denied' &&
      (!row.after.baselineFails || ok(row.after)),
  );
