import { type Around, type Check, type Compared, compareOne, notStarted, ok } from './compare.ts';

export interface Settling {
  readonly before: readonly Check[] | undefined;
  readonly after: readonly Check[];
  readonly around?: Around;
  /**
   * Runs the command at `index` alone once more, on the base or on the change; undefined when that cannot be done. Its
   * log needs a name of its own.
   */
  readonly again: (index: number, side: 'before' | 'after') => Promise<Check | undefined>;
}

/**
 * Compares each command before and after, and looks twice before it says that something is worse: a new failure is run
 * once more, and for fewer tests both sides are.
 */
export async function settle(call: Settling): Promise<Compared[]> {
  const rows: Compared[] = [];
  for (const [index, check] of call.after.entries()) {
    const row = compareOne(call.before?.[index], check, call.around);
    if (row.verdict === 'newly-failing' && row.before !== undefined) rows.push(await lookAgain(row, index, call));
    else if (row.verdict === 'fewer-tests') rows.push(await countAgain(row, index, call));
    else rows.push(row);
  }
  return rows;
}

/** A new failure that does not come back is flaky; one that does stays as it was seen first. */
async function lookAgain(row: Compared, index: number, { again, around }: Settling): Promise<Compared> {
  const after = await again(index, 'after');
  if (after === undefined) return row;
  const second = compareOne(row.before, after, around);
  if (second.verdict === 'already-failing') return second;
  if (second.verdict !== 'passing' && second.verdict !== 'newly-passing') return row;
  const first = row.newlyFailing[0] ?? row.after.message;
  return {
    ...second,
    verdict: 'flaky',
    why: `failed once and passed when run again${first === undefined ? '' : `: ${first}`}`,
  };
}

/** Tests are missing when they are on both looks; a number that changes from run to run is flaky. */
async function countAgain(row: Compared, index: number, { again, around }: Settling): Promise<Compared> {
  const before = row.before === undefined ? undefined : await again(index, 'before');
  const after = before === undefined ? undefined : await again(index, 'after');
  if (before === undefined || after === undefined) return row;
  const second = compareOne(before, after, around);
  if (second.verdict !== 'passing' && second.verdict !== 'newly-passing')
    return second.verdict === 'already-failing' ? row : second;
  return { ...second, verdict: 'flaky', why: `the number of tests differs from run to run: ${row.why ?? ''}` };
}

/**
 * The checks of a baseline, after each red one was run alone once more: red counts when it is red twice. A command that
 * is declared to fail there is not run again, nor one that cannot start or that the sandbox refused.
 */
export async function confirmRed(
  checks: readonly Check[],
  again: (index: number) => Promise<Check | undefined>,
): Promise<Check[]> {
  const confirmed: Check[] = [];
  for (const [index, check] of checks.entries()) {
    const settled = ok(check) || check.baselineFails || notStarted(check) || (check.denied ?? []).length > 0;
    confirmed.push(settled ? check : ((await again(index)) ?? check));
  }
  return confirmed;
}

/** What a person should know about a baseline: commands declared to fail there that pass, and those that CI was set for. */
export const baselineNotes = (checks: readonly Check[]): string[] =>
  checks.flatMap((check) => [
    ...(check.baselineFails && ok(check)
      ? [`declared (baseline fail), but it passes on the base: ${check.command}`]
      : []),
    ...(check.ciSet === true ? [`CI=true was set for ${check.command}: without it, it would watch files`] : []),
  ]);
