import type { Outcome } from '../errors.ts';
import type { TaskState } from '../mailbox/model.ts';
import { Mailbox } from '../mailbox/store.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** The steps that bring a task to a state by allowed transitions only. */
const WAY: Readonly<Record<string, readonly TaskState[]>> = {
  started: ['in_progress'],
  completed: ['completed'],
  failed: ['failed'],
  blocked: ['blocked'],
  approved: ['approved'],
  needs_revision: ['needs_revision'],
  cancelled: ['cancelled'],
};

/**
 * A task may be a run: dispatching it, its end and its review move the task. A task that cannot make the move (somebody
 * else moved it meanwhile) is left as it is, and the reason is returned.
 */
export async function moveTask(
  env: Env,
  now: () => Date,
  move: { task: string; run: string; to: keyof typeof WAY },
): Promise<string | undefined> {
  const mailbox = new Mailbox(env, now);
  try {
    for (const state of WAY[move.to] ?? [])
      if (mailbox.task(move.task).state !== state)
        await mailbox.updateTask(move.task, { state, run: move.run, by: 'kimi', note: `run ${move.run}: ${move.to}` });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** What an outcome means for the task that the run carries out. */
export const stateAfter = (outcome: Outcome): string =>
  outcome === 'succeeded'
    ? 'completed'
    : outcome === 'blocked'
      ? 'blocked'
      : outcome === 'cancelled'
        ? 'cancelled'
        : 'failed';
