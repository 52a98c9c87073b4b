import { gunzipSync, gzipSync } from 'node:zlib';
import { z } from 'zod';
import { refuse } from '../errors.ts';
import { checkSchema, resultSchema, taskLineSchema } from '../review/result.ts';
import { digestOf } from '../run/run.ts';

const ID = /^[\w-]{1,64}$/;
const COMMIT = /^[0-9a-f]{40,64}$/;
/** Larger than this is no change that a spec asked for. */
const LARGEST = 20 * 1024 * 1024;

/** What a worker made of an order. It is kept in the job before anything is pushed, so that it is made once. */
const doneSchema = z.strictObject({
  result: resultSchema,
  plan: z.record(z.string(), z.unknown()),
  /** The change as a patch: gzip, base64. */
  patch: z.string().max(LARGEST),
  /** What the verification printed, by path in the run's folder: gzip, base64. */
  logs: z.record(z.string().regex(/^(?!.*\.\.)[\w.-]+(?:\/[\w.-]+)*$/), z.string().max(LARGEST)),
});
export type Done = z.infer<typeof doneSchema>;

/** What the integration of one wave hands to the next. */
const integratedSchema = z.strictObject({
  tip: z.string().regex(COMMIT),
  lines: z.array(taskLineSchema),
  before: z.array(checkSchema).exactOptional(),
  rows: resultSchema.shape.verification,
});

/** A job of the queue. Nothing in it is a credential; what a worker needs of those it has itself. */
const orderSchema = z.strictObject({
  format: z.literal(1),
  /** Of the program: an order is carried out by the same version. */
  version: z.string(),
  run: z.string().regex(ID),
  title: z.string(),
  spec: z.string(),
  digest: z.string(),
  base: z.string().regex(COMMIT),
  branch: z.string().regex(/^kimi\/[\w.-]{1,120}$/),
  remote: z.string(),
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
export interface Answer {
  readonly run: string;
  readonly outcome: string;
  readonly commit?: string;
  /** False when the remote refused the branch: the change is in the job. */
  readonly pushed: boolean;
  readonly note?: string;
  /** The job that goes on, after a wave that was not the last. */
  readonly next?: string;
}

/** Reads an order; refuses one of another version, and a spec that is not the one it was made for. */
export function readOrder(data: unknown, version: string): Order {
  const theirs = (data as { version?: unknown } | null)?.version;
  if (theirs !== version)
    throw refuse(
      'preflight',
      `The run was ordered by version ${String(theirs)}, and this worker is version ${version}.`,
      'Use one version: npx kimi-dispatch upgrade',
    );
  const parsed = orderSchema.safeParse(data);
  if (!parsed.success) throw refuse('preflight', `The order cannot be read: ${z.prettifyError(parsed.error)}`);
  if (digestOf(parsed.data.spec) !== parsed.data.digest)
    throw refuse(
      'preflight',
      'The spec in the queue is not the one that was ordered: the digests differ.',
      'Run it again.',
    );
  return parsed.data;
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
