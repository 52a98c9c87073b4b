import { nextCommands } from '../run/outcome.ts';
import type { Result } from './result.ts';

/** What can be done next with a result that another job or machine wrote: computed here, never taken over. */
export const nextOf = (result: Omit<Result, 'next'>): string[] =>
  nextCommands({
    outcome: result.outcome,
    run: result.run,
    branch: result.branch,
    changed: result.changes.length > 0,
    failure: /^auth: /.test(result.reason ?? '') ? 'auth' : undefined,
    rounds: result.rounds,
    review: result.review !== undefined,
    rows: result.verification,
  });
