import { plainText } from '../inline.ts';
import type { Task, Verb } from '../model.ts';
import type { Section } from './outline.ts';

/** A file of the plan's work, and the section that names it. */
export interface Named {
  readonly path: string;
  readonly verb: Verb;
  readonly section: Section;
  readonly line: number;
}

const PARALLEL = /\b(in parallel|parallel(izable)?|concurrently)\b|\[P\]|並行|並列|并行/i;

/**
 * One task; or one for each numbered unit of the plan where each has files of its own. They keep the order of the plan:
 * only what a heading calls parallel goes together. A plan in the words of the spec grammar ("Task 2") may share files.
 */
export function tasksOf(named: readonly Named[], title: string): Task[] {
  const units = [...new Set(named.map(({ section }) => unitOf(section)))];
  const owners = new Map<string, Set<Section | undefined>>();
  for (const { path, section } of named) owners.set(path, (owners.get(path) ?? new Set()).add(unitOf(section)));
  const shared = [...owners.values()].some((own) => own.size > 1);
  const inGrammar = units.every((unit) => unit?.unit?.word === 'task');
  if (units.length < 2 || units.includes(undefined) || (shared && !inGrammar)) return [taskOf(1, title, named)];
  let before: number[] = [];
  let group: number[] = [];
  let together = false;
  const made = new Set<string>();
  return units.map((unit, index) => {
    const files = named.filter(({ section }) => unitOf(section) === unit);
    const parallel = !shared && PARALLEL.test(unit?.title ?? '');
    if (!(parallel && together)) [before, group] = [group, []];
    together = parallel;
    group.push(index + 1);
    const own = files.map(
      (file): Named => (made.has(file.path) && file.verb === 'CREATE' ? { ...file, verb: 'MODIFY' } : file),
    );
    for (const { path } of own) made.add(path);
    const all = units.every((one) => PARALLEL.test(one?.title ?? ''));
    const task = taskOf(index + 1, plainText(unit?.title ?? ''), own);
    return { ...task, dependsOn: before, independent: parallel && all };
  });
}

/** The outermost numbered section of work that a section lies in. */
function unitOf(section: Section | undefined): Section | undefined {
  if (section === undefined) return undefined;
  return unitOf(section.above) ?? (section.unit !== undefined && section.role === 'work' ? section : undefined);
}

function taskOf(number: number, title: string, named: readonly Named[]): Task {
  const deleted = new Set(named.filter(({ verb }) => verb === 'DELETE').map(({ path }) => path));
  const first = new Map(named.map((file) => [file.path, file]).reverse() as [string, Named][]);
  return {
    number,
    title,
    independent: false,
    dependsOn: [],
    uses: [],
    files: [...new Set(named.map(({ path }) => path))].map((path) => ({
      verb: deleted.has(path) ? 'DELETE' : (first.get(path)?.verb ?? 'MODIFY'),
      path,
      note: '',
      allowProtected: false,
      at: { line: first.get(path)?.line ?? 1, column: 1 },
    })),
    interfaces: [],
    requirements: [],
    verification: [],
    criteria: [],
    notes: '',
    at: { line: named[0]?.line ?? 1, column: 1 },
  };
}
