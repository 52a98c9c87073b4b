import type { Say } from './check.ts';
import type { Spec, SpecFile, Task } from './model.ts';
import { Places } from './patterns.ts';

interface Owner {
  readonly task: Task;
  readonly file: SpecFile;
}

/** Tasks that are in each other's way, by a path or by a resource, without an order between them. */
export function checkOverlaps(spec: Spec, say: Say): void {
  const owners = new Places<Owner>();
  const comesAfter = reachable(spec.tasks);
  for (const task of spec.tasks) {
    for (const file of task.files) {
      const other = owners.find(file.path).find((owner) => owner.task !== task || owner.file.path === file.path);
      owners.add(file.path, { task, file });
      if (other === undefined) continue;
      const numbers: [number, number] = [task.number, other.task.number];
      overlap(
        { task, file, other, ordered: comesAfter(...numbers) || comesAfter(other.task.number, task.number) },
        say,
      );
    }
    independent(task, spec.tasks, say);
  }
}

interface Overlap extends Owner {
  readonly other: Owner;
  readonly ordered: boolean;
}

function overlap({ task, file, other, ordered }: Overlap, say: Say): void {
  if (other.task === task)
    return say(
      'spec/path-twice',
      'warning',
      file.at,
      `${file.path} stands twice in task ${task.number}.`,
      'Remove one line.',
    );
  const tasks = `Tasks ${other.task.number} and ${task.number}`;
  if (file.verb === 'CREATE' && other.file.verb === 'CREATE' && file.path === other.file.path)
    return say(
      'spec/race',
      'error',
      file.at,
      `${tasks} both create ${file.path}.`,
      `Write MODIFY here, and: Depends on: ${other.task.number}`,
    );
  const what =
    file.path === other.file.path
      ? `both write ${file.path}`
      : `write ${other.file.path} and ${file.path}, which cannot both be there`;
  if (task.independent || other.task.independent)
    return say(
      'spec/not-independent',
      'error',
      file.at,
      `${tasks} ${what}, so neither is [INDEPENDENT].`,
      `Remove the tags, and write in task ${task.number}: Depends on: ${other.task.number}`,
    );
  if (!ordered)
    say(
      'spec/race',
      'error',
      file.at,
      `${tasks} ${what} in no order.`,
      `Write in task ${task.number}: Depends on: ${other.task.number}`,
    );
}

function independent(task: Task, tasks: readonly Task[], say: Say): void {
  if (!task.independent) return;
  if (task.dependsOn.length > 0)
    say(
      'spec/not-independent',
      'error',
      task.at,
      `Task ${task.number} is [INDEPENDENT] and depends on ${task.dependsOn.join(', ')}.`,
      'Remove the tag or the dependency.',
    );
  for (const other of tasks) {
    const shared = other === task ? undefined : task.uses.find((name) => other.uses.includes(name));
    if (shared === undefined) continue;
    say(
      'spec/not-independent',
      'error',
      task.at,
      `Tasks ${task.number} and ${other.number} both use ${shared}, so neither is [INDEPENDENT].`,
      'Remove the tag, or give them resources of their own.',
    );
    return;
  }
}

/** Whether one task comes after another by its dependencies. */
function reachable(tasks: readonly Task[]): (from: number, to: number) => boolean {
  const edges = new Map(tasks.map((task) => [task.number, task.dependsOn]));
  return (from, to) => wayBetween(edges, from, to) !== undefined;
}

/** The tasks from one to another along their dependencies, both ends included. */
function wayBetween(edges: ReadonlyMap<number, readonly number[]>, from: number, to: number): number[] | undefined {
  const cameFrom = new Map<number, number>();
  const stack = [from];
  while (stack.length > 0) {
    const at = stack.pop() as number;
    for (const next of edges.get(at) ?? []) {
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, at);
      stack.push(next);
    }
  }
  if (!cameFrom.has(to)) return undefined;
  const way = [to];
  for (let at = cameFrom.get(to) as number; at !== from; at = cameFrom.get(at) as number) way.unshift(at);
  return [from, ...way];
}

export function checkDependencies(tasks: readonly Task[], say: Say): void {
  const known = new Set(tasks.map((task) => task.number));
  const edges = new Map(tasks.map((task) => [task.number, task.dependsOn]));
  for (const task of tasks) {
    for (const number of task.dependsOn)
      if (!known.has(number))
        say(
          'spec/depends',
          'error',
          task.at,
          `Task ${task.number} depends on task ${number}, which is not there.`,
          `Name one of: ${[...known].join(', ')}`,
        );
    const cycle = wayBetween(edges, task.number, task.number);
    // A cycle is said once, where its first task stands.
    if (cycle === undefined || Math.min(...cycle) < task.number) continue;
    say(
      'spec/cycle',
      'error',
      task.at,
      `These tasks wait for each other: ${cycle.join(' → ')}.`,
      'Remove one of these dependencies.',
    );
  }
}
