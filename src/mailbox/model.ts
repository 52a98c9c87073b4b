import { refuse } from '../errors.ts';
import type { Owner } from '../process/alive.ts';

/** Limits at every door: what is longer is refused, never cut. Characters; a body in bytes. */
export const LIMITS = { id: 50, title: 200, description: 5000, item: 500, text: 1000, body: 64 * 1024 } as const;

export const MESSAGE_TYPES = ['message', 'delegation', 'review', 'discussion', 'question'] as const;
export type MessageType = (typeof MESSAGE_TYPES)[number];

export const TASK_STATES = [
  'pending',
  'in_progress',
  'completed',
  'approved',
  'needs_revision',
  'blocked',
  'failed',
  'cancelled',
] as const;
export type TaskState = (typeof TASK_STATES)[number];

/** Which state may follow which; everything else is refused with what is possible. */
export const TRANSITIONS: Readonly<Record<TaskState, readonly TaskState[]>> = {
  pending: ['in_progress', 'cancelled'],
  in_progress: ['completed', 'blocked', 'failed', 'cancelled'],
  blocked: ['in_progress', 'failed', 'cancelled'],
  completed: ['approved', 'needs_revision'],
  needs_revision: ['in_progress', 'cancelled'],
  failed: ['in_progress', 'cancelled'],
  approved: [],
  cancelled: [],
};

export interface Agent {
  readonly name: string;
  readonly workspace: string;
  readonly description: string;
  readonly since: string;
  /** The connection that is this agent, while it lives. */
  readonly owner?: Owner;
  readonly status?: string;
  readonly statusAt?: string;
}

export interface Message {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly content: string;
  readonly type: MessageType;
  readonly at: string;
  readonly replyTo?: string;
  readonly task?: string;
  readonly state: 'pending' | 'acknowledged' | 'completed';
  /** An escalation stays visible until somebody resolves it. */
  readonly escalation?: {
    readonly by: string;
    readonly reason: string;
    readonly severity: string;
    readonly at: string;
  };
}

export interface Task {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly assignee: string;
  readonly assigner: string;
  readonly priority: string;
  readonly requirements: readonly string[];
  readonly criteria: readonly string[];
  readonly state: TaskState;
  readonly notes: readonly string[];
  readonly run?: string;
  /** Counts changes: an update may ask that nobody came before it. */
  readonly version: number;
  readonly at: string;
}

export interface SpecEntry {
  readonly name: string;
  readonly version: number;
  readonly digest: string;
  readonly content: string;
  readonly publisher: string;
  readonly at: string;
}

/** One line of the journal. */
export type Entry = { readonly t: string } & (
  | {
      readonly type: 'agent';
      readonly name: string;
      readonly workspace: string;
      readonly description: string;
      readonly owner?: Owner;
    }
  | { readonly type: 'status'; readonly name: string; readonly status: string }
  | {
      readonly type: 'message';
      readonly id: string;
      readonly from: string;
      readonly to: string;
      readonly subject: string;
      readonly content: string;
      readonly kind: MessageType;
      readonly replyTo?: string;
      readonly task?: string;
    }
  | { readonly type: 'mark'; readonly id: string; readonly state: Message['state']; readonly by: string }
  | {
      readonly type: 'escalate';
      readonly id: string;
      readonly by: string;
      readonly reason: string;
      readonly severity: string;
    }
  | { readonly type: 'resolve'; readonly id: string; readonly by: string }
  | { readonly type: 'task'; readonly task: Omit<Task, 'version' | 'at'> }
  | {
      readonly type: 'task-update';
      /** From the spec that a run of this task carries out: the one source of what is asked for. */
      readonly requirements?: readonly string[];
      readonly criteria?: readonly string[];
      readonly id: string;
      readonly state?: TaskState;
      readonly note?: string;
      readonly run?: string;
      readonly by: string;
    }
  | {
      readonly type: 'spec';
      readonly name: string;
      readonly digest: string;
      readonly content: string;
      readonly publisher: string;
    }
);

const NAME = /^[\p{L}\p{N}][\p{L}\p{N}._@:-]*$/u;

/** A name is a name: letters, digits and few signs; no path is ever built from one. */
export function requireName(what: string, value: unknown): string {
  if (typeof value !== 'string' || !NAME.test(value))
    throw refuse(
      'usage',
      `${what} is a name of letters, digits and . _ @ : -, not ${JSON.stringify(value)?.slice(0, 60)}.`,
    );
  return within(what, value, LIMITS.id);
}

/** Refuses a text that is too long, and control characters where one line is meant. */
export function within(what: string, value: unknown, limit: number): string {
  if (typeof value !== 'string') throw refuse('usage', `${what} is a text.`);
  if (value.length > limit)
    throw refuse(
      'usage',
      `${what} has ${value.length} characters; the limit is ${limit}.`,
      'Shorten it, or put it into a file and name the file.',
    );
  return value;
}

export function requireOne<T extends string>(what: string, value: unknown, list: readonly T[]): T {
  if (typeof value === 'string' && (list as readonly string[]).includes(value)) return value as T;
  throw refuse('usage', `${what} is one of ${list.join(', ')}, not ${JSON.stringify(value)?.slice(0, 60)}.`);
}

export function requireBody(value: unknown): string {
  const text = within('A message', value, Number.POSITIVE_INFINITY);
  if (Buffer.byteLength(text) > LIMITS.body)
    throw refuse('usage', 'A message has 64 KB at most.', 'Put it into a file and name the file.');
  if (text.trim() === '') throw refuse('usage', 'The message is empty.');
  return text;
}
