import { isOnSecret } from '../gate/secret-formats.ts';
import { isConfiguration, isTest } from '../path-classes.ts';
import { clean, code, counted, fenced, quote, reveal } from '../quote.ts';
import { type Check, failing, ok } from '../verify/compare.ts';
import type { Result } from './result.ts';

export const MAX_LINES = 40;
/** 1,200 tokens at four characters each. */
export const MAX_CHARACTERS = 4800;
/** Lines of a review that are shown. */
const FINDINGS = 20;

const MARK: Record<Result['verification'][number]['verdict'], string> = {
  passing: 'pass',
  'newly-passing': 'FIXED',
  flaky: 'FLAKY',
  'already-failing': 'was red',
  'not-run': 'NOT RUN',
  'no-witness': 'NEUTRAL',
  'newly-failing': 'NEW RED',
  'fewer-tests': 'FEWER',
  'sandbox-denied': 'DENIED',
};

/**
 * The result as Claude reads it: at most 40 lines and 1,200 tokens; the diff only when it fits in what is left and holds
 * no secret.
 */
export function presentResult(result: Result, diff = ''): string {
  const lines = [
    `${result.outcome.toUpperCase()} ${quote(result.run, 60)} · ${quote(result.title, 60)}`,
    ...(result.reason === undefined ? [] : [`Reason: ${quote(result.reason, 200)}`]),
    ...findingLines(result),
    ...attentionLines(result),
    kimiLine(result),
    ...taskLines(result),
    ...verificationLines(result),
    ...changeLines(result),
    ...reportLines(result),
    ...result.notes.slice(0, 4).map((note) => `Note: ${quote(note, 160)}`),
  ];
  const end = [
    `Patch: ${quote(result.files.patch, 400)}`,
    ...result.next.map(
      (command, index) => `${index === 0 ? 'Next: ' : '      '}${clean(command).replaceAll('\n', ' ')}`,
    ),
  ];
  return withDiff(shorten(lines, end), result.scope.violations.some(isOnSecret) ? '' : diff);
}

/** Leaves out lines from the end of the body until both fit; what can be done next always stays. */
function shorten(lines: readonly string[], end: readonly string[]): string[] {
  const kept = lines.slice(0, MAX_LINES - end.length);
  while ([...kept, ...end].join('\n').length > MAX_CHARACTERS && kept.length > 1) kept.pop();
  return [...kept, ...end];
}

/** What the worker itself says against its work, and what it left alone: success does not hide it. */
function attentionLines({ report, scope, review }: Result): string[] {
  const [gap, notes] = [report?.purpose_gap ?? '', report?.result.notes ?? ''];
  return [
    ...(report?.status === 'failed' ? ['The worker says that it FAILED (its words below)'] : []),
    ...(gap === '' ? [] : [`Purpose gap, says the worker: "${quote(gap, 240)}"`]),
    ...(scope.untouched.length > 0 && review === undefined
      ? [`Declared but not changed: ${quote(scope.untouched.slice(0, 6).join(', '), 150)}`]
      : []),
    ...(notes === '' ? [] : [`Worker's notes: "${quote(notes, 200)}"`]),
  ];
}

/** The findings of a run that reviews are its result. */
function findingLines({ review }: Result): string[] {
  const lines = (review ?? '').split('\n').filter((line) => line.trim() !== '');
  if (lines.length === 0) return [];
  const shown = lines.slice(0, FINDINGS).map((line) => `  > ${quote(line, 160)}`);
  const more = lines.length - shown.length;
  return ['Findings (of the worker, not verified):', ...shown, ...(more > 0 ? [`  and ${more} more lines`] : [])];
}

function withDiff(lines: readonly string[], diff: string): string {
  const text = lines.join('\n');
  if (diff.trim() === '') return text;
  // Marked line by line: a line of the change could read like one of ours.
  const extra = reveal(diff).trimEnd().replace(/^/gm, '  | ');
  const fits =
    extra.split('\n').length + lines.length + 1 <= MAX_LINES && text.length + extra.length + 7 <= MAX_CHARACTERS;
  return fits ? `${text}\nDiff:\n${extra}` : text;
}

function kimiLine(result: Result): string {
  const kimi = result.kimi;
  const time =
    kimi === undefined
      ? ''
      : `Kimi ${quote(kimi.version, 40)}: ${kimi.steps} of ${kimi.stepLimit} steps, ${seconds(kimi.durationMs)}; `;
  return `${time}base ${result.base.slice(0, 10)}, branch ${quote(result.branch, 100)}, sandbox ${quote(result.sandbox, 60)}`;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;

function taskLines({ tasks = [] }: Result): string[] {
  const shown = [...tasks]
    .sort((left, right) => Number(left.state === 'integrated') - Number(right.state === 'integrated'))
    .slice(0, 12);
  const rows = shown.map(
    ({ task, run, state, why }) =>
      `  task ${task} ${quote(run, 60)} ${state}${why === '' ? '' : `: ${quote(why, 90)}`}`,
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
  const worstFirst = [...result.verification].sort((left, right) => Number(failing(right)) - Number(failing(left)));
  const rows = worstFirst.slice(0, 8);
  const more = result.verification.length - rows.length;
  return [
    result.claimed === true
      ? 'Verification (claimed by the first job, not run again here):'
      : 'Verification (before → after, run by kimi-dispatch):',
    ...rows.flatMap(rowLines),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

type Row = Result['verification'][number];

function rowLines(row: Row): string[] {
  const head = `  ${markOf(row).padEnd(7)} ${quote(row.command, 60)}:`;
  if (row.verdict === 'sandbox-denied')
    return [
      `${head} the sandbox refused ${quote((row.after.denied ?? []).slice(0, 3).join(', '), 80)} (no test failure; profile: verifyHosts)`,
    ];
  const before = row.before === undefined ? '-' : describe(row.before);
  const red = row.newlyFailing.length === 0 ? '' : ` (${quote(row.newlyFailing.slice(0, 3).join(', '), 100)})`;
  const why = [row.why, failing(row) && row.verdict !== 'fewer-tests' ? row.after.message : undefined]
    .filter((part) => part !== undefined)
    .join('; ');
  return [`${head} ${before} → ${describe(row.after)}${red}`, ...(why === '' ? [] : [`          ${quote(why, 160)}`])];
}

/** A command that was declared to fail before and pass now is more than red as before. */
const markOf = (row: Row): string =>
  row.verdict === 'already-failing' && failing(row) ? 'STILL RED' : MARK[row.verdict];

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
    return `  ${change.status} ${quote(change.path, 90)} ${size}${why === undefined ? '' : `  GATE: ${quote(why, 120)}`}`;
  });
  const more = result.changes.length - rows.length;
  return [
    `Changes: ${counted(result.changes.length, 'file')}, +${added} -${removed} (riskiest first)${result.scope.kind === 'guess' ? '; their scope was read out of the plan' : ''}`,
    ...lines,
    ...(more > 0 ? [`  and ${more} more`] : []),
    ...outsideLines(result),
    ...flagLines(result),
  ];
}

/** Violations that are no changed path of the run: something outside the worktree. */
function outsideLines(result: Result): string[] {
  const paths = new Set(result.changes.map((change) => change.path));
  const all = result.scope.violations.filter((violation) => !paths.has(violation.path));
  // Each ends with the command that brings it back, which is of use as a whole only.
  const shown = all.slice(0, 4).map(({ path, why }) => `  GATE: ${quote(path, 90)} ${quote(why, 400)}`);
  return all.length > 4 ? [...shown, `  GATE: and ${all.length - 4} more outside: show --json`] : shown;
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
  if (report === undefined)
    return result.kimi === undefined || result.review !== undefined ? [] : ['Worker report: none was given'];
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
  const rows = result.verification.map(
    (row) => `- ${markOf(row)}: ${code(row.command, 2000)} ${code(row.after.log ?? '')}`,
  );
  const words =
    result.report === undefined ? 'No report was given.' : fenced(JSON.stringify(result.report, null, 2), 'json');
  return [
    `# ${result.outcome}: ${code(result.title, 120)}`,
    fenced(presentResult(result)),
    '## Verification',
    ...rows,
    '## The worker says (not verified)',
    words,
    '',
  ].join('\n\n');
}
