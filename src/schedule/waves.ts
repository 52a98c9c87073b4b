import type { Spec, Task } from '../spec/model.ts';

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
 * use, and the order of the text for a task that is not marked [INDEPENDENT]. Pure. The spec has no cycle: checking
 * a spec refuses one.
 */
export function schedule(spec: Spec): Schedule {
  const tasks = [...spec.tasks].sort((left, right) => left.number - right.number);
  const edges = tasks.flatMap((task, index) => edgesOf(task, tasks.slice(0, index)));
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

/** Every reason for which a task goes after one of those before it in the text. */
function edgesOf(task: Task, before: readonly Task[]): Edge[] {
  const edges = task.dependsOn.map((from) => ({ from, to: task.number, why: 'stated: depends on it' }));
  for (const other of before) {
    const say = (why: string): void => void edges.push({ from: other.number, to: task.number, why });
    const path = task.files.find((file) => other.files.some((theirs) => samePlace(file.path, theirs.path)))?.path;
    if (path !== undefined) say(`both write ${path}`);
    const resource = task.uses.find((name) => other.uses.includes(name));
    if (resource !== undefined) say(`both use ${resource}`);
  }
  const last = before.at(-1);
  if (!task.independent && task.dependsOn.length === 0 && last !== undefined)
    edges.push({ from: last.number, to: task.number, why: 'not marked [INDEPENDENT]' });
  return edges;
}

/** Two paths in each other's way on some machine: the same, different only in case, or one a folder of the other. */
function samePlace(left: string, right: string): boolean {
  const [one, other] = [`${left.toLowerCase()}/`, `${right.toLowerCase()}/`];
  return one.startsWith(other) || other.startsWith(one);
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
    // Without a ready task there is a cycle, which checking has refused; the rest follows in the order of the text.
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

/** A spec of one task of a spec: its own verification, and the whole spec's where it has none. */
export function specOfTask(spec: Spec, number: number): Spec {
  const task = spec.tasks.find((item) => item.number === number);
  if (task === undefined) throw new Error(`no task ${number}`);
  const verification = task.verification.length > 0 ? [] : spec.verification;
  const title = task.title === '' ? spec.title : task.title;
  return { ...spec, title, tasks: [{ ...task, dependsOn: [], independent: true }], verification, criteria: [] };
}
