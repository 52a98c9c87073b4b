import type { Outcome } from '../errors.ts';

/** One line of `events.ndjson`. `t` is UTC in ISO 8601. Unknown types are kept and skipped. */
export type RunEvent = { readonly t: string } & (
  | ({ readonly type: 'run-started'; readonly v: 1 } & RunFacts)
  | { readonly type: 'step-started'; readonly step: string; readonly title: string }
  | { readonly type: 'step-ended'; readonly step: string; readonly ms: number; readonly note?: string }
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
  readonly pid: number;
}

export interface RunState extends RunFacts {
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly step?: string;
  readonly outcome?: Outcome;
  readonly commit?: string;
  readonly review: 'waiting' | 'merged' | 'discarded';
  readonly merge?: { readonly target: string; readonly from: string; readonly to: string };
}

/** The state of a run, computed from its events. Undefined when the first event is missing. */
export function fold(events: readonly RunEvent[]): RunState | undefined {
  let state: RunState | undefined;
  for (const event of events) {
    if (event.type === 'run-started') {
      const { t, type: _type, v: _v, ...facts } = event;
      state = { ...facts, startedAt: t, review: 'waiting' };
    } else if (state !== undefined) state = next(state, event);
  }
  return state;
}

function next(state: RunState, event: RunEvent): RunState {
  switch (event.type) {
    case 'step-started':
      return { ...state, step: event.title };
    case 'run-ended':
      return {
        ...state,
        outcome: event.outcome,
        endedAt: event.t,
        ...(event.commit === undefined ? {} : { commit: event.commit }),
      };
    case 'merged':
      return { ...state, review: 'merged', merge: { target: event.target, from: event.from, to: event.to } };
    case 'undone': {
      const { merge: _merge, ...rest } = state;
      return { ...rest, review: 'waiting' };
    }
    case 'discarded':
      return { ...state, review: 'discarded' };
    default:
      return state;
  }
}
