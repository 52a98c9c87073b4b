import { type Item, readChecklist, readSuperpowers, type Source } from './import-items.ts';
import type { Spec, Task } from './model.ts';
import { samePlace } from './patterns.ts';

/** Formats of other tools that are read: each becomes a plan, whose header goes with the source as it is. */
export type Format = 'openspec' | 'spec-kit' | 'superpowers' | 'kiro';

export interface Imported {
  readonly format: Format;
  /** A plan in Markdown: nothing is in it that was not in the source. */
  readonly plan: string;
  /** For each task of the plan: its title, the tasks that it comes after (from 1), and whether the source calls it parallel. */
  readonly order: readonly { readonly title: string; readonly after: readonly number[]; readonly parallel: boolean }[];
}

/** Recognises a format by its own marks; undefined when it is none of them. */
export function formatOf(text: string): Format | undefined {
  if (/^\s*[-*] \[[ x]\] T\d{3,}\b/m.test(text)) return 'spec-kit';
  if (/^\s*[-*] \[[ x]\] \*{0,2}Step \d+/m.test(text) && /^#{2,3} Task \d+/m.test(text)) return 'superpowers';
  if (/^\s*[-*] \[[ x]\] \d+\.\d+\s/m.test(text) && /^## \d+\.\s/m.test(text)) return 'openspec';
  if (/^\s*[-*] \[[ x]\]\*? \d+(\.\d+)?\.? /m.test(text)) return 'kiro';
  return undefined;
}

/** Reads a source into a plan. Done items are left out: they are no work any more. */
export function importPlan(text: string, format: Format): Imported {
  const source: Source = { lines: text.split(/\r\n?|\n/), used: new Set() };
  const title = titleOf(source);
  const items = format === 'superpowers' ? readSuperpowers(source) : readChecklist(source, format);
  const context = introduction(source, items);
  const tasks = items.flatMap((item, index) => [`### Task ${index + 1}: ${item.title}`, '', ...item.lines, '']);
  const commands = format === 'superpowers' ? runLines(source) : [];
  return {
    format,
    plan: [
      `# ${title}`,
      '',
      ...(context.length === 0 ? [] : ['## Context', '', ...context, '']),
      '## Tasks',
      '',
      ...tasks,
      ...(commands.length === 0 ? [] : ['## Verification', ...commands.map((command) => `- \`${command}\``), '']),
    ].join('\n'),
    order: orderOf(items),
  };
}

/** Puts the order of the source into a spec made from its plan: only what the source calls parallel is independent. */
export function applyOrder(spec: Spec, order: Imported['order']): void {
  const numbers = new Map<number, number>();
  let at = 0;
  const all = spec.tasks.length === order.length;
  for (const [place, task] of spec.tasks.entries()) {
    const found = all
      ? place
      : order.findIndex((item, index) => index >= at && plain(item.title) === plain(task.title));
    const known = order[found];
    if (found >= 0) at = found + 1;
    numbers.set(found + 1, task.number);
    const after = (known?.after ?? []).flatMap((number) => numbers.get(number) ?? []);
    const sharing = spec.tasks
      .slice(0, place)
      .filter((other) => shares(task, other))
      .map((other) => other.number);
    task.dependsOn = [...new Set([...sharing, ...after])].sort((left, right) => left - right);
    task.independent = spec.tasks.length > 1 && known?.parallel === true && task.dependsOn.length === 0;
  }
  // What the source calls parallel is so beside its neighbours; a file that another task writes too says otherwise.
  for (const task of spec.tasks) if (spec.tasks.some((other) => shares(task, other))) task.independent = false;
}

const shares = (one: Task, other: Task): boolean =>
  one !== other && one.files.some((file) => other.files.some((theirs) => samePlace(file.path, theirs.path)));

const plain = (title: string): string => title.replace(/[`*]/g, '').trim();

function titleOf({ lines, used }: Source): string {
  const at = lines.findIndex((line) => /^# /.test(line));
  used.add(at);
  const title = lines[at]?.slice(2).trim() ?? 'Imported plan';
  return title.replace(/^(Tasks|Implementation Plan):?\s*/i, '') || title;
}

/** What stands before the first task and its headings, for the reader of all tasks. */
function introduction({ lines, used }: Source, items: readonly Item[]): string[] {
  const end = Math.min(lines.length, ...items.map((item) => item.line));
  const text = lines.slice(0, end).flatMap((line, index) => {
    if (used.has(index) || /^#/.test(line) || /^\s*[-*] \[/.test(line)) return [];
    used.add(index);
    return [line];
  });
  return text.join('\n').trim() === '' ? [] : text.join('\n').trim().split('\n');
}

/**
 * Each task comes after those that it names; without names, one that is not called parallel comes after all before it,
 * and parallel ones of a phase after what went before them.
 */
function orderOf(items: readonly Item[]): Imported['order'] {
  let before: number[] = [];
  let group: number[] = [];
  return items.map((item, index) => {
    const previous = items[index - 1];
    const together = item.parallel && previous?.parallel === true && previous.phase === item.phase;
    if (!together) [before, group] = [group, []];
    group.push(index + 1);
    const named = items.flatMap((other, at) => (at < index && item.after.includes(other.id) ? [at + 1] : []));
    return { title: item.title, after: item.after.length > 0 ? named : before, parallel: item.parallel };
  });
}

/** `Run: pytest tests/x.py -v` lines, each once. */
function runLines({ lines }: Source): string[] {
  const found = lines.flatMap((line) => {
    const command = /^\s*Run:\s*`?([^`]+?)`?\s*$/.exec(line)?.[1]?.trim();
    return command === undefined || /^git /.test(command) ? [] : [command];
  });
  return [...new Set(found)];
}
