// node --experimental-transform-types bench/plans.mjs FOLDER [--only odd|even|NN,NN] [--show NN] [--runs COUNT]
// Converts every plan of FOLDER/corpus (NN.md) with the files of FOLDER/worlds (NN.txt, NN.manifests.json) and compares
// the header with the reading of a person in FOLDER/gold (NN.json: kind, paths, optional, checks, checksOptional, name).
// `--runs COUNT`: has the real Kimi carry out that many of the plans, and merges them (bench/plans-run.ts).
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkSpec } from '../src/spec/check.ts';
import { parseSpec } from '../src/spec/parse.ts';
import { fromPlan } from '../src/spec/plan/from-plan.ts';
import { renderSpec } from '../src/spec/render.ts';

const [folder, ...rest] = process.argv.slice(2);
const flag = (name) => (rest.includes(name) ? rest[rest.indexOf(name) + 1] : undefined);
if (folder === undefined) {
  console.error(
    'usage: node --experimental-transform-types bench/plans.mjs FOLDER [--only odd|even|NN,NN] [--show NN] [--runs COUNT]',
  );
  process.exit(2);
}
const read = (...path) => readFileSync(join(folder, ...path), 'utf8');
const plain = (text) =>
  text
    .replace(/[`*\\]/g, '')
    .replace(/\s+/g, ' ')
    .trim()
    .toLowerCase();
const like = (gold, text) =>
  gold.startsWith('re:') ? new RegExp(gold.slice(3), 'm').test(text) : plain(gold) === plain(text);

function facts(gold) {
  const manifests = existsSync(join(folder, 'worlds', `${gold.id}.manifests.json`))
    ? JSON.parse(read('worlds', `${gold.id}.manifests.json`))
    : {};
  const files = [...read('worlds', `${gold.id}.txt`).split('\n').filter(Boolean), ...Object.keys(manifests)];
  return {
    root: `/repositories/${gold.name}`,
    name: gold.name,
    files: new Map(files.map((path) => [path, '100644'])),
    untracked: new Set(),
    manifests: new Map(Object.entries(manifests)),
  };
}

/** The header as Claude writes it when it is asked for one: files and commands as a person read them. */
function headerOf(gold, { files }) {
  const verbOf = ({ path, verbs }) =>
    (files.has(path) ? verbs.find((verb) => verb !== 'CREATE') : 'CREATE') ?? verbs[0];
  const paths = gold.paths.map((item) => `- ${verbOf(item)} \`${item.path}\``);
  const checks = gold.checks.filter((item) => !item.startsWith('re:')).map((item) => `- \`${item}\``);
  return ['## Files', '', ...paths, '', ...(checks.length === 0 ? [] : ['## Verification', '', ...checks, ''])].join(
    '\n',
  );
}

/** True when a plan makes a spec that a run takes as it is; `plan` is what Kimi reads, where a header stands beside it. */
function isRunnable(text, world, plan = text) {
  const made = fromPlan(text, world, '001');
  made.spec.plan = plan;
  const source = renderSpec(made.spec);
  const { spec, lines, findings } = parseSpec(source);
  const all = [...made.findings, ...findings, ...checkSpec({ spec, source, lines, facts: world })];
  return spec.tasks.some(({ files }) => files.length > 0) && !all.some(({ severity }) => severity === 'error');
}

/** Converts one plan and compares it with its gold reading. */
function measure(gold) {
  const plan = read('corpus', `${gold.id}.md`);
  const world = facts(gold);
  const times = Array.from({ length: 5 }, () => {
    const start = performance.now();
    renderSpec(fromPlan(plan, world, '001').spec);
    return performance.now() - start;
  });
  const milliseconds = Math.min(...times);
  const made = fromPlan(plan, world, '001');
  const text = renderSpec(made.spec);
  const parsed = parseSpec(text);
  const findings = [
    ...made.findings,
    ...parsed.findings,
    ...checkSpec({ spec: parsed.spec, source: text, lines: parsed.lines, facts: world }),
  ];
  const verbs = new Map(made.spec.tasks.flatMap((task) => task.files.map((file) => [file.path, file.verb])));
  const wanted = new Map(gold.paths.map((item) => [item.path, item.verbs]));
  const commands = made.spec.verification.filter((item) => !item.detected).map((item) => item.text);
  const right = [...verbs.keys()].filter((path) => wanted.has(path));
  return {
    gold,
    made,
    findings,
    milliseconds,
    kept: parsed.spec.plan === plan && text.includes(plan),
    right,
    extra: [...verbs.keys()].filter((path) => !wanted.has(path) && !gold.optional.includes(path)),
    missing: [...wanted.keys()].filter((path) => !verbs.has(path)),
    wrongVerbs: right.filter((path) => !wanted.get(path).includes(verbs.get(path))),
    checks: gold.checks.filter((item) => commands.some((command) => like(item, command))),
    extraChecks: commands.filter(
      (command) => ![...gold.checks, ...gold.checksOptional].some((item) => like(item, command)),
    ),
    missingChecks: gold.checks.filter((item) => !commands.some((command) => like(item, command))),
    detected: made.spec.verification.filter((item) => item.detected).map((item) => item.text),
    independent: made.spec.tasks.filter((task) => task.independent).length,
    beside: isRunnable(`${plan}\n\n${headerOf(gold, world)}`, world, plan),
    within: isRunnable(`${plan}\n\n${headerOf(gold, world)}`, world),
    runnable: !findings.some((item) => item.severity === 'error') && made.spec.tasks.length > 0,
  };
}

const wants = flag('--only');
const golds = readdirSync(join(folder, 'gold'))
  .filter((name) => /^\d+\.json$/.test(name))
  .sort()
  .map((name) => JSON.parse(read('gold', name)))
  .filter(
    ({ id }) =>
      wants === undefined ||
      (wants === 'odd' ? id % 2 === 1 : wants === 'even' ? id % 2 === 0 : wants.split(',').includes(id)),
  );
if (flag('--runs') !== undefined) {
  const { runPlans } = await import('./plans-run.ts');
  const cases = golds
    .filter(({ kind }) => kind === 'plan')
    .slice(0, Number(flag('--runs')))
    .map((gold) => ({ id: gold.id, plan: read('corpus', `${gold.id}.md`), ...facts(gold) }));
  process.exit((await runPlans(cases)) ? 0 : 1);
}
const all = golds.map(measure);
const plans = all.filter(({ gold }) => gold.kind === 'plan');
const sum = (list, count) => list.reduce((total, item) => total + count(item), 0);
const share = (part, whole) => (whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`);
const row = (name, part, whole) =>
  console.log(`${name.padEnd(28)} ${share(part, whole).padStart(8)}  (${part} of ${whole})`);
for (const item of all) {
  console.log(
    `${item.gold.id} ${item.gold.kind === 'plan' ? '' : 'negative '}paths ${item.right.length}/+${item.extra.length}/-${item.missing.length} verbs! ${item.wrongVerbs.length} checks ${item.checks.length}/+${item.extraChecks.length}/-${item.missingChecks.length} detected ${item.detected.length} tasks ${item.made.spec.tasks.length} of ${item.gold.tasks.length} ${item.runnable ? 'runnable' : 'not runnable'}`,
  );
  if (flag('--show') !== 'all' && flag('--show') !== item.gold.id) continue;
  for (const [name, list] of Object.entries({
    extra: item.extra,
    missing: item.missing,
    verbs: item.wrongVerbs,
    'extra check': item.extraChecks,
    'missing check': item.missingChecks,
    detected: item.detected,
  }))
    for (const text of list) console.log(`     ${name}: ${text}`);
  for (const found of item.findings)
    console.log(`     ${found.severity} ${found.code} ${found.line}: ${found.message} ${found.fix}`);
}
const right = sum(plans, (item) => item.right.length);
const checks = sum(plans, (item) => item.checks.length);
const negatives = all.filter(({ gold }) => gold.kind !== 'plan');
row(
  '\nrunnable without edits',
  sum(plans, (item) => Number(item.runnable)),
  plans.length,
);
row(
  'runnable with --header',
  sum(plans, (item) => Number(item.beside)),
  plans.length,
);
row(
  'runnable, header in the plan',
  sum(plans, (item) => Number(item.within)),
  plans.length,
);
row(
  'negatives refused',
  sum(negatives, (item) => Number(!item.runnable)),
  negatives.length,
);
row(
  'plan kept byte for byte',
  sum(all, (item) => Number(item.kept)),
  all.length,
);
row('path precision', right, right + sum(plans, (item) => item.extra.length));
row('path recall', right, right + sum(plans, (item) => item.missing.length));
row('verbs', right - sum(plans, (item) => item.wrongVerbs.length), right);
row('check precision', checks, checks + sum(plans, (item) => item.extraChecks.length));
row('check recall', checks, checks + sum(plans, (item) => item.missingChecks.length));
console.log(
  `[INDEPENDENT] ${sum(plans, (item) => item.independent)}; findings ${sum(plans, (item) => item.findings.length)}; slowest ${Math.max(...all.map((item) => item.milliseconds)).toFixed(0)} ms`,
);
