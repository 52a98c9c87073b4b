import type { Outcome } from '../errors.ts';

/** One line of `events.ndjson`. `t` is UTC in ISO 8601. Unknown types are kept and skipped. */
export type RunEvent = { readonly t: string } & (
  | ({ readonly type: 'run-started'; readonly v: 1 } & RunFacts)
  | { readonly type: 'step-started'; readonly step: string; readonly title: string }
  | { readonly type: 'step-ended'; readonly step: string; readonly ms: number; readonly note?: string }
  | {
      readonly type: 'run-reopened';
      readonly why: string;
      readonly pid: number;
      readonly start?: string;
      readonly ns?: string;
    }
  | {
      readonly type: 'attempt-started';
      readonly attempt: number;
      readonly why: string;
      /** Model calls at most. */
      readonly limit?: number | undefined;
    }
  | {
      readonly type: 'attempt-ended';
      readonly attempt: number;
      readonly steps: number;
      readonly session?: string;
      readonly outcome?: Outcome;
      readonly tokens: { readonly input: number; readonly cached: number; readonly output: number };
    }
  | { readonly type: 'task'; readonly task: number; readonly run: string; readonly state: string }
  | { readonly type: 'reviewed'; readonly commit: string; readonly round: number }
  | { readonly type: 'agent'; readonly attempt: number; readonly event: Readonly<Record<string, unknown>> }
  | {
      readonly type: 'check';
      readonly phase: 'baseline' | 'verify';
      readonly command: string;
      readonly code: number | null;
      readonly ms: number;
    }
  | { readonly type: 'run-ended'; readonly outcome: Outcome; readonly commit?: string }
  | { readonly type: 'merged'; readonly target: string; readonly from: string; readonly to: string }
  | { readonly type: 'undone'; readonly target: string }
  | { readonly type: 'moved'; readonly dir: string }
  | {
      readonly type: 'allowed';
      readonly paths: readonly string[];
      readonly tests: readonly string[];
      /** Violations outside the worktree, by their names. */
      readonly outside?: readonly string[];
    }
  /** `round` counts on where the change conflicted and goes back to Kimi; an older version gave none. */
  | { readonly type: 'refreshed'; readonly base: string; readonly commit: string; readonly round?: number }
  | { readonly type: 'discarded' }
);

/** `Omit` that keeps the members of a union apart. */
type Without<T, K extends keyof T> = T extends unknown ? Omit<T, K> : never;
export type NewEvent = Without<RunEvent, 't'>;

export interface RunFacts {
  readonly id: string;
  readonly title: string;
  readonly digest: string;
  readonly base: string;
  readonly branch: string;
  readonly dir: string;
  readonly home: string;
  /** The run in waves that this one is a task of. */
  readonly parent?: string;
  /** The task of the mailbox that it carries out. */
  readonly task?: string;
  /** True when a worker of the queue carries it out. */
  readonly queued?: boolean;
  /** The session of Claude Code that started it. */
  readonly claude?: string;
  /** Its place in the order of all runs; an older version gave none. */
  readonly seq?: number;
  readonly pid: number;
  /** When the owner's process started: ids are used again. */
  readonly start?: string;
  /** The pid namespace of the owner: a container has its own ids. */
  readonly ns?: string;
}

export interface RunState extends RunFacts {
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly step?: string;
  /** True when its worktree held the base once. */
  readonly opened?: boolean;
  readonly outcome?: Outcome;
  readonly commit?: string;
  /** Attempts so far, the session of the last one, and how often the work was sent back. */
  readonly attempts: number;
  readonly session?: string;
  readonly rounds: number;
  /** The commit that was reviewed last. */
  readonly reviewed?: string;
  readonly review: 'waiting' | 'merged' | 'discarded';
  /** Undeclared paths, and test files whose tests may be gone, that a person accepted. */
  readonly allowed?: { readonly paths: readonly string[]; readonly tests: readonly string[] };
  readonly merge?: { readonly target: string; readonly from: string; readonly to: string };
}

/** The state of a run, computed from its events. Undefined when the first event is missing. */
export function fold(events: readonly RunEvent[]): RunState | undefined {
  let state: RunState | undefined;
  for (const event of events) {
    if (event.type === 'run-started') {
      // Another version's events are not guessed at.
      if (event.v !== 1) return undefined;
      const { t, type: _type, v: _v, ...facts } = event;
      state = { ...facts, startedAt: t, attempts: 0, rounds: 0, review: 'waiting' };
    } else if (state !== undefined) state = next(state, event);
  }
  return state;
}

function next(state: RunState, event: RunEvent): RunState {
  switch (event.type) {
    case 'step-started':
      return { ...state, step: event.title };
    case 'step-ended':
      return event.step === 'worktree' ? { ...state, opened: true } : state;
    case 'run-ended':
      return {
        ...state,
        outcome: event.outcome,
        endedAt: event.t,
        ...(event.commit === undefined ? {} : { commit: event.commit }),
      };
    case 'run-reopened': {
      // Another attempt is made on this machine.
      const { outcome: _outcome, endedAt: _endedAt, start: _start, ns: _ns, queued: _queued, ...rest } = state;
      const { pid, start, ns } = event;
      return { ...rest, pid, ...(start === undefined ? {} : { start }), ...(ns === undefined ? {} : { ns }) };
    }
    case 'attempt-started':
      return { ...state, attempts: event.attempt };
    case 'attempt-ended':
      return event.session === undefined ? state : { ...state, session: event.session };
    case 'reviewed':
      return { ...state, reviewed: event.commit, rounds: event.round };
    case 'merged':
      return { ...state, review: 'merged', merge: { target: event.target, from: event.from, to: event.to } };
    case 'undone': {
      const { merge: _merge, ...rest } = state;
      return { ...rest, review: 'waiting' };
    }
    case 'moved': {
      // A session of Kimi belongs to its folder.
      const { session: _session, ...rest } = state;
      return { ...rest, dir: event.dir };
    }
    case 'allowed': {
      const { paths = [], tests = [] } = state.allowed ?? {};
      return { ...state, allowed: { paths: [...paths, ...event.paths], tests: [...tests, ...event.tests] } };
    }
    case 'refreshed': {
      // What was reviewed stood on another base.
      const { reviewed: _reviewed, ...rest } = state;
      return { ...rest, base: event.base, commit: event.commit, rounds: event.round ?? state.rounds };
    }
    case 'discarded':
      return { ...state, review: 'discarded' };
    default:
      return state;
  }
}
