import { appendFileSync, copyFileSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { refuse } from '../errors.ts';
import { fenced, markup, message, property } from '../quote.ts';
import { presentResult } from '../review/present.ts';
import type { Result } from '../review/result.ts';
import type { Finding } from '../spec/model.ts';
import { failing } from '../verify/compare.ts';
import type { World } from '../world.ts';
import { outputFile } from './output.ts';

/** What a CI run leaves for others: a folder of artefacts, JUnit XML, the step summary, annotations. */
export function tellCi(world: World, result: Result, options: Record<string, unknown>): void {
  if (typeof options.artifacts === 'string') copyArtifacts(resolve(world.cwd, options.artifacts), result);
  if (typeof options.junit === 'string') writeFileSync(resolve(world.cwd, options.junit), junit(result));
  const summary = world.env.GITHUB_STEP_SUMMARY;
  if (summary !== undefined && summary !== '') appendFileSync(summary, `${fenced(presentResult(result))}\n`);
  if (world.env.GITHUB_ACTIONS !== 'true') return;
  for (const { path, why } of result.scope.violations)
    world.control(`::error file=${property(path)}::${message(why)}\n`);
  for (const { path, why } of result.flags) world.control(`::warning file=${property(path)}::${message(why)}\n`);
}

/** Refuses, before a run begins, places where `tellCi` could not write when it has ended. Writes nothing. */
export function requireCiPlaces(world: World, { artifacts, junit }: Record<string, unknown>): void {
  const folder = typeof artifacts === 'string' ? resolve(world.cwd, artifacts) : undefined;
  // The folder of the artefacts is made by then.
  const made = folder !== undefined && typeof junit === 'string' && dirname(resolve(world.cwd, junit)) === folder;
  if (typeof junit === 'string' && !made) outputFile({ name: junit, cwd: world.cwd, force: true });
  if (folder === undefined) return;
  const stat = statSync(folder, { throwIfNoEntry: false });
  if (stat?.isDirectory() === false) throw refuse('usage', `${artifacts} is no folder.`, 'Name a folder.');
}

/** Findings of a spec as annotations at their lines. */
export function annotateFindings(world: World, file: string, findings: readonly Finding[]): void {
  if (world.env.GITHUB_ACTIONS !== 'true') return;
  const level = { error: 'error', warning: 'warning', info: 'notice' } as const;
  for (const item of findings)
    world.control(
      `::${level[item.severity]} file=${property(file)},line=${item.line},col=${item.column}::${message(`${item.message} ${item.fix}`)}\n`,
    );
}

function copyArtifacts(folder: string, result: Result): void {
  mkdirSync(folder, { recursive: true });
  for (const name of ['spec.md', 'result.json', 'report.md', 'changes.patch']) {
    const file = join(result.files.folder, name);
    if (existsSync(file)) copyFileSync(file, join(folder, name));
  }
}

interface Case {
  readonly kind: 'run' | 'task' | 'verification' | 'gate';
  readonly name: string;
  readonly seconds?: number;
  /** What failed, and more about it. */
  readonly failure?: readonly [string, string] | undefined;
  /** Why nothing can be said of it. */
  readonly error?: readonly [string, string] | undefined;
  readonly skipped?: string;
}

/** Verdicts that say neither yes nor no. */
const SILENT: Partial<Record<Result['verification'][number]['verdict'], string>> = {
  'already-failing': 'it failed before the run too',
  'not-run': 'it cannot be started, neither before the run nor after',
  'no-witness': 'it ran no test, or only some',
};

/** One case for the outcome, each task of a wave, each verification command, and the gate. */
function casesOf(result: Result): Case[] {
  const { outcome, reason = '', scope, tasks = [] } = result;
  const violations = scope.violations.map(({ path, why }) => `${path}: ${why}`).join('\n');
  return [
    {
      kind: 'run',
      name: 'outcome',
      ...(outcome === 'unverified' ? { error: [outcome, reason] } : {}),
      ...(outcome === 'unverified' || outcome === 'succeeded' ? {} : { failure: [outcome, reason] }),
    },
    ...tasks.map(({ task, state, why }): Case => {
      return { kind: 'task', name: `task ${task}`, failure: state === 'integrated' ? undefined : [state, why] };
    }),
    ...result.verification.map((row): Case => {
      const seconds = row.after.durationMs / 1000;
      const plain = { kind: 'verification', name: row.command, seconds } as const;
      const details = [...row.newlyFailing, row.why ?? '', row.after.message ?? ''].filter((line) => line !== '');
      if (failing(row)) return { ...plain, failure: [row.verdict, details.join('\n')] };
      const silent = SILENT[row.verdict];
      return silent === undefined ? plain : { ...plain, skipped: silent };
    }),
    { kind: 'gate', name: 'gate', failure: violations === '' ? undefined : ['gate', violations] },
  ];
}

function junit(result: Result): string {
  const cases = casesOf(result);
  const count = (part: 'failure' | 'error' | 'skipped'): number =>
    cases.filter((item) => item[part] !== undefined).length;
  const counts = `errors="${count('error')}" tests="${cases.length}" failures="${count('failure')}" skipped="${count('skipped')}"`;
  const rows = cases.map(({ kind, name, seconds, failure, error, skipped }) => {
    const time = seconds === undefined ? '' : ` time="${seconds.toFixed(3)}"`;
    const bad = failure === undefined ? '' : `<failure message="${markup(failure[0])}">${markup(failure[1])}</failure>`;
    const open = error === undefined ? '' : `<error message="${markup(error[0])}">${markup(error[1])}</error>`;
    const left = skipped === undefined ? '' : `<skipped message="${markup(skipped)}"/>`;
    return `<testcase classname="${kind}" name="${markup(name)}"${time}>${bad}${open}${left}</testcase>`;
  });
  const head = `<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="kimi-dispatch ${markup(result.run)}" ${counts}>`;
  return `${head}\n${rows.join('\n')}\n</testsuite>\n`;
}
