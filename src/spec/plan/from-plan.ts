import { detectCommands } from '../detect.ts';
import type { RepoFacts } from '../facts.ts';
import { plainText } from '../inline.ts';
import { type Finding, finding, type Severity, type Spec } from '../model.ts';
import { emptySpec } from '../parse.ts';
import { matching, resolvePath } from '../tracked.ts';
import { asCommand, statedChecks } from './checks.ts';
import { type Candidate, candidates, listsFiles } from './files.ts';
import { type Outline, outline, type Section } from './outline.ts';

import { refusal } from './refusal.ts';
import { type Named, tasksOf } from './tasks.ts';

export interface Converted {
  readonly spec: Spec;
  /** Findings on places of the plan. */
  readonly findings: readonly Finding[];
  /** What was taken for what, and why, by line of the plan. */
  readonly notes: readonly Note[];
}

export interface Note {
  readonly line: number;
  readonly taken: string;
  readonly why: string;
}

const MOST = 12;
const WHY: Record<Candidate['rank'], string> = {
  listed: 'a label, a heading, a table, a tree or the head of an item names it',
  prose: 'a sentence says to change it',
  mention: 'a sentence holds it',
  context: 'its section, or the words around it, say that it is no work',
};

/** Makes the header of a spec out of an approved plan, with no model; the plan goes with it, byte for byte. Pure. */
export function fromPlan(source: string, facts: RepoFacts, number: string): Converted {
  const plan = outline(source);
  const reader = new Reader(plan, facts);
  const named = reader.named();
  const checks = statedChecks(plan);
  const notes = checks.map(({ line, kind, text }) => ({
    line,
    taken: `${kind === 'command' ? 'check' : 'for the reviewer'}: ${text}`,
    why: kind === 'command' ? 'a command that checks' : 'a person has to look',
  }));
  const refused = refusal(plan, { source, files: reader.sure ? named.length : 0, checks: checks.length });
  if (refused !== undefined)
    reader.say(
      'plan/refused',
      'error',
      refused.line,
      `This plan is ${refused.what}: there is no work to hand over.`,
      refused.fix,
    );
  else if (named.length === 0 && checks.length === 0 && reader.findings.length === 0)
    reader.say(
      'plan/empty',
      'error',
      1,
      'The plan names neither a file nor a check.',
      'Write the files that change under ## Files and a command under ## Verification.',
    );
  const title = plan.title === '' ? plainText(plan.sections[1]?.title ?? '') || 'Plan' : plan.title;
  const spec: Spec = { ...emptySpec(), number, title: title.slice(0, 120), format: '2', scope: 'guess', plan: source };
  spec.tasks = tasksOf(named, spec.title);
  spec.verification = checks.filter((check) => check.kind === 'command').map((check) => asCommand(check));
  spec.criteria = checks
    .filter((check) => check.kind === 'manual')
    .slice(0, MOST)
    .map(({ text, line }) => ({ text: text.replaceAll('<-', '←'), targets: ['review'], at: { line, column: 1 } }));
  if (spec.verification.length === 0)
    spec.verification = detectCommands(facts, [...new Set(named.map(({ path }) => path))]).map((text) =>
      asCommand({ text, line: 1, expect: 0 }, true),
    );
  const byLine = (left: { line: number }, right: { line: number }): number => left.line - right.line;
  return { spec, findings: reader.findings.sort(byLine), notes: [...reader.notes, ...notes].sort(byLine) };
}

/** Decides which paths of a plan are its work, and asks once about each that it cannot place. */
class Reader {
  readonly findings: Finding[] = [];
  readonly notes: Note[] = [];
  /** False when the plan only mentions files. */
  sure = false;
  private readonly files: Named[] = [];
  private readonly unclear = new Map<string, { line: number; options: readonly string[] }>();
  private readonly outside = new Map<string, number>();

  constructor(
    private readonly plan: Outline,
    private readonly facts: RepoFacts,
  ) {}

  say(code: string, severity: Severity, line: number, message: string, fix: string): void {
    this.findings.push(finding(code, severity, { line, column: 1 }, message, fix));
  }

  named(): Named[] {
    const all = candidates(this.plan, this.facts);
    const full = this.fullPaths(all);
    const work = chosen(all, this.plan);
    this.sure = work.some((item) => item.rank !== 'mention');
    for (const item of work) {
      if (item.exact) this.put(item, item.text, !this.facts.files.has(item.text));
      else if (/\/$|\*/.test(item.text)) this.pattern(item);
      else this.path(item, full);
    }
    for (const { line, text, rank } of all.filter((item) => !work.includes(item)))
      this.notes.push({ line, taken: `not work: ${text}`, why: WHY[rank] });
    this.ask();
    return this.files;
  }

  private put({ line, rank, section, verb }: Candidate, path: string, isNew = false): void {
    const does = isNew ? 'CREATE' : verb === 'DELETE' ? 'DELETE' : 'MODIFY';
    this.files.push({ path, verb: does, section, line });
    this.notes.push({ line, taken: `${does} ${path}`, why: WHY[rank] });
    if (verb !== 'CREATE' || isNew || this.findings.some((item) => item.message.startsWith(`${path} `))) return;
    this.say(
      'plan/create-exists',
      'warning',
      line,
      `${path} exists already; the plan creates it.`,
      'It counts as MODIFY.',
    );
  }

  private path(item: Candidate, full: readonly string[]): void {
    const resolved = resolvePath(item.text, { full, folder: item.folder }, this.facts);
    if (resolved.kind === 'outside') this.outside.set(item.text, item.line);
    else if (resolved.kind === 'tracked') this.put(item, resolved.path);
    else if (resolved.kind === 'new' && item.verb !== 'DELETE') this.put(item, resolved.path, true);
    else this.unclear.set(item.text, { line: item.line, options: resolved.kind === 'many' ? resolved.candidates : [] });
  }

  /** A folder stands for its files where it is deleted; a pattern stands for the few files that it matches. */
  private pattern(item: Candidate): void {
    const found = matching(item.text, this.facts);
    const star = item.text.includes('*');
    if (star ? found.length > 0 && found.length <= MOST && !item.text.includes('**') : item.verb === 'DELETE')
      for (const path of found) this.put(item, path);
    else if (star && !/^[/~]|\*\*/.test(item.text)) this.unclear.set(item.text, { line: item.line, options: found });
  }

  private fullPaths(all: readonly Candidate[]): string[] {
    const written = all.filter((item) => item.rank !== 'context' && /\/[^/*]+$/.test(item.text));
    return [
      ...new Set(
        written.flatMap(({ text, folder }) => {
          const resolved = resolvePath(text, { full: [], folder }, this.facts);
          return resolved.kind === 'tracked' || resolved.kind === 'new' ? [resolved.path] : [];
        }),
      ),
    ];
  }

  private ask(): void {
    for (const [text, { line, options }] of this.unclear) {
      const some = `Write under Files: - MODIFY and one of: ${options.slice(0, 5).join(', ')}${options.length > 5 ? ` (${options.length} in all)` : ''}`;
      const fix =
        options.length === 0
          ? 'Write: - MODIFY and its whole path under Files:, or nothing if it is no part of the work.'
          : some;
      this.say('plan/which-file', 'warning', line, `Which file is ${text}?`, fix);
    }
    const [first] = this.outside.values();
    if (first === undefined) return;
    const paths = [...this.outside.keys()].slice(0, 5).join(', ');
    const fix = 'Make those changes yourself, or start kimi-dispatch in the repository that holds them.';
    const severity = this.files.length === 0 ? 'error' : 'warning';
    this.say('plan/outside', severity, first, `Outside this repository, where no run writes: ${paths}.`, fix);
  }
}

/** What the plan lists outranks what its sentences say; and those, what they only hold. */
function chosen(all: readonly Candidate[], plan: Outline): Candidate[] {
  const listed = all.filter((item) => item.rank === 'listed');
  const complete = plan.sections.some(
    (section) => listsFiles(section) && listed.filter((item) => item.section === section).length > 1,
  );
  const top = (section: Section): Section =>
    (section.above?.depth ?? 0) <= 1 ? section : top(section.above ?? section);
  const spoken = new Set(listed.map((item) => top(item.section)));
  const work = all.filter(
    ({ rank, section }) => rank === 'listed' || (rank === 'prose' && !complete && !spoken.has(top(section))),
  );
  return work.length > 0 ? work : all.filter(({ rank }) => rank === 'mention');
}
