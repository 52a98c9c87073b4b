import { plainText } from '../inline.ts';
import type { Task, Verb } from '../model.ts';
import { emptyTask } from '../parse.ts';
import type { Candidate } from './files.ts';
import type { Section } from './outline.ts';

/** A file of the plan's work, and the section that names it. */
export type Named = Pick<Candidate, 'section' | 'line'> & { readonly path: string; readonly verb: Verb };

const PARALLEL = /\b(in parallel|parallel(izable)?|concurrently|independent(ly)?)\b|^P$|並行|並列|并行/i;
const NEGATED = /\b(not|never|no|non|\w+n't)\b|ない|不/i;
const NUMBERED = /^\W*(\p{L}+\s*)?#?\d[\d.]*\w?\W*/u;
/** A remark of a heading: in parentheses or brackets, or after a dash. */
const REMARK = /[([（【]([^)\]）】]*)[)\]）】]|\s[—–-]+\s+(.*)$/g;
const DEPENDS =
  /\bdepends? on\W{0,4}\d|\b(depend\w*|after|once|requires?|needs?|blocked by|builds? on|follows|from)\b[^.\n]{0,40}\b(task|step|phase|stage|part)s?\s*#?\d/i;

/** True where a remark of the heading says that this unit goes beside others; a word of the title itself says nothing. */
const saysParallel = (title: string): boolean =>
  [...plainText(title).replace(NUMBERED, '').matchAll(REMARK)].some(([, inside, after]) => {
    const remark = (inside ?? after ?? '').trim();
    return PARALLEL.test(remark) && !NEGATED.test(remark);
  });

/**
 * One task; or one for each numbered unit of the plan where each has files of its own. They keep the order of the plan:
 * only what headings call parallel goes together, unless a text says what it waits for, or names a file of another unit.
 * A plan in the words of the spec grammar ("Task 2") may share files.
 */
export function tasksOf(named: readonly Named[], title: string, sections: readonly Section[]): Task[] {
  const groups = Map.groupBy(named, ({ section }) => unitOf(section));
  const units = [...groups.keys()];
  const first = new Map(named.toReversed().map((file) => [file.path, file]));
  const owned = [...groups.values()].map((files) => new Set(files.map(({ path }) => path)).size);
  const shared = owned.reduce((total, count) => total + count, 0) > first.size;
  const inGrammar = units.every((unit) => unit?.unit === 'task');
  if (units.length < 2 || units.includes(undefined) || (shared && !inGrammar)) return [taskOf(1, title, named)];
  const bodies = Map.groupBy(sections, unitOf);
  const parallel = units.map((unit) => {
    if (shared || !saysParallel(unit?.title ?? '')) return false;
    const others = named.filter(({ section }) => unitOf(section) !== unit);
    const texts = (bodies.get(unit) ?? []).flatMap(({ blocks }) => blocks.map(({ text }) => text));
    return !texts.some((text) => DEPENDS.test(plainText(text)) || others.some(({ path }) => text.includes(path)));
  });
  const independent = parallel.every((one) => one);
  let [before, group]: number[][] = [[], []];
  return units.map((unit, index) => {
    if (!(parallel[index] && parallel[index - 1])) [before, group] = [group, []];
    group?.push(index + 1);
    const files = groups.get(unit) ?? [];
    const task = taskOf(index + 1, plainText(unit?.title ?? ''), files);
    for (const file of task.files) {
      const made = first.get(file.path);
      if (file.verb === 'CREATE' && made !== undefined && !files.includes(made)) file.verb = 'MODIFY';
    }
    return { ...task, dependsOn: before ?? [], independent };
  });
}

/** The outermost numbered section of work that a section lies in. */
function unitOf(section: Section | undefined): Section | undefined {
  if (section === undefined) return undefined;
  return unitOf(section.above) ?? (section.unit !== undefined && section.role === 'work' ? section : undefined);
}

function taskOf(number: number, title: string, named: readonly Named[]): Task {
  const deleted = new Set(named.filter(({ verb }) => verb === 'DELETE').map(({ path }) => path));
  const each = [...new Map(named.toReversed().map((file) => [file.path, file])).values()].toReversed();
  const files = each.map(({ path, verb, line }) => ({
    verb: deleted.has(path) ? ('DELETE' as const) : verb,
    path,
    note: '',
    allowProtected: false,
    at: { line, column: 1 },
  }));
  return {
    ...emptyTask(number, title.replace(/\s*\[INDEPENDENT\]/gi, ''), { line: named[0]?.line ?? 1, column: 1 }),
    files,
  };
}
