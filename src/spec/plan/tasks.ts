import { plainText } from '../inline.ts';
import type { Task, Verb } from '../model.ts';
import { emptyTask } from '../parse.ts';
import type { Candidate } from './files.ts';
import type { Section } from './outline.ts';

/** A file of the plan's work, and the section that names it. */
export type Named = Pick<Candidate, 'section' | 'line'> & { readonly path: string; readonly verb: Verb };

const PARALLEL = /\b(in parallel|parallel(izable)?|concurrently)\b|\[P\]|並行|並列|并行/i;

/**
 * One task; or one for each numbered unit of the plan where each has files of its own. They keep the order of the plan:
 * only what headings call parallel goes together. A plan in the words of the spec grammar ("Task 2") may share files.
 */
export function tasksOf(named: readonly Named[], title: string): Task[] {
  const groups = Map.groupBy(named, ({ section }) => unitOf(section));
  const units = [...groups.keys()];
  const first = new Map(named.toReversed().map((file) => [file.path, file]));
  const owned = [...groups.values()].map((files) => new Set(files.map(({ path }) => path)).size);
  const shared = owned.reduce((total, count) => total + count, 0) > first.size;
  const inGrammar = units.every((unit) => unit?.unit === 'task');
  if (units.length < 2 || units.includes(undefined) || (shared && !inGrammar)) return [taskOf(1, title, named)];
  const parallel = units.map((unit) => !shared && PARALLEL.test(unit?.title ?? ''));
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
  return { ...emptyTask(number, title, { line: named[0]?.line ?? 1, column: 1 }), files };
}
