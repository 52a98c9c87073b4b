import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { refuse } from '../errors.ts';
import { writeWhole } from '../files.ts';
import { type Facts, factsAt, ignoredAmong } from '../git/facts.ts';
import { fileAt, type Repo, resolveBase } from '../git/repo.ts';
import { Sessions } from '../session/store.ts';
import { checkSpec } from '../spec/check.ts';
import { manifestsAbove } from '../spec/detect.ts';
import { MANIFESTS } from '../spec/facts.ts';
import { declaredPaths, type Finding, type Spec } from '../spec/model.ts';
import { isSpec, parseSpec } from '../spec/parse.ts';
import { type Note, readPlan, specOf } from '../spec/plan/from-plan.ts';
import { outline } from '../spec/plan/outline.ts';
import { renderSpec } from '../spec/render.ts';
import { findingsEnvelope, showFindings, showQuestions } from '../spec/show.ts';
import type { World } from '../world.ts';
import { annotateFindings } from './ci.ts';
import { readNamed } from './input.ts';
import { repoOf } from './look.ts';
import { outputFile } from './output.ts';
import { refuseAlone, refuseOthers } from './taken.ts';

const LARGEST = 4 * 1024 * 1024;
/** Of manifests in the folders above the files that change: each is a call of git. */
const MOST_MANIFESTS = 8;

/** A plan or a spec as it was named, and the lines that `--header` adds for what the plan leaves open. */
export interface Input {
  readonly path: string;
  readonly text: string;
  readonly header: string;
}

/** The same with what `--header FILE` names. */
export function readWithHeader(world: World, file: string, header: unknown): Input {
  const input = readInput(world, file);
  if (typeof header !== 'string') return input;
  if (isSpec(input.text)) throw refuse('usage', `${file} is a spec.`, 'Edit it; --header belongs to plans.');
  return { ...input, header: readNamed(world, header) };
}

/** Reads a plan or spec file, or refuses with what to do. */
export function readInput(world: World, file: string): Input {
  const kept = /^plan:(.*)$/.exec(file)?.[1];
  if (kept !== undefined) return keptPlan(world, kept);
  const path = resolve(world.cwd, file);
  if (!existsSync(path))
    throw refuse('usage', `There is no file ${file}.`, 'Name a plan or a spec: kimi-dispatch run plan.md');
  const stat = statSync(path);
  if (stat.isDirectory()) throw refuse('usage', `${file} is a folder.`, 'Name a plan or a spec in it.');
  // Of a device nobody knows where it ends. A pipe ends with its writer.
  if (stat.isCharacterDevice() || stat.isBlockDevice())
    throw refuse('usage', `${file} is a device.`, 'Name a plan or a spec.');
  const bytes = readFileSync(path);
  if (bytes.length > LARGEST) throw refuse('usage', `${file} is larger than 4 MB.`, 'Name a plan or a spec.');
  if (bytes.toString('utf8').trim() === '') throw refuse('usage', `${file} is empty.`, 'Write the plan first.');
  return { path, text: bytes.toString('utf8'), header: '' };
}

/** `plan:<id>`: a plan as it was approved in Claude Code, kept by the hook. */
function keptPlan(world: World, id: string): Input {
  const text = new Sessions(world.env, world.now).plan(id);
  if (text !== undefined) return { path: join(world.cwd, `plan:${id}`), text, header: '' };
  throw refuse(
    'usage',
    `No approved plan is kept under plan:${id}.`,
    'Name the plan file instead (Claude Code keeps plans in ~/.claude/plans): kimi-dispatch run FILE',
  );
}

export interface Drafted {
  readonly spec: Spec;
  readonly text: string;
  readonly lines: readonly string[];
  readonly findings: readonly Finding[];
  /** What the base holds, with the manifests beside what the spec declares. */
  readonly facts: Facts;
  /** Findings on the plan, with its lines; empty when the input was a spec. */
  readonly plan: {
    readonly findings: readonly Finding[];
    readonly lines: readonly string[];
    readonly notes: readonly Note[];
  };
}

/**
 * Plan or spec text → a checked spec. A spec passes through byte for byte; lines of a header are read with the plan.
 * @param how `base`: a revision instead of the one that the spec names; `change`: has the last word on a converted spec.
 */
export async function draft(
  repo: Repo,
  { text: source, header }: Pick<Input, 'text' | 'header'>,
  how: { number: string; base?: string | undefined; change?: (spec: Spec) => void },
): Promise<Drafted> {
  const given = isSpec(source) ? parseSpec(source) : undefined;
  const looking = factsAt(repo, await resolveBase(repo, how.base ?? (given?.spec.base || 'HEAD')));
  // Git works while the plan is read.
  const plan = given === undefined ? outline(source, header) : undefined;
  const tree = await looking;
  const reading = plan === undefined ? undefined : readPlan(plan, tree);
  const declared = reading?.named.map(({ path }) => path) ?? (given === undefined ? [] : declaredPaths(given.spec));
  const facts = await withBeside(repo, tree, declared);
  const made = reading === undefined ? undefined : specOf(reading, facts, { source, number: how.number });
  if (made !== undefined) how.change?.(made.spec);
  const text = made === undefined ? source : renderSpec(made.spec);
  const parsed = given ?? parseSpec(text);
  // Why the whole is no plan is all there is to say.
  const refused = made?.findings.some((item) => item.code === 'plan/refused') === true;
  const found = refused ? [] : checkSpec({ spec: parsed.spec, source: text, lines: parsed.lines, facts });
  return {
    spec: parsed.spec,
    text,
    lines: parsed.lines,
    findings: [...parsed.findings, ...found],
    facts,
    plan: { findings: made?.findings ?? [], lines: source.split(/\r\n?|\n/), notes: made?.notes ?? [] },
  };
}

export const hasErrors = (drafted: Drafted, strict = false): boolean =>
  [...drafted.findings, ...drafted.plan.findings].some(
    (item) => item.severity === 'error' || (strict && item.severity === 'warning'),
  );

/** What the repository holds, and what git and the manifests in the folders above say of declared paths. */
async function withBeside(repo: Repo, facts: Facts, declared: readonly string[]): Promise<Facts> {
  const nested = manifestsAbove(declared, MANIFESTS).filter((path) => facts.files.has(path) && path.includes('/'));
  const manifests = new Map(facts.manifests);
  for (const path of nested.slice(0, MOST_MANIFESTS))
    manifests.set(path, (await fileAt(repo, facts.commit, path)) ?? '');
  const missing = [...new Set(declared)].filter((path) => !facts.files.has(path));
  return { ...facts, manifests, ignored: await ignoredAmong(repo, missing) };
}

/** `spec <plan>`: writes the spec to `-o`, else to `.kimi-dispatch/specs/NNN-slug.md`, else (`-o -`) to stdout. */
export async function specCommand(
  world: World,
  args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  refuseAlone('spec', options, [['force', 'output']]);
  const repo = await repoOf(world);
  const input = readWithHeader(world, args[0] ?? '', options.header);
  const folder = join(repo.root, '.kimi-dispatch', 'specs');
  const { path } = input;
  const given = givenOutput(world, options, path);
  const drafted = await draft(repo, input, { number: nextNumber(folder) });
  const file = given ?? draftFile(folder, drafted.spec);
  if (file === '-') world.out(drafted.text);
  else writeWhole(file, drafted.text);
  const name = file === '-' ? 'spec.md' : relative(world.cwd, file);
  if (options.json === true) world.out(findingsEnvelope(name, [...drafted.plan.findings, ...drafted.findings]));
  else {
    const found = [...drafted.plan.findings, ...drafted.findings];
    const questions = drafted.spec.plan === '' ? '' : showQuestions(name, found);
    const told = (items: readonly Finding[]) => items.filter((item) => questions === '' || !item.message.includes('?'));
    world.err(showFindings(relative(world.cwd, path), drafted.plan.lines, told(drafted.plan.findings)));
    world.err(showFindings(name, drafted.lines, told(drafted.findings)));
    world.err(questions);
    if (options.explain === true)
      for (const note of drafted.plan.notes) world.err(`line ${note.line}: ${note.taken} (${note.why})\n`);
    if (file !== '-') world.out(`${name}\n`);
  }
  return hasErrors(drafted) ? 2 : 0;
}

/** The file that `-o` names, after a look at what is there; `-` for stdout. */
function givenOutput(world: World, options: Record<string, unknown>, input: string): string | undefined {
  if (typeof options.output !== 'string') return undefined;
  if (options.output === '-' && options.json === true)
    throw refuse('usage', 'Spec and findings cannot both be printed.', 'Use -o FILE with --json.');
  if (options.output === '-') return '-';
  return outputFile({ name: options.output, cwd: world.cwd, input, force: options.force === true });
}

function nextNumber(folder: string): string {
  const taken = existsSync(folder) ? readdirSync(folder).map((name) => Number(/^(\d+)-/.exec(name)?.[1] ?? 0)) : [];
  return String(Math.max(0, ...taken) + 1).padStart(3, '0');
}

/** Drafts lie in a folder that ignores itself. */
function draftFile(folder: string, spec: Spec): string {
  mkdirSync(folder, { recursive: true });
  const ignore = join(dirname(folder), '.gitignore');
  if (!existsSync(ignore)) writeFileSync(ignore, '*\n');
  const slug = spec.title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 40);
  return join(folder, `${spec.number}-${slug === '' ? 'spec' : slug}.md`);
}

/** `import spec <file or folder>`: another tool's tasks become a spec; what they do not say is a finding. */
export async function importCommand(
  world: World,
  args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  const [kind, from = ''] = args;
  if (kind === 'mailbox') return (await import('./mail.ts')).importMailbox(world, from, options);
  if (kind !== 'spec')
    throw refuse('usage', `import does not know "${kind}".`, 'kimi-dispatch import spec PATH, or import mailbox PATH');
  refuseOthers('import spec', options, ['output', 'force', 'json']);
  refuseAlone('import spec', options, [['force', 'output']]);
  const folder = resolve(world.cwd, from);
  const file = existsSync(folder) && statSync(folder).isDirectory() ? join(from, 'tasks.md') : from;
  const { path, text } = readInput(world, file);
  const { applyOrder, formatOf, importPlan } = await import('../spec/import.ts');
  const format = formatOf(text);
  if (format === undefined)
    throw refuse(
      'usage',
      `${relative(world.cwd, path)} is none of OpenSpec, spec-kit, superpowers, Kiro.`,
      'A plan is read as it is: kimi-dispatch spec FILE',
    );
  world.err(`Read as ${format}.\n`);
  const { plan, order } = importPlan(text, format);
  const repo = await repoOf(world);
  const given = givenOutput(world, options, path);
  const drafts = join(repo.root, '.kimi-dispatch', 'specs');
  const inOrder = (spec: Spec): void => {
    applyOrder(spec, order);
    spec.plan = text;
  };
  const drafted = await draft(repo, { text: plan, header: '' }, { number: nextNumber(drafts), change: inOrder });
  const output = given ?? draftFile(drafts, drafted.spec);
  if (output === '-') world.out(drafted.text);
  else writeWhole(output, drafted.text);
  const name = output === '-' ? 'spec.md' : relative(world.cwd, output);
  if (options.json === true) world.out(findingsEnvelope(name, [...drafted.plan.findings, ...drafted.findings]));
  else {
    world.err(showFindings('the plan', drafted.plan.lines, drafted.plan.findings));
    world.err(showFindings(name, drafted.lines, drafted.findings));
    for (const line of unreadBeside(path)) world.err(`${line}\n`);
    if (output !== '-') world.out(`${name}\n`);
  }
  return hasErrors(drafted) ? 2 : 0;
}

/** What lies beside the tasks (a proposal, a design, requirements) is for people to judge. */
function unreadBeside(path: string): string[] {
  if (basename(path) !== 'tasks.md') return [];
  const others = readdirSync(dirname(path), { withFileTypes: true })
    .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    .filter((name) => /^[^.].*(\.md|\/)$/.test(name) && name !== 'tasks.md');
  return others.length === 0 ? [] : [`${others.sort().join(', ')}: not read; write under Context what Kimi must know`];
}

/** What a run of this spec will take, each number called measured or estimated. */
async function sayEstimate(world: World, spec: Spec): Promise<void> {
  const files = new Set(spec.tasks.flatMap((task) => task.files.map((file) => file.path))).size;
  const { commonDir } = await repoOf(world);
  const { estimate } = await import('../review/stats.ts');
  const { steps, seconds, from, runs } = estimate(commonDir, files);
  const source =
    from === 'measured' ? `measured: the median of the last ${runs} runs here` : 'estimated: too few runs here yet';
  world.err(`A run takes about ${steps} requests and ${Math.max(1, Math.round(seconds / 60))} min (${source}).\n`);
}

/** The base that a spec names, as facts. */
async function factsOf(world: World, spec: Spec): Promise<Facts> {
  const repo = await repoOf(world);
  return withBeside(repo, await factsAt(repo, await resolveBase(repo, spec.base || 'HEAD')), declaredPaths(spec));
}

/** `check <spec>`: findings on stdout; exit 2 when there is an error. Works without a repository too. */
export async function checkCommand(
  world: World,
  args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  const { path, text } = readInput(world, args[0] ?? '');
  const parsed = parseSpec(text);
  const facts = await factsOf(world, parsed.spec).catch(() => undefined);
  const findings = [...parsed.findings, ...checkSpec({ spec: parsed.spec, source: text, lines: parsed.lines, facts })];
  const name = relative(world.cwd, path) || basename(path);
  annotateFindings(world, name, findings);
  if (options.json === true) world.out(findingsEnvelope(name, findings));
  else world.out(showFindings(name, parsed.lines, findings) || `${name}: no findings\n`);
  if (facts !== undefined && options.json !== true) await sayEstimate(world, parsed.spec);
  if (facts === undefined) world.err('Not in a repository: the paths were not looked up.\n');
  const bad = findings.some(
    (item) => item.severity === 'error' || (options.strict === true && item.severity === 'warning'),
  );
  return bad ? 2 : 0;
}
