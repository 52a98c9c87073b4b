import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { refuse } from '../errors.ts';
import { fold, type RunState } from './events.ts';
import { readEvents, runsFolder } from './file.ts';
import { readIndex, writeIndex } from './index.ts';
import { newestRuns } from './order.ts';

export { append, readEvents, runsFolder } from './file.ts';

/** The order in which runs began. Those of an older version have no number and come first, by their time. */
export const olderFirst = (left: RunState, right: RunState): number =>
  (left.seq ?? 0) - (right.seq ?? 0) ||
  (left.startedAt < right.startedAt ? -1 : left.startedAt > right.startedAt ? 1 : 0);

/** All runs of a repository, oldest first. Those that have ended come from an index, the others from their events. */
export function listRuns(commonDir: string): RunState[] {
  const ids = idsIn(commonDir);
  if (ids.length === 0) return [];
  const { runs: known, changed } = readIndex(commonDir);
  let fresh = 0;
  const runs = ids.flatMap((id) => {
    const run = known.get(id) ?? readRun(commonDir, id);
    if (run?.outcome !== undefined && !known.has(id)) fresh += 1;
    return run ?? [];
  });
  runs.sort(olderFirst);
  // A large index is not written for every run.
  if (fresh > 0 && fresh >= known.size / 500)
    writeIndex(
      commonDir,
      runs.filter((run) => run.outcome !== undefined),
      changed,
    );
  return runs;
}

const idsIn = (commonDir: string): string[] =>
  existsSync(runsFolder(commonDir)) ? readdirSync(runsFolder(commonDir)) : [];

/** One run by its whole id, from its events alone. */
const readRun = (commonDir: string, id: string): RunState | undefined =>
  fold(readEvents(join(runsFolder(commonDir), id)));

/**
 * A run by id, unique prefix, or `@last`; refuses with the candidates when that names no single run. Reads the events
 * of the run that is named, and of no other one.
 */
export function findRun(commonDir: string, name: string): RunState {
  const found = name === '@last' ? last(commonDir) : byId(commonDir, name);
  if (found[0] !== undefined && found.length === 1) return found[0];
  const some = (found.length > 0 ? found : listRuns(commonDir)).slice(-5).map((run) => run.id);
  const hint =
    some.length === 0 ? 'There are no runs here yet: kimi-dispatch run plan.md' : `Choose one of: ${some.join(', ')}`;
  throw refuse(
    'not-found',
    found.length > 1 ? `"${name}" names ${found.length} runs.` : `No run is called "${name}".`,
    hint,
  );
}

function byId(commonDir: string, name: string): RunState[] {
  if (name === '') return [];
  const ids = idsIn(commonDir);
  const named = ids.includes(name) ? [name] : ids.filter((id) => id.startsWith(name)).sort();
  // A short prefix of many is a mistake: their events are not needed to say so.
  return named.length > 50 ? listRuns(commonDir).filter((run) => run.id.startsWith(name)) : existing(commonDir, named);
}

const existing = (commonDir: string, ids: readonly string[]): RunState[] =>
  ids.map((id) => readRun(commonDir, id)).filter((run) => run !== undefined);

/** The newest run that is no task of another one. */
function last(commonDir: string): RunState[] {
  const ordered = newestRuns(dirname(runsFolder(commonDir)));
  for (const { seq } of ordered) {
    const same = existing(
      commonDir,
      ordered.filter((item) => item.seq === seq).map((item) => item.id),
    );
    if (same.length > 0) return same.sort(olderFirst).slice(-1);
  }
  // An older version wrote all of it.
  return listRuns(commonDir)
    .filter((run) => run.parent === undefined)
    .slice(-1);
}
