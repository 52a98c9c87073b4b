import type { Summary } from './summary.ts';

/** What a spec and a change say about tests that may be gone. Paths are from the top of the repository. */
export interface Around {
  /** Paths that the spec declares as DELETE. */
  readonly deleted?: readonly string[];
  /** Files that git sees as renamed, as [from, to]. */
  readonly renamed?: readonly (readonly [string, string])[];
  /** Test files whose shortfall a person allowed. */
  readonly allowedTests?: readonly string[];
}

/** Tests of one file (`''`: of the whole command) that ran before and do not run now. */
interface Lost {
  readonly file: string;
  readonly names: readonly string[];
}

/** How many tests ran to an end. */
export const executed = (summary: Summary): number => summary.passed + summary.failed;

/** Why fewer tests ran than before, as a sentence; undefined when none is missing, or what is missing is excused. */
export function shortfall(before: Summary, after: Summary | undefined, around: Around = {}): string | undefined {
  const ran = executed(before);
  if (ran === 0) return undefined;
  const allowed = around.allowedTests ?? [];
  if (after === undefined)
    return allowed.length > 0
      ? undefined
      : `${before.runner} ran ${ran} tests before; nothing readable was printed now`;
  if (after.runner !== before.runner && allowed.length === 0)
    return `${before.runner} ran ${ran} tests before, ${after.runner} ran ${executed(after)} now`;
  const gone = lostTests(before, after, around).filter((lost) => !isExcused(lost, around));
  if (gone.length === 0) return undefined;
  const names = gone.flatMap((lost) => (lost.names.length > 0 ? lost.names : lost.file === '' ? [] : [lost.file]));
  const counts = `${ran} tests ran before, ${executed(after)} now`;
  if (names.length === 0) return counts;
  const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
  return `${counts}: ${names.slice(0, 3).join(', ')}${more} no longer run${names.length === 1 ? 's' : ''}`;
}

/** By names where both sides list them all, else by the counts of files, else by the totals. */
function lostTests(before: Summary, after: Summary, around: Around): Lost[] {
  const fell = executed(before) - executed(after);
  if (isNamed(before) && isNamed(after)) return lostNames(before, after, { around, fell });
  if (before.files !== undefined && after.files !== undefined && fell > 0)
    return lostInFiles(before.files, after.files, around);
  return fell > 0 ? [{ file: '', names: [] }] : [];
}

const isNamed = (summary: Summary): boolean =>
  (summary.passes ?? []).length === summary.passed && summary.failures.length === summary.failed;

const namesOf = (summary: Summary): string[] => [...(summary.passes ?? []), ...summary.failures];

function lostNames(before: Summary, after: Summary, call: { around: Around; fell: number }): Lost[] {
  const move = (name: string): string => moveName(name, call.around.renamed ?? []);
  const [was, is] = [namesOf(before).map(move), namesOf(after)];
  // A test that was red and is gone counts only where the total fell: one that did not load has other names afterwards.
  const wanted = call.fell > 0 ? was : (before.passes ?? []).map(move);
  const lost = without(without(wanted, is), without(is, was), normal);
  const [ranBefore, ranNow] = [byFile(was), byFile(is)];
  return [...byFile(lost)]
    .filter(([file]) => (ranNow.get(file)?.length ?? 0) < (ranBefore.get(file)?.length ?? 0))
    .map(([file, names]) => ({ file, names }));
}

/** The names that `there` does not hold; each one there stands for one. */
function without(names: readonly string[], there: readonly string[], key = (name: string) => name): string[] {
  const counts = new Map<string, number>();
  for (const name of there) counts.set(key(name), (counts.get(key(name)) ?? 0) + 1);
  return names.filter((name) => {
    const left = counts.get(key(name)) ?? 0;
    counts.set(key(name), left - 1);
    return left <= 0;
  });
}

/** A name without what differs from run to run: temporary paths and numbers. */
const normal = (name: string): string =>
  name.replace(/\/(?:tmp|var\/folders|private\/tmp)\/[^\s:'")\]]*/g, '<tmp>').replace(/\d+/g, '#');

function byFile(names: readonly string[]): Map<string, string[]> {
  const files = new Map<string, string[]>();
  for (const name of names) {
    const file = fileOf(name);
    const list = files.get(file);
    if (list === undefined) files.set(file, [name]);
    else list.push(name);
  }
  return files;
}

/** The file that a test's name begins with (`file > test`, `file::test`, a Python class), or `''`. */
function fileOf(name: string): string {
  const head = name.split(/ > |::/, 1)[0] ?? '';
  return head !== name && !head.includes(' ') && /[./]/.test(head) ? head : '';
}

function moveName(name: string, renamed: readonly (readonly [string, string])[]): string {
  const file = fileOf(name);
  if (file === '') return name;
  const to = moveFile(file, renamed);
  return to === file ? name : to + name.slice(file.length);
}

/** Where git says that a file went; a runner may name it from its package's folder. */
function moveFile(file: string, renamed: readonly (readonly [string, string])[]): string {
  for (const [from, to] of renamed) {
    if (from === file) return to;
    const folder = from.slice(0, -file.length);
    if (from.endsWith(`/${file}`) && to.startsWith(folder)) return to.slice(folder.length);
  }
  return file;
}

function lostInFiles(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
  around: Around,
): Lost[] {
  return Object.entries(before).flatMap(([file, ran]) => {
    const now = after[moveFile(file, around.renamed ?? [])] ?? 0;
    return now < ran ? [{ file, names: [] }] : [];
  });
}

/** What belongs to no file is excused by any deletion that the spec declares, and by any file that a person allowed. */
const isExcused = (lost: Lost, { deleted = [], allowedTests = [] }: Around): boolean =>
  [...deleted, ...allowedTests].some((path) => lost.file === '' || holds(path, lost.file));

/** True when the path is that file, or a folder of it; a runner may name a file from below, or as a module. */
function holds(path: string, file: string): boolean {
  const plain = path.replace(/\/$/, '');
  const dotted = plain.replace(/\.\w+$/, '').replaceAll('/', '.');
  return (
    plain === file ||
    plain.endsWith(`/${file}`) ||
    file.startsWith(`${plain}/`) ||
    file === dotted ||
    file.startsWith(`${dotted}.`)
  );
}
