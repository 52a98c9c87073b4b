import { z } from 'zod';

/** A place in the source: 1-based line and column. */
export interface Place {
  readonly line: number;
  readonly column: number;
}
export const placeSchema = z.object({ line: z.number().int().min(1), column: z.number().int().min(1) });

export const VERBS = ['CREATE', 'MODIFY', 'DELETE'] as const;
export type Verb = (typeof VERBS)[number];

export const fileSchema = z.object({
  verb: z.enum(VERBS).optional(),
  path: z.string(),
  note: z.string().default(''),
  allowProtected: z.boolean().default(false),
  at: placeSchema,
});

export const commandSchema = z.object({
  /** `command` is run by the dispatcher; `manual` is shown to the reviewer and never run. */
  kind: z.enum(['command', 'manual']),
  text: z.string(),
  timeoutSeconds: z.number().positive().optional(),
  expect: z.number().int().min(0).max(255).default(0),
  /** True when the command must fail on the base and pass afterwards. */
  baselineFails: z.boolean().default(false),
  /** True when the text is for a shell; without it the words are an argument vector. */
  shell: z.boolean().default(false),
  /** True when the dispatcher found the command in the project, not in the plan. */
  detected: z.boolean().default(false),
  at: placeSchema,
});

export const criterionSchema = z.object({
  text: z.string(),
  targets: z.array(z.string()),
  at: placeSchema,
});

const lineSchema = z.object({ text: z.string(), at: placeSchema });

export const taskSchema = z.object({
  number: z.number().int().min(0),
  title: z.string(),
  independent: z.boolean(),
  dependsOn: z.array(z.number().int()),
  uses: z.array(z.string()),
  files: z.array(fileSchema),
  interfaces: z.array(lineSchema),
  requirements: z.array(lineSchema),
  verification: z.array(commandSchema),
  criteria: z.array(criterionSchema),
  notes: z.string(),
  at: placeSchema,
});

export const specSchema = z.object({
  number: z.string(),
  title: z.string(),
  format: z.string(),
  base: z.string(),
  profile: z.string(),
  limits: z.object({
    steps: z.number().int().positive().optional(),
    wallSeconds: z.number().positive().optional(),
    idleSeconds: z.number().positive().optional(),
  }),
  preamble: z.string(),
  goal: z.string(),
  context: z.string(),
  constraints: z.array(lineSchema),
  constraintNotes: z.string(),
  protected: z.array(lineSchema),
  generated: z.array(lineSchema),
  tasks: z.array(taskSchema),
  taskNotes: z.string(),
  verification: z.array(commandSchema),
  verificationNotes: z.string(),
  criteria: z.array(criterionSchema),
  criteriaNotes: z.string(),
  /** Sections we have no name for: kept, shown to the worker. */
  extra: z.array(z.object({ title: z.string(), text: z.string(), at: placeSchema })),
  /** `guess`: the paths were read out of a plan, and what they plainly imply is no violation. */
  scope: z.enum(['contract', 'guess']).default('contract'),
  /** The approved plan, byte for byte; '' in a spec that was written as one. */
  plan: z.string().default(''),
});

export type SpecFile = z.infer<typeof fileSchema>;
export type Command = z.infer<typeof commandSchema>;
export type Criterion = z.infer<typeof criterionSchema>;
export type Task = z.infer<typeof taskSchema>;
export type Spec = z.infer<typeof specSchema>;

export type Severity = 'error' | 'warning' | 'info';

/** One diagnostic about a spec or a plan. */
export interface Finding {
  readonly code: string;
  readonly severity: Severity;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly fix: string;
}

/** Makes a finding; keeps call sites to one line. */
export function finding(code: string, severity: Severity, at: Place, message: string, fix: string): Finding {
  return { code, severity, line: at.line, column: at.column, message, fix };
}

/** Every path that a task of the spec names as a file of its own. */
export const declaredPaths = (spec: Pick<Spec, 'tasks'>): string[] => [
  ...new Set(spec.tasks.flatMap((task) => task.files.map((file) => file.path))),
];
