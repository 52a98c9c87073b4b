import { canStart, detectCommands } from '../detect.ts';
import type { RepoFacts } from '../facts.ts';
import { plainText } from '../inline.ts';
import { type Finding, finding, type Spec } from '../model.ts';
import { emptySpec } from '../parse.ts';
import { placer } from '../tracked.ts';
import { asCommand, type Stated, statedChecks } from './checks.ts';
import { type Candidate, candidates, listsFiles } from './files.ts';
import { type Outline, outline, type Section } from './outline.ts';
import { refusal } from './refusal.ts';
import { type Named, tasksOf } from './tasks.ts';

export interface Converted {
  readonly spec: Spec;
  readonly findings: readonly Finding[];
  /** What was taken for what, and why, by line of the plan. */
  readonly notes: readonly Note[];
}
export type Note = { readonly line: number; readonly taken: string; readonly why: string };

const MOST = 12;
const WHY: Record<Candidate['rank'], string> = {
  listed: 'a label, a heading, a table, a tree or the head of an item names it',
  prose: 'a sentence says to change it',
  mention: 'a sentence holds it',
  context: 'its section, or the words around it, say that it is no work',
};

/** What a plan says, with its paths placed among the files of the repository; its manifests are not looked at. */
export interface PlanReading {
  readonly title: string;
  readonly sections: readonly Section[];
  readonly named: readonly Named[];
  readonly checks: readonly Stated[];
  readonly findings: readonly Finding[];
  readonly notes: readonly Note[];
}

/** Makes the header of a spec out of an approved plan, with no model; the plan goes with it, byte for byte. Pure. */
export const fromPlan = (source: string, facts: RepoFacts, number: string): Converted =>
  specOf(readPlan(outline(source), facts), facts, { source, number });

/** Reads which files a plan changes and what it says shows that the work is right. Pure. */
export function readPlan(plan: Outline, facts: RepoFacts): PlanReading {
  const { named, notes, findings, sure } = readFiles(plan, facts);
  const checks = statedChecks(plan, facts);
  for (const { line, kind, text } of checks)
    notes.push({ line, taken: `${kind}: ${text}`, why: kind === 'command' ? 'it checks by itself' : 'a person looks' });
  const refused = refusal(plan, { files: sure ? named.length : findings.length, checks: checks.length });
  if (refused !== undefined) findings.push(refused);
  const title = (plan.title || plainText(plan.sections[1]?.title ?? '') || 'Plan').slice(0, 120);
  const byLine = (left: { line: number }, right: { line: number }): number => left.line - right.line;
  return { title, sections: plan.sections, named, checks, findings: findings.sort(byLine), notes: notes.sort(byLine) };
}

/** The spec of a plan that was read; what checks it where the plan does not say is found in the manifests. Pure. */
export function specOf(
  reading: PlanReading,
  facts: RepoFacts,
  of: Pick<Spec, 'number'> & { source: string },
): Converted {
  const { title, sections, named, checks, findings, notes } = reading;
  const spec: Spec = { ...emptySpec(), number: of.number, title, format: '2', scope: 'guess', plan: of.source };
  const paths = named.map(({ path }) => path);
  const commands = checks.filter(({ kind, text }) => kind === 'command' && canStart(text, facts, paths));
  const detected = commands.length > 0 ? [] : detectCommands(facts, paths);
  spec.tasks = tasksOf(named, title, sections);
  spec.verification = [
    ...commands.map((check) => asCommand(check)),
    ...detected.map((text) => asCommand({ text, line: 1, expect: 0 }, true)),
  ];
  spec.criteria = checks
    .filter((check) => !commands.includes(check))
    .slice(0, MOST)
    .map(({ text, line }) => ({ text: text.replaceAll('<-', '←'), targets: ['review'], at: { line, column: 1 } }));
  return { spec, findings, notes };
}

/** Decides which paths of a plan are its work, and asks once about each that it cannot place. */
function readFiles(plan: Outline, facts: RepoFacts) {
  const all = candidates(plan, facts);
  const work = new Set(chosen(all));
  const named: Named[] = [];
  const notes: Note[] = [];
  const unclear = new Map<string, Finding>();
  const unplaced = new Map<string, number>();
  const outside = new Map<string, number>();
  const whole = all.filter(({ rank, text }) => rank !== 'context' && /\/[^/*]+$/.test(text));
  const alone = placer([], facts);
  const full = [...new Set(whole.flatMap((item) => alone(item).paths.slice(0, 1)))].slice(0, 500);
  const resolve = placer(full, facts);
  for (const item of all) {
    const { text, line, section, deletes } = item;
    const placed = work.has(item) ? resolve(item) : { kind: 'context', paths: [] };
    const made = item.creates === true && placed.kind === 'open' && placed.paths.length === 0;
    const found = made ? { kind: 'new', paths: [text] } : placed;
    const kind = found.kind === 'new' && deletes ? 'open' : found.kind;
    const verb = kind === 'new' ? 'CREATE' : deletes ? 'DELETE' : 'MODIFY';
    const known = kind === 'tracked' || kind === 'new' ? found.paths : [];
    named.push(...known.map((path) => ({ path, verb, section, line }) as const));
    const taken = known.length > 0 ? `${verb} ${known.join(', ')}` : `${kind}: ${text}`;
    notes.push({ line, taken, why: WHY[item.rank] });
    if (kind === 'outside') outside.set(text, line);
    if (kind === 'open' && found.kind === 'open' && found.paths.length > 0) unclear.set(text, which(item, found.paths));
    else if (kind === 'open' && !unplaced.has(text)) unplaced.set(text, line);
  }
  const demoted = all.filter((item) => item.rank === 'prose' && !work.has(item) && resolve(item).kind === 'tracked');
  const findings = [...unclear.values(), ...whereAre(unplaced), ...beside(demoted, named, resolve)];
  for (const [, line] of [...outside].slice(0, 1)) {
    const message = `Outside this repository, where no run writes: ${[...outside.keys()].slice(0, 5).join(', ')}.`;
    const fix = 'Make those changes yourself, or start kimi-dispatch in the repository that holds them.';
    findings.push(finding('plan/outside', named.length > 0 ? 'warning' : 'error', { line, column: 1 }, message, fix));
  }
  return { named, notes, findings, sure: [...work].some(({ rank }) => rank !== 'mention') };
}

const ask = (line: number, message: string, fix: string): Finding =>
  finding('plan/which-file', 'warning', { line, column: 1 }, message, fix);

function which({ text, line }: Candidate, options: readonly string[]): Finding {
  const some = options.length > 5 ? [...options.slice(0, 5), `… (${options.length} in all)`] : options;
  return ask(line, `Which file is ${text}?`, `Write under Files: - MODIFY and one of: ${some.join(', ')}`);
}

/** One question about all names that nothing places: what places one of them mostly places the others. */
function whereAre(unplaced: ReadonlyMap<string, number>): Finding[] {
  const [line = 1] = unplaced.values();
  const names = [...unplaced.keys()];
  if (names.length === 0) return [];
  const some = names.length > MOST ? [...names.slice(0, MOST), `… (${names.length} in all)`] : names;
  const [message, what] =
    names.length === 1
      ? [`Which file is ${names[0]}?`, 'its whole path']
      : [`Which files are ${some.join(', ')}?`, 'the whole path of each'];
  return [ask(line, message, `Write under Files: - CREATE or MODIFY and ${what}, or nothing if it is no work`)];
}

/** Says which files only sentences change: where files are listed beside them, those are not taken for work. */
function beside(demoted: readonly Candidate[], named: readonly Named[], resolve: ReturnType<typeof placer>): Finding[] {
  const known = new Set(named.map(({ path }) => path));
  const paths = [...new Set(demoted.flatMap((item) => resolve(item).paths))].filter((path) => !known.has(path));
  if (paths.length === 0) return [];
  const message = `Only sentences change ${paths.slice(0, MOST).join(', ')}: what the plan lists is taken for its work.`;
  const fix = 'Where that is work too, write under Files: - MODIFY and the path';
  return [finding('plan/only-said', 'info', { line: demoted[0]?.line ?? 1, column: 1 }, message, fix)];
}

/** What the plan lists outranks what its sentences say; and those, what they only hold. */
function chosen(all: readonly Candidate[]): Candidate[] {
  const listed = all.filter(({ rank }) => rank === 'listed');
  const files = listed.filter(({ section }) => listsFiles(section)).map(({ section }) => section);
  const complete = new Set(files).size < files.length;
  const top = (one: Section): Section => ((one.above?.depth ?? 0) <= 1 ? one : top(one.above ?? one));
  const spoken = new Set(listed.map(({ section }) => top(section)));
  const listOf = ({ section, list }: Candidate): string => `${section.line} ${list}`;
  const lists = new Set(listed.filter(({ list }) => list !== undefined).map(listOf));
  const says = (item: Candidate): boolean =>
    item.rank === 'prose' && !complete && (!spoken.has(top(item.section)) || lists.has(listOf(item)));
  const work = all.filter((item) => item.rank === 'listed' || says(item));
  return work.length > 0 ? work : all.filter(({ rank }) => rank === 'mention');
}
