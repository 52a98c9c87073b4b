import { z } from 'zod';
import { OUTCOMES } from '../errors.ts';
import { clean } from '../quote.ts';
import { reportSchema } from '../run/report.ts';
import { VERDICTS } from '../verify/compare.ts';

const REVIEW_CAP = 20_000;

const summary = z.object({
  runner: z.string(),
  passed: z.number(),
  failed: z.number(),
  skipped: z.number(),
  failures: z.array(z.string()),
  passes: z.array(z.string()).optional(),
  skips: z.array(z.string()).optional(),
  files: z.record(z.string(), z.number()).optional(),
});
export const checkSchema = z.object({
  command: z.string(),
  expect: z.number(),
  baselineFails: z.boolean(),
  code: z.number().nullable(),
  timedOut: z.boolean(),
  durationMs: z.number(),
  summary: summary.optional(),
  log: z.string().optional(),
  denied: z.array(z.string()).optional(),
  message: z.string().optional(),
  ciSet: z.boolean().optional(),
});

/** One task of a wave: integrated, or why not. */
export const taskLineSchema = z.object({
  task: z.number(),
  run: z.string(),
  state: z.enum(['integrated', 'set-aside', 'failed', 'not-started']),
  /** What went wrong, as a code; a task that was refused before it began, or never began, has none. */
  outcome: z.enum(OUTCOMES).optional(),
  why: z.string(),
});
export type TaskLine = z.infer<typeof taskLineSchema>;

/** The last words of a reviewer, without control characters, at most so many characters of their end. */
export const reviewSchema = z.string().transform((words) => clean(words).slice(-REVIEW_CAP));

/** `result.json`: what an ended run hands over. Durations in milliseconds, times in UTC. */
export const resultSchema = z.object({
  version: z.literal(2),
  run: z.string(),
  title: z.string(),
  spec: z.object({ digest: z.string(), path: z.string() }),
  outcome: z.enum(OUTCOMES),
  reason: z.string().optional(),
  base: z.string(),
  branch: z.string(),
  commit: z.string().optional(),
  worktree: z.string(),
  startedAt: z.string(),
  endedAt: z.string(),
  kimi: z
    .object({
      version: z.string(),
      steps: z.number(),
      stepLimit: z.number(),
      durationMs: z.number(),
      session: z.string().optional(),
      tokens: z.object({ input: z.number(), cached: z.number(), output: z.number() }).optional(),
      unreadableLines: z.number(),
      survivors: z.number(),
    })
    .optional(),
  /** How often the work was sent back. */
  rounds: z.number().default(0),
  sandbox: z.string(),
  changes: z.array(
    z.object({
      status: z.enum(['A', 'M', 'D', 'T']),
      path: z.string(),
      added: z.number(),
      removed: z.number(),
      binary: z.boolean(),
    }),
  ),
  scope: z.object({
    /** `guess`: the paths were read out of a plan, and what they imply is a flag. */
    kind: z.enum(['contract', 'guess']).optional(),
    violations: z.array(z.object({ path: z.string(), why: z.string() })),
    untouched: z.array(z.string()),
  }),
  /** What a reviewer should look at first; nothing that gates the merge. */
  flags: z.array(z.object({ path: z.string(), why: z.string() })).default([]),
  verification: z.array(
    z.object({
      command: z.string(),
      verdict: z.enum(VERDICTS),
      before: checkSchema.optional(),
      after: checkSchema,
      newlyFailing: z.array(z.string()),
      why: z.string().optional(),
    }),
  ),
  /** For a run in waves: a line for each task. */
  tasks: z.array(taskLineSchema).optional(),
  manual: z.array(z.string()),
  report: reportSchema.optional(),
  /** What a reviewer found, in its own words; of a run that reviews, and never evidence. */
  review: reviewSchema.optional(),
  contradictions: z.array(z.string()),
  notes: z.array(z.string()),
  next: z.array(z.string()),
  files: z.object({ folder: z.string(), patch: z.string(), report: z.string() }),
  /** The SHA-256 of changes.patch; of a run that made one. */
  patchDigest: z.string().optional(),
  /** Taken over from another job: outcome and verification are what it claims; spec, change and gate were checked. */
  claimed: z.literal(true).optional(),
});
export type Result = z.infer<typeof resultSchema>;
