import type { Job } from 'bullmq';
import { refuse } from '../errors.ts';
import { digestOf, slug } from '../run/run.ts';
import { specOfTask } from '../schedule/waves.ts';
import { parseSpec } from '../spec/parse.ts';
import { renderSpec } from '../spec/render.ts';
import type { Door } from './connect.ts';
import { type Answer, type Order, readAnswer, readOrder } from './order.ts';

/** The job that integrates a wave, and the job of a task: found again by name, so that adding them twice is once. */
export const waveId = (run: string, index: number): string => `${run}-w${index + 1}`;
export const taskId = (run: string, task: number): string => `${run}-t${task}`;

/** The order of one task of a run in waves. */
export function taskOrder(whole: Order, what: { task: number; base: string; wave: string }): Order {
  const { done: _done, wave: _wave, ...order } = whole;
  const spec = specOfTask(parseSpec(order.spec).spec, what.task);
  const text = renderSpec(spec);
  const run = taskId(order.run, what.task);
  const branch = `kimi/${run}-${slug(spec.title)}`;
  const task = { of: order.run, number: what.task, wave: what.wave };
  return { ...order, run, branch, task, title: spec.title, spec: text, digest: digestOf(text), base: what.base };
}

export interface TaskEnd {
  readonly order: Order;
  /** None when the job failed; `failed` says why. */
  readonly answer: Answer | undefined;
  readonly failed: string;
}

/** How a task's job stands; nothing is believed of it but what was made of the order that this run gives. */
export async function readTask(
  door: Door,
  whole: Order,
  what: { task: number; base?: string },
): Promise<TaskEnd | undefined> {
  const job = (await door.queue.getJob(taskId(whole.run, what.task))) as Job | undefined;
  if (job === undefined) return undefined;
  const order = readOrder(job.data, whole.version);
  const wanted = taskOrder(whole, { task: what.task, base: what.base ?? order.base, wave: '' });
  for (const name of ['run', 'branch', 'digest', 'base'] as const)
    if (order[name] !== wanted[name])
      throw refuse('gate', `The job of task ${what.task} is not the one that was ordered: its ${name} differs.`);
  const failed = job.failedReason ?? 'its worker died';
  return { order: { ...order, remote: whole.remote }, answer: readAnswer(job.returnvalue), failed };
}
