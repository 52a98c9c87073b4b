import { isConfiguration, isTest } from '../path-classes.ts';
import { clean, quote } from '../quote.ts';
import type { Check } from '../verify/compare.ts';
import { ok } from '../verify/compare.ts';
import type { Result } from './result.ts';

export const MAX_LINES = 40;
/** 1,200 tokens at four characters each. */
export const MAX_CHARACTERS = 4800;

const MARK: Record<Result['verification'][number]['verdict'], string> = {
  passing: 'pass',
  'newly-passing': 'FIXED',
  'already-failing': 'was red',
  'newly-failing': 'NEW RED',
  'sandbox-denied': 'DENIED',
};

/** The result as Claude reads it: at most 40 lines and 1,200 tokens; the diff only when it fits in what is left. */
export function presentResult(result: Result, diff = ''): string {
  const lines = [
    `${result.outcome.toUpperCase()} ${result.run} · ${quote(result.title, 60)}`,
    ...(result.reason === undefined ? [] : [`Reason: ${quote(result.reason, 200)}`]),
    kimiLine(result),
    ...taskLines(result),
    ...verificationLines(result),
    ...changeLines(result),
    ...reportLines(result),
    ...result.notes.slice(0, 4).map((note) => `Note: ${quote(note, 160)}`),
    `Patch: ${result.files.patch}`,
    ...result.next.map((command, index) => `${index === 0 ? 'Next: ' : '      '}${command}`),
  ];
  return withDiff(shorten(lines), diff);
}

function shorten(lines: readonly string[]): string[] {
  const kept = lines.slice(0, MAX_LINES);
  while (kept.join('\n').length > MAX_CHARACTERS && kept.length > 8) kept.splice(-6, 1);
  return kept;
}

function withDiff(lines: readonly string[], diff: string): string {
  const text = lines.join('\n');
  const extra = diff.trimEnd();
  if (extra === '') return text;
  const fits =
    extra.split('\n').length + lines.length + 1 <= MAX_LINES && text.length + extra.length + 7 <= MAX_CHARACTERS;
  return fits ? `${text}\nDiff:\n${clean(extra)}` : text;
}

function kimiLine(result: Result): string {
  const kimi = result.kimi;
  const time =
    kimi === undefined
      ? ''
      : `Kimi ${kimi.version}: ${kimi.steps} of ${kimi.stepLimit} steps, ${seconds(kimi.durationMs)}; `;
  return `${time}base ${result.base.slice(0, 10)}, branch ${result.branch}, sandbox ${result.sandbox}`;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;

function taskLines({ tasks = [] }: Result): string[] {
  const shown = [...tasks]
    .sort((left, right) => Number(left.state === 'integrated') - Number(right.state === 'integrated'))
    .slice(0, 12);
  const rows = shown.map(
    ({ task, run, state, why }) => `  task ${task} ${run} ${state}${why === '' ? '' : `: ${quote(why, 90)}`}`,
  );
  return tasks.length === 0
    ? []
    : [
        `Tasks: ${tasks.length}`,
        ...rows,
        ...(tasks.length > rows.length ? [`  and ${tasks.length - rows.length} more`] : []),
      ];
}

function verificationLines(result: Result): string[] {
  if (result.verification.length === 0) return ['Verification: not run'];
  const rows = result.verification.slice(0, 8).map((row) => {
    const before = row.before === undefined ? '-' : describe(row.before);
    if (row.verdict === 'sandbox-denied')
      return `  ${MARK[row.verdict].padEnd(7)} ${quote(row.command, 60)}: the sandbox refused ${quote((row.after.denied ?? []).slice(0, 3).join(', '), 80)} (no test failure; profile: verifyHosts)`;
    const red = row.newlyFailing.length === 0 ? '' : ` (${quote(row.newlyFailing.slice(0, 3).join(', '), 100)})`;
    return `  ${MARK[row.verdict].padEnd(7)} ${quote(row.command, 60)}: ${before} → ${describe(row.after)}${red}`;
  });
  const more = result.verification.length - rows.length;
  return ['Verification (before → after, run by kimi-dispatch):', ...rows, ...(more > 0 ? [`  and ${more} more`] : [])];
}

function describe(check: Check): string {
  const { summary } = check;
  if (check.timedOut) return 'timed out';
  if (summary === undefined)
    return check.code === null ? 'no exit code' : `exit ${check.code}${ok(check) ? '' : ' (red)'}`;
  const skipped = summary.skipped > 0 ? `, ${summary.skipped} skipped` : '';
  return `${summary.passed} passed, ${summary.failed} failed${skipped}`;
}

function changeLines(result: Result): string[] {
  if (result.changes.length === 0) return ['Changes: none'];
  const added = result.changes.reduce((sum, change) => sum + change.added, 0);
  const removed = result.changes.reduce((sum, change) => sum + change.removed, 0);
  const wrong = new Map(result.scope.violations.map((violation) => [violation.path, violation.why]));
  const flagged = new Set(result.flags.map((flag) => flag.path));
  const rows = [...result.changes]
    .sort((left, right) => risk(right, wrong, flagged) - risk(left, wrong, flagged))
    .slice(0, 12);
  const lines = rows.map((change) => {
    const size = change.binary ? 'binary' : `+${change.added} -${change.removed}`;
    const why = wrong.get(change.path);
    return `  ${change.status} ${quote(change.path, 90)} ${size}${why === undefined ? '' : `  GATE: ${why}`}`;
  });
  const more = result.changes.length - rows.length;
  const untouched = result.scope.untouched;
  return [
    `Changes: ${result.changes.length} files, +${added} -${removed} (riskiest first)`,
    ...lines,
    ...(more > 0 ? [`  and ${more} more`] : []),
    ...outsideLines(result),
    ...flagLines(result),
    ...(untouched.length > 0 ? [`Declared but not changed: ${quote(untouched.slice(0, 6).join(', '), 150)}`] : []),
  ];
}

/** Violations that are no changed path of the run: something outside the worktree. */
function outsideLines(result: Result): string[] {
  const paths = new Set(result.changes.map((change) => change.path));
  return result.scope.violations
    .filter((violation) => !paths.has(violation.path))
    .slice(0, 4)
    .map((violation) => `  GATE: ${quote(violation.path, 90)} ${quote(violation.why, 90)}`);
}

/** Flags name what deserves a look; secrets and outside paths are violations and stand at the path itself. */
function flagLines(result: Result): string[] {
  const shown = result.flags.slice(0, 4).map((flag) => `  look: ${quote(flag.path, 70)} ${quote(flag.why, 70)}`);
  return result.flags.length > 4 ? [...shown, `  look: and ${result.flags.length - 4} more flags`] : shown;
}

/** What a reviewer should look at first: outside the spec, deletions, configuration, tests, then size. */
function risk(
  change: Result['changes'][number],
  wrong: ReadonlyMap<string, string>,
  flagged: ReadonlySet<string>,
): number {
  const { path } = change;
  return (
    (wrong.has(path) ? 1e6 : 0) +
    (flagged.has(path) ? 3e5 : 0) +
    (change.binary || change.status === 'D' || change.status === 'T' ? 1e5 : 0) +
    (isConfiguration(path) ? 1e5 : 0) +
    (isTest(path) ? 5e3 : 0) +
    change.added +
    change.removed
  );
}

function reportLines(result: Result): string[] {
  const { report } = result;
  const check = result.contradictions.slice(0, 3).map((line) => `  but it ${quote(line, 150)}`);
  if (report === undefined) return result.kimi === undefined ? [] : ['Worker report: none was given'];
  const question = report.question ?? '';
  return [
    `Worker says (${report.status}, not verified): "${quote(report.result.summary, 200)}"`,
    ...check,
    ...(report.status === 'blocked' && question !== '' ? [`Question: "${quote(question, 300)}"`] : []),
    ...(result.manual.length > 0 ? [`For the reviewer: ${quote(result.manual.slice(0, 4).join(' · '), 240)}`] : []),
  ];
}

/** `report.md`: the same and everything that was cut. */
export function fullReport(result: Result): string {
  const rows = result.verification.map((row) => `- ${MARK[row.verdict]}: \`${row.command}\` ${row.after.log ?? ''}`);
  const words =
    result.report === undefined
      ? 'No report was given.'
      : `\`\`\`json\n${JSON.stringify(result.report, null, 2)}\n\`\`\``;
  return [
    `# ${result.outcome}: ${result.title}`,
    presentResult(result),
    '## Verification',
    ...rows,
    '## The worker says (not verified)',
    words,
    '',
  ].join('\n\n');
}
