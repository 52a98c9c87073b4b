import { appendFileSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { presentResult } from '../review/present.ts';
import type { Result } from '../review/result.ts';
import type { Finding } from '../spec/model.ts';
import { ok } from '../verify/compare.ts';
import type { World } from '../world.ts';

/** What a CI run leaves for others: a folder of artefacts, JUnit XML, the step summary, annotations. */
export function tellCi(world: World, result: Result, options: Record<string, unknown>): void {
  if (typeof options.artifacts === 'string') copyArtifacts(resolve(world.cwd, options.artifacts), result);
  if (typeof options.junit === 'string') writeFileSync(resolve(world.cwd, options.junit), junit(result));
  const summary = world.env.GITHUB_STEP_SUMMARY;
  if (summary !== undefined && summary !== '') appendFileSync(summary, `\`\`\`\n${presentResult(result)}\n\`\`\`\n`);
  if (world.env.GITHUB_ACTIONS !== 'true') return;
  for (const { path, why } of result.scope.violations) world.err(`::error file=${inert(path)}::${inert(why)}\n`);
  for (const { path, why } of result.flags) world.err(`::warning file=${inert(path)}::${inert(why)}\n`);
}

/** Findings of a spec as annotations at their lines. */
export function annotateFindings(world: World, file: string, findings: readonly Finding[]): void {
  if (world.env.GITHUB_ACTIONS !== 'true') return;
  const level = { error: 'error', warning: 'warning', info: 'notice' } as const;
  for (const item of findings)
    world.err(
      `::${level[item.severity]} file=${inert(file)},line=${item.line},col=${item.column}::${inert(`${item.message} ${item.fix}`)}\n`,
    );
}

/** A workflow command ends at its line, and a property at a comma: what strangers wrote is escaped. */
const inert = (text: string): string =>
  text
    .replaceAll('%', '%25')
    .replaceAll('\r', '%0D')
    .replaceAll('\n', '%0A')
    .replaceAll(':', '%3A')
    .replaceAll(',', '%2C');

function copyArtifacts(folder: string, result: Result): void {
  mkdirSync(folder, { recursive: true });
  for (const name of ['spec.md', 'result.json', 'report.md', 'changes.patch']) {
    const file = join(result.files.folder, name);
    if (existsSync(file)) copyFileSync(file, join(folder, name));
  }
}

const xml = (text: string): string =>
  text
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');

/** One case for each verification command, and one for the gate. */
function junit(result: Result): string {
  const cases = result.verification.map((row) => {
    const time = (row.after.durationMs / 1000).toFixed(3);
    const bad = ok(row.after)
      ? ''
      : `<failure message="${xml(row.verdict)}">${xml(row.newlyFailing.join('\n'))}</failure>`;
    return `<testcase classname="verification" name="${xml(row.command)}" time="${time}">${bad}</testcase>`;
  });
  const violations = result.scope.violations.map(({ path, why }) => `${path}: ${why}`).join('\n');
  const gate = violations === '' ? '' : `<failure message="gate">${xml(violations)}</failure>`;
  const all = [...cases, `<testcase classname="gate" name="gate">${gate}</testcase>`];
  const failures = all.filter((text) => text.includes('<failure')).length;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="kimi-dispatch ${xml(result.run)}" tests="${all.length}" failures="${failures}">\n${all.join('\n')}\n</testsuite>\n`;
}
