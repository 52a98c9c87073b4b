import { join } from 'node:path';
import { applyChange, changesBetween } from '../git/change.ts';
import type { Repo } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { listRuns, runsFolder } from '../ledger/store.ts';
import { readResult } from './stored.ts';

export interface Stale {
  readonly run: string;
  readonly conflicts: readonly string[];
}

/** How many waiting runs have their list of changes read, and how many of those are merged for a trial. */
const READ = 200;
const TRIED = 6;

/**
 * Waiting runs that conflict with what a merge has just brought. Only runs that changed one of its files are tried, the
 * newest first and not all of many: a merge says what it can say at once.
 */
export async function staleRuns(repo: Repo, merged: { readonly from: string; readonly to: string }): Promise<Stale[]> {
  const touched = (await changesBetween(repo, merged.from, merged.to)).map((change) => change.path);
  const waiting = listRuns(repo.commonDir)
    .filter((run) => run.review === 'waiting' && run.commit !== undefined && run.outcome !== undefined)
    .reverse()
    .slice(0, READ)
    .filter((run) => overlaps(changesOf(repo, run), touched))
    .slice(0, TRIED);
  const tried = await Promise.all(
    waiting.map(async (run): Promise<Stale | undefined> => {
      const { base, commit = '' } = run;
      const conflicts = await applyChange(repo, { base, commit, tip: merged.to }).then(
        (applied) => ('conflicts' in applied ? applied.conflicts : []),
        () => ['its commit is not there'],
      );
      return conflicts.length === 0 ? undefined : { run: run.id, conflicts };
    }),
  );
  return tried.filter((one) => one !== undefined);
}

/** The paths that a run changed; undefined where its result cannot be read. */
function changesOf(repo: Repo, run: RunState): readonly string[] | undefined {
  try {
    return readResult(join(runsFolder(repo.commonDir), run.id)).changes.map((change) => change.path);
  } catch {
    return undefined;
  }
}

/** True when both hold a path, or one of them a folder where the other has a file. */
function overlaps(ours: readonly string[] | undefined, theirs: readonly string[]): boolean {
  if (ours === undefined) return true;
  const [left, right] = [withFolders(ours), withFolders(theirs)];
  return ours.some((path) => right.has(path)) || theirs.some((path) => left.has(path));
}

/** The paths and every folder above them. */
const withFolders = (paths: readonly string[]): Set<string> =>
  new Set(paths.flatMap((path) => path.split('/').map((_, at, parts) => parts.slice(0, at + 1).join('/'))));
