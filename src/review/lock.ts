import { join } from 'node:path';
import type { Repo } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { findRun, runsFolder } from '../ledger/store.ts';
import { withLock } from '../process/lock.ts';

/** A quarter of an hour: a merge may verify again. */
const PATIENCE_MS = 15 * 60_000;

/** One act at a time on a run: another attempt, a merge, a discard. Whoever comes second is refused. */
export const holdRun = <T>(repo: Repo, run: Pick<RunState, 'id'>, work: () => Promise<T>): Promise<T> =>
  withLock({ file: join(runsFolder(repo.commonDir), run.id, 'lock'), what: `Run ${run.id}`, waitMs: 500 }, work);

/** One merge or undo at a time in a repository; the second one waits. */
export const alone = <T>(repo: Repo, run: Pick<RunState, 'id'>, work: () => Promise<T>): Promise<T> =>
  withLock({ file: join(repo.commonDir, 'kimi-dispatch', 'merge.lock'), what: 'Merging', waitMs: PATIENCE_MS }, () =>
    holdRun(repo, run, work),
  );

/** The run as it is now that the lock is held. */
export const openRun = (repo: Repo, run: Pick<RunState, 'id'>): RunState => findRun(repo.commonDir, run.id);
