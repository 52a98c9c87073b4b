import { z } from 'zod';
import { OUTCOMES } from '../errors.ts';
import type { RunEvent } from '../ledger/events.ts';

const t = z.iso.datetime();
const text = z.string().max(10_000);
const count = z.number().nonnegative();

/** What a worker may tell of a run. How a run begins and ends, and where it lies, is said on this machine alone. */
const storySchema = z.discriminatedUnion('type', [
  z.object({ t, type: z.literal('step-started'), step: text, title: text }),
  z.object({ t, type: z.literal('step-ended'), step: text, ms: count }),
  z.object({ t, type: z.literal('attempt-started'), attempt: count, why: text, limit: count.optional() }),
  z.object({
    t,
    type: z.literal('attempt-ended'),
    attempt: count,
    steps: count,
    outcome: z.enum(OUTCOMES).exactOptional(),
    tokens: z.object({ input: count, cached: count, output: count }),
  }),
  z.object({ t, type: z.literal('agent'), attempt: count, event: z.record(z.string(), z.unknown()) }),
  z.object({
    t,
    type: z.literal('check'),
    phase: z.enum(['baseline', 'verify']),
    command: text,
    code: z.number().nullable(),
    ms: count,
  }),
  z.object({ t, type: z.literal('task'), task: count, run: z.string().regex(/^[\w-]{1,80}$/), state: text }),
]);

/** One line of a job as an event; nothing when it is not one that a worker may tell. */
export function readStory(line: string): RunEvent | undefined {
  try {
    return storySchema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}
