import type { Outcome } from '../errors.ts';
import type { TaskState } from '../mailbox/model.ts';
import { Mailbox } from '../mailbox/store.ts';
import type { Spec } from '../spec/model.ts';
import type { Prepared } from './run.ts';

type Env = Readonly<Record<string, string | undefined>>;

/**
 * A task may be a run: dispatching it, its end and its review move the task. A task that cannot make the move (somebody
 * else moved it meanwhile) is left as it is, and the reason is returned.
 */
export async function moveTask(
  env: Env,
  now: () => Date,
  move: { task: string; run: string; to: TaskState; spec?: Spec },
): Promise<string | undefined> {
  const mailbox = new Mailbox(env, now);
  try {
    if (mailbox.task(move.task).state !== move.to)
      await mailbox.updateTask(move.task, {
        state: move.to,
        run: move.run,
        by: 'kimi',
        note: `run ${move.run}: ${move.to}`,
        ...(move.spec === undefined ? {} : askedBy(move.spec)),
      });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The task that a run carries out moves with it; returns what is to be noted when it could not. */
export async function moveOwnTask({ plan, request }: Prepared, to: TaskState): Promise<string[]> {
  if (plan.task === undefined) return [];
  const why = await moveTask(request.env, request.now, { task: plan.task, run: plan.run, to, spec: request.spec });
  return why === undefined ? [] : [`task ${plan.task} was not moved: ${why}`];
}

/** Requirements and criteria come from the spec: one source of truth. */
const askedBy = (spec: Spec): { requirements: string[]; criteria: string[] } => ({
  requirements: spec.tasks.flatMap((task) => task.requirements.map((line) => line.text)),
  criteria: [...spec.tasks.flatMap((task) => task.criteria), ...spec.criteria].map((criterion) => criterion.text),
});

/** What an outcome means for the task that the run carries out. */
export const stateAfter = (outcome: Outcome): TaskState =>
  outcome === 'succeeded' || outcome === 'unverified'
    ? 'completed'
    : outcome === 'blocked'
      ? 'blocked'
      : outcome === 'cancelled'
        ? 'cancelled'
        : 'failed';
