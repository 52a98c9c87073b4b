/** Every way a command of ours can be refused or fail. Identity is the code, never the class or the message. */
export type ErrorCode =
  | 'usage'
  | 'spec-invalid'
  | 'preflight'
  | 'wrong-state'
  | 'not-found'
  | 'verification-failed'
  | 'gate'
  /** It would run what nobody has reviewed, without a sandbox. */
  | 'unreviewed'
  | 'conflict'
  | 'quota'
  | 'lost'
  | 'disk-full'
  | 'internal';

/** How an attempt ended: one literal of a closed list. `running` is not an outcome. */
export const OUTCOMES = [
  'succeeded',
  'verification-failed',
  'out-of-scope',
  'unverified',
  'no-changes',
  'step-limit',
  'deadline',
  'idle-timeout',
  'no-first-output',
  'output-limit',
  'agent-failed',
  'blocked',
  'conflict',
  'lost',
  'cancelled',
  'internal-error',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

const ERROR_EXIT: Record<ErrorCode, number> = {
  usage: 2,
  'spec-invalid': 2,
  preflight: 2,
  'wrong-state': 2,
  'not-found': 2,
  'verification-failed': 3,
  gate: 4,
  unreviewed: 2,
  conflict: 9,
  quota: 7,
  lost: 10,
  'disk-full': 6,
  internal: 1,
};

const OUTCOME_EXIT: Record<Outcome, number> = {
  succeeded: 0,
  'verification-failed': 3,
  'out-of-scope': 4,
  unverified: 11,
  'no-changes': 5,
  'step-limit': 6,
  deadline: 6,
  'idle-timeout': 6,
  'no-first-output': 6,
  'output-limit': 6,
  'agent-failed': 7,
  blocked: 8,
  conflict: 9,
  lost: 10,
  cancelled: 130,
  'internal-error': 1,
};

/** The exit code of an error code (README, "Exit codes"). */
export const exitOfError = (code: ErrorCode): number => ERROR_EXIT[code];

/** The exit code of an outcome (README, "Exit codes"). */
export const exitOfOutcome = (outcome: Outcome): number => OUTCOME_EXIT[outcome];

/** A refusal or failure that a person reads: what was wrong, where, and the command that mends it. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly fix?: string;
}

const BRAND = Symbol.for('kimi-dispatch.refusal');

/** Makes an Error that carries a refusal; recognised by `refusalOf`, also across module copies. */
export function refuse(code: ErrorCode, message: string, fix?: string): Error {
  const refusal: Refusal = fix === undefined ? { code, message } : { code, message, fix };
  return Object.assign(new Error(message), { [BRAND]: refusal });
}

/** The refusal inside a thrown value, or undefined when the value is not one of ours. */
export function refusalOf(thrown: unknown): Refusal | undefined {
  if (typeof thrown !== 'object' || thrown === null) return undefined;
  return (thrown as Record<symbol, Refusal | undefined>)[BRAND];
}
