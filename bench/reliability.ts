// npm run reliability: faults, bad inputs and ways out, counted; the table goes to docs/reliability.md.
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kimiConfig, startModel } from '../scripts/model-server.mjs';
import { probeSandbox } from '../src/process/sandbox.ts';
import { damage, killAt, type Moment, seeded } from '../test/helpers/faults.ts';
import { fuzz } from '../test/helpers/fuzz.ts';
import { KINDS, type Violation } from '../test/helpers/model/laws.ts';
import type { Story } from '../test/helpers/model.ts';
import { Lab, ROOT, spec } from '../test/helpers/repo.ts';
import { COMMANDS, killEndings } from './endings.ts';
import { playSequences } from './sequences.ts';

const STEPS = ['worktree', 'baseline', 'kimi', 'collect', 'verify'].flatMap((step) => [
  `"step-started","step":"${step}"`,
  `"step-ended","step":"${step}"`,
]);
const random = seeded(2026);
const moments = (most: number): Moment[] => [
  ...STEPS.map((text) => ({ text })),
  ...Array.from({ length: 50 }, () => ({ ms: 50 + random() * most })),
];

/** Kills the dispatcher at each moment, one repository for all of them; returns what did not hold afterwards. */
async function kills(kimi: 'fake' | 'real', most: number): Promise<{ tried: number; wrong: string[] }> {
  const model = await startModel(({ turn }) =>
    turn === 0
      ? { calls: [{ name: 'Write', arguments: { path: 'greet.txt', content: 'please\n' } }] }
      : { text: 'Done.' },
  );
  const lab = new Lab({ 'greet.txt': 'hello\n' }, { kimi, config: kimiConfig(model.url) });
  const wrong: string[] = [];
  const all = moments(most);
  try {
    writeFileSync(join(lab.folder, 'spec.md'), spec(kimi === 'fake' ? 'slow 0' : 'none'));
    const before = lab.snapshot();
    for (const moment of all) {
      await killAt(lab, moment);
      wrong.push(...(await damage(lab, before)));
    }
  } finally {
    await model.close();
    lab.remove();
  }
  return { tried: all.length, wrong };
}

async function escapes(): Promise<string> {
  const probe = await probeSandbox(ROOT, { PATH: process.env.PATH, HOME: tmpdir() });
  if (!probe.works) return `not tried: ${probe.reason}`;
  const named = readFileSync(join(ROOT, 'test', 'helpers', 'escapes.mjs'), 'utf8').match(
    /^ {2}(?:'[^']+'|"[^"]+"): \(/gm,
  );
  return `${named?.length ?? 0} (each is a test: test/integration/escapes.test.ts)`;
}

const fake = await kills('fake', 700);
const real = await kills('real', 2500);
const fuzzed = fuzz(100_000, random);
const played = await playSequences(Number(process.argv[2] ?? 2000), 2026);
const endings = await killEndings();
const broken: readonly { violation: Violation; story: Story }[] = [...played.wrong, ...endings.wrong];
const ended = (end: RegExp): number =>
  Object.entries(played.ends).reduce((sum, [name, times]) => sum + (end.test(name) ? times : 0), 0);
const wrong = [...fake.wrong, ...real.wrong];
const count = (word: string): number => wrong.filter((line) => line.includes(word)).length;
const rows: [string, string][] = [
  ['SIGKILL of the dispatcher, fake Kimi: moments tried', String(fake.tried)],
  ['SIGKILL of the dispatcher, real kimi-code: moments tried', String(real.tried)],
  ['of these survived', String(fake.tried + real.tried - wrong.length)],
  ['work lost', String(count('work is missing'))],
  ['processes leaked', String(count('left processes'))],
  ['locks left', String(count('locks are left'))],
  ['repositories that git fsck complains about', String(count('git fsck'))],
  ['checkouts changed', String(count('checkout'))],
  ['bad inputs tried (stream lines, specs, plans, ledger lines, reports)', String(fuzzed.tried)],
  ['crashes', String(fuzzed.crashes.length)],
  ['random sequences of acts of the worker, acts of the user and commands', String(played.played)],
  ['of these: acts of the user and commands', String(played.steps)],
  ['of these: merges that were made', String(ended(/^merge 0$/))],
  ['of these: undos that were made', String(ended(/^undo 0$/))],
  ['of these: commands that refused', String(ended(/ (2|3|4|9|11)$/))],
  ...COMMANDS.map((name): [string, string] => [
    `SIGKILL of ${name}: steps and moments tried`,
    String(endings.tried[name]),
  ]),
  ...KINDS.map((kind): [string, string] => [kind, String(broken.filter((one) => one.violation.kind === kind).length)]),
  ['ways out of the sandbox tried, all stopped', await escapes()],
];
const table = ['| what | count |', '|---|---|', ...rows.map(([what, value]) => `| ${what} | ${value} |`)].join('\n');
const page = join(ROOT, 'docs', 'reliability.md');
const text = readFileSync(page, 'utf8').replace(
  /<!-- table -->[\s\S]*?<!-- end -->/,
  `<!-- table -->\nRun on ${new Date().toISOString().slice(0, 10)}.\n\n${table}\n<!-- end -->`,
);
writeFileSync(page, text);
console.log(table);
for (const line of [...wrong, ...fuzzed.crashes]) console.log(line);
for (const story of new Set(broken.map((one) => one.story))) console.log(`\n${story.lines.join('\n')}`);
process.exitCode = wrong.length + fuzzed.crashes.length + broken.length === 0 ? 0 : 1;
