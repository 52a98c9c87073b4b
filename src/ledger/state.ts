import { ownerLives, ownerVisible } from '../process/alive.ts';
import type { Words } from '../text.ts';
import type { RunState } from './events.ts';

/** What a person must do next about a run. */
export type Need = 'review' | 'answer' | 'mend' | 'work' | 'nothing';

export function needOf(run: RunState): Need {
  if (run.review !== 'waiting') return 'nothing';
  if (run.outcome === undefined) return ownerLives(run) || run.queued === true ? 'work' : 'mend';
  if (run.outcome === 'blocked') return 'answer';
  return ['succeeded', 'verification-failed', 'out-of-scope', 'unverified'].includes(run.outcome) ? 'review' : 'mend';
}

/** The one command that goes with it. */
export function commandFor(run: RunState): string {
  const need = needOf(run);
  if (need === 'review') return `kimi-dispatch show ${run.id}`;
  if (need === 'answer') return `kimi-dispatch answer ${run.id} "..."`;
  if (need === 'work') return `kimi-dispatch wait ${run.id}`;
  if (run.outcome === undefined) return 'kimi-dispatch recover';
  return run.outcome === 'no-changes' ? `kimi-dispatch discard ${run.id}` : `kimi-dispatch resume ${run.id}`;
}

/** A run's state as a word for people; outcomes are names and stay as they are. */
export function stateOf(run: RunState, words: Words): string {
  if (run.review === 'discarded') return words.discarded;
  if (run.outcome !== undefined) return run.review === 'merged' ? words.merged : run.outcome;
  if (run.queued === true && (run.step === undefined || !ownerLives(run))) return words.queued;
  if (!ownerLives(run)) return words.lost;
  return `${words.running}: ${ownerVisible(run) ? (run.step ?? words.starting) : words.elsewhere}`;
}
