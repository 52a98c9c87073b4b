import { gunzipSync, gzipSync } from 'node:zlib';
import { z } from 'zod';
import { type ErrorCode, OUTCOMES, type Refusal, refuse } from '../errors.ts';
import { checkSchema, resultSchema, taskLineSchema } from '../review/result.ts';
import { STEPS } from '../run/plan.ts';
import { digestOf } from '../run/run.ts';

const ID = /^[\w-]{1,64}$/;
const COMMIT = /^[0-9a-f]{40,64}$/;
/** Larger than this (packed) is no change that a spec asked for. */
export const LARGEST = 20 * 1024 * 1024;

/** Characters of a spec: more is none that a person wrote. */
const LONGEST_SPEC = 2 * 1024 * 1024;

/** Of a run's plan only what another attempt needs; what the run is and where it lies is said here, not there. */
const planSchema = z.object({
  kimi: z.object({ file: z.string(), version: z.string(), flavour: z.string() }),
  limits: z.object({ steps: z.number(), wallSeconds: z.number(), attempts: z.number() }),
  sandbox: z.string(),
  review: z.boolean().exactOptional(),
  steps: z.array(z.object({ id: z.enum(STEPS), title: z.string(), run: z.boolean(), detail: z.string() })),
});

/** What a worker made of an order. It is kept in the job before anything is pushed, so that it is made once. */
const doneSchema = z.strictObject({
  result: resultSchema,
  plan: planSchema,
  /** The change as a patch: gzip, base64. */
  patch: z.string().max(LARGEST),
  /** What the verification printed, by path in the run's folder: gzip, base64. */
  logs: z.record(z.string().regex(/^(?:attempt-\d+\/)?[\w-]+\.log$/), z.string().max(LARGEST)),
});
export type Done = z.infer<typeof doneSchema>;

/** What the integration of one wave hands to the next. */
const integratedSchema = z.strictObject({
  tip: z.string().regex(COMMIT),
  lines: z.array(taskLineSchema),
  before: z.array(checkSchema).exactOptional(),
  checks: z.array(checkSchema).exactOptional(),
  flaky: z.record(z.string().regex(/^\d{1,4}$/), z.string()).exactOptional(),
});

/** A job of the queue. Nothing in it is a credential; what a worker needs of those it has itself. */
const orderSchema = z.strictObject({
  format: z.literal(1),
  /** Of the program: an order is carried out by the same version. */
  version: z.string(),
  run: z.string().regex(ID),
  title: z.string().max(1000),
  spec: z.string().max(LONGEST_SPEC),
  digest: z.string().max(100),
  base: z.string().regex(COMMIT),
  branch: z.string().regex(/^kimi\/[\w.-]{1,120}$/),
  remote: z.string().regex(/^(?!-)[^\0\r\n]{1,2000}$/),
  profile: z.string(),
  options: z.strictObject({
    model: z.string().exactOptional(),
    maxSteps: z.number().exactOptional(),
    timeoutSeconds: z.number().exactOptional(),
    idleSeconds: z.number().exactOptional(),
    baseline: z.boolean(),
    review: z.boolean().exactOptional(),
  }),
  /** Set for one task of a run in waves: the run, and the job that waits for it. */
  task: z.strictObject({ of: z.string().regex(ID), number: z.number().int(), wave: z.string() }).exactOptional(),
  /** Set for the integration of a wave: which one, and where the one before it came to. */
  wave: z
    .strictObject({ index: z.number().int(), eachMerge: z.boolean(), from: integratedSchema.exactOptional() })
    .exactOptional(),
  done: doneSchema.exactOptional(),
});
export type Order = z.infer<typeof orderSchema>;

/** What a worker says when an order is done; the rest is in the job. */
const answerSchema = z.strictObject({
  run: z.string().regex(ID),
  /** `integrated`: a wave that was not the last. */
  outcome: z.enum([...OUTCOMES, 'integrated']),
  commit: z.string().regex(COMMIT).exactOptional(),
  /** False when the remote refused the branch: the change is in the job. */
  pushed: z.boolean(),
  note: z.string().exactOptional(),
  /** The job that goes on, after a wave that was not the last. */
  next: z.string().regex(ID).exactOptional(),
});
export type Answer = z.infer<typeof answerSchema>;

/** Reads an answer; nothing when there is none that a worker could have given. */
export function readAnswer(value: unknown): Answer | undefined {
  const parsed = answerSchema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}

/** Reads an order; refuses one of another version, and a spec that is not the one it was made for. */
export function readOrder(data: unknown, version: string): Order {
  const theirs = (data as { version?: unknown } | null)?.version;
  if (theirs !== version)
    throw refuse(
      'preflight',
      `The run was ordered by version ${typeof theirs === 'string' ? theirs.slice(0, 50) : 'unknown'}, and this worker is version ${version}.`,
      'Use one version: npx kimi-dispatch upgrade',
    );
  const parsed = orderSchema.safeParse(data);
  if (!parsed.success)
    throw refuse('preflight', `The order cannot be read: ${z.prettifyError(parsed.error).slice(0, 1000)}`);
  if (digestOf(parsed.data.spec) !== parsed.data.digest)
    throw refuse(
      'preflight',
      'The spec in the queue is not the one that was ordered: the digests differ.',
      'Run it again.',
    );
  requireOwn(parsed.data);
  return parsed.data;
}

/** What was made of an order is of this order, and its commit is one. */
function requireOwn({ done, run, base, digest }: Order): void {
  if (done === undefined) return;
  const { result } = done;
  const own = result.run === run && result.base === base && result.spec.digest === digest;
  if (!own || (result.commit !== undefined && !COMMIT.test(result.commit)))
    throw refuse('gate', `The result in the queue is not of the run ${run}.`, `kimi-dispatch discard ${run}`);
}

/** The refusal in the reason of a failed job. */
export function refusalIn(text: string): Refusal | undefined {
  try {
    const found = JSON.parse(text) as { code?: ErrorCode; message?: string; fix?: string };
    if (typeof found.code !== 'string' || typeof found.message !== 'string') return undefined;
    return { code: found.code, message: found.message, ...(found.fix === undefined ? {} : { fix: found.fix }) };
  } catch {
    return undefined;
  }
}

export const pack = (patch: Buffer): string => gzipSync(patch).toString('base64');
export const unpack = (text: string): Buffer =>
  gunzipSync(Buffer.from(text, 'base64'), { maxOutputLength: 4 * LARGEST });

const DAY = 24 * 60 * 60;
/** Results that nobody fetches stay for a week. A job is never tried again by itself, except after its worker's death. */
export const KEEP = { removeOnComplete: { age: 7 * DAY }, removeOnFail: { age: 7 * DAY }, attempts: 1 };

/** Stands for the run's folder while a result travels: it is another one on each machine. */
export const FOLDER = '{folder}';

/** Set by the person who ordered, looked at by the worker. */
export const cancelKey = (run: string): string => `kimi-dispatch:cancel:${run}`;
