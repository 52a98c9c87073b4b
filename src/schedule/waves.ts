import type { Command, Spec, Task } from '../spec/model.ts';
import { matcher, samePlace } from '../spec/patterns.ts';

/** Why one task goes after another. */
export interface Edge {
  readonly from: number;
  readonly to: number;
  readonly why: string;
}

/** Which tasks go at the same time, wave by wave, and the reason for every order. */
export interface Schedule {
  readonly waves: readonly (readonly number[])[];
  readonly edges: readonly Edge[];
}

/**
 * Computes waves from what the spec says: stated dependencies, paths that two tasks write, resources that two tasks
 * use, and the order of the text for a task that is not marked [INDEPENDENT]. What is stated comes first: no other
 * reason turns it round. Pure. The spec has no cycle: checking a spec refuses one.
 */
export function schedule(spec: Spec): Schedule {
  const tasks = [...spec.tasks].sort((left, right) => left.number - right.number);
  const edges = edgesOf(tasks, matcher(spec.generated));
  const waveOf = new Map<number, number>();
  const order = sorted(tasks, edges);
  for (const task of order) {
    const after = edges.filter((edge) => edge.to === task.number).map((edge) => (waveOf.get(edge.from) ?? -1) + 1);
    waveOf.set(task.number, Math.max(0, ...after));
  }
  const count = Math.max(-1, ...waveOf.values()) + 1;
  const waves = Array.from({ length: count }, (_, wave) =>
    tasks.map((task) => task.number).filter((number) => waveOf.get(number) === wave),
  );
  return { waves, edges };
}

/** Every reason for which a task goes after another. */
function edgesOf(tasks: readonly Task[], isGenerated: (path: string) => boolean): Edge[] {
  const edges: Edge[] = tasks.flatMap((task) =>
    task.dependsOn.map((from) => ({ from, to: task.number, why: 'stated: depends on it' })),
  );
  /** The earlier one in the text goes first, unless it waits for the later one already. */
  const order = (first: Task, then: Task, why: string): void => {
    const turned = dependants(edges, then.number).has(first.number);
    const [from, to] = turned ? [then, first] : [first, then];
    edges.push({ from: from.number, to: to.number, why });
  };
  for (const [index, task] of tasks.entries())
    for (const other of tasks.slice(0, index))
      for (const why of inTheWay(other, task, isGenerated)) order(other, task, why);
  for (const [index, task] of tasks.entries()) {
    const last = tasks[index - 1];
    if (task.independent || task.dependsOn.length > 0 || last === undefined) continue;
    if (!dependants(edges, task.number).has(last.number)) order(last, task, 'not marked [INDEPENDENT]');
  }
  return edges;
}

/** Why two tasks cannot go at the same time. */
function inTheWay(one: Task, other: Task, isGenerated: (path: string) => boolean): string[] {
  const path = other.files.find((file) => one.files.some((theirs) => samePlace(file.path, theirs.path)))?.path;
  const resource = other.uses.find((name) => one.uses.includes(name));
  // Any task may write what is generated; a task that names such a file writes it for certain.
  const generated = [...one.files, ...other.files].find((file) => isGenerated(file.path))?.path;
  return [
    ...(path === undefined ? [] : [`both write ${path}`]),
    ...(resource === undefined ? [] : [`both use ${resource}`]),
    ...(path !== undefined || generated === undefined ? [] : [`both may write ${generated} (Allow generated)`]),
  ];
}

/** Tasks so that each comes after what it waits for; a dependency may point forward in the text. */
function sorted(tasks: readonly Task[], edges: readonly Edge[]): Task[] {
  const done = new Set<number>();
  const order: Task[] = [];
  const numbers = new Set(tasks.map((task) => task.number));
  while (order.length < tasks.length) {
    const ready = tasks.filter(
      (task) =>
        !done.has(task.number) &&
        edges.every((edge) => edge.to !== task.number || !numbers.has(edge.from) || done.has(edge.from)),
    );
    // Without a ready task there is a cycle of stated dependencies, which checking refuses.
    for (const task of ready.length > 0 ? ready : tasks.filter((item) => !done.has(item.number))) {
      order.push(task);
      done.add(task.number);
    }
  }
  return order;
}

/** The tasks that wait for one, directly or through others. */
export function dependants(edges: readonly Edge[], task: number): Set<number> {
  const found = new Set<number>();
  const visit = (from: number): void => {
    for (const edge of edges)
      if (edge.from === from && !found.has(edge.to)) {
        found.add(edge.to);
        visit(edge.to);
      }
  };
  visit(task);
  return found;
}

/** The schedule for people: waves, and the reason for every order. */
export function showSchedule({ waves, edges }: Schedule): string {
  const rows = waves.map((wave, index) => `Wave ${index + 1}: ${wave.map((task) => `task ${task}`).join(', ')}`);
  const reasons = edges.map((edge) => `  task ${edge.to} after task ${edge.from}: ${edge.why}`);
  return `${[...rows, ...reasons].join('\n')}\n`;
}

/**
 * A spec of one task of a spec: its own verification, and the whole spec's where it has none. What the whole must make
 * pass (`baseline fail`) may need other tasks too, so one of several is not held to it.
 */
export function specOfTask(spec: Spec, number: number): Spec {
  const task = spec.tasks.find((item) => item.number === number);
  if (task === undefined) throw new Error(`no task ${number}`);
  const whole = spec.tasks.length === 1 ? spec.verification : spec.verification.map(unmarked);
  const verification = task.verification.length > 0 ? [] : whole;
  const title = task.title === '' ? spec.title : task.title;
  return { ...spec, title, tasks: [{ ...task, dependsOn: [], independent: true }], verification, criteria: [] };
}

const unmarked = (command: Command): Command => ({ ...command, baselineFails: false });
