import { existsSync, lstatSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { dropSlot } from '../git/pool.ts';
import type { Repo } from '../git/repo.ts';
import { readSlot, recordFile, slotsIn } from '../git/slot.ts';
import type { RunState } from '../ledger/events.ts';
import { findRun, listRuns, runsFolder } from '../ledger/store.ts';
import { saveByHand } from './end.ts';

export interface PruneRule {
  /** Runs that ended before this many days. */
  readonly days: number;
  /** The newest so many reviewed runs stay whole. */
  readonly keep: number;
  /** Only runs with at least so many bytes to free. */
  readonly bytes: number;
  readonly now: Date;
}

/** What can go of one run: logs and streams. Events, result, report and patch stay. */
export interface Prunable {
  readonly run: string;
  readonly paths: readonly string[];
  readonly bytes: number;
}

/** Reviewed runs only: an unreviewed result, and unmerged work without a patch, are never touched. */
export function prunable(commonDir: string, rule: PruneRule): Prunable[] {
  const reviewed = listRuns(commonDir).filter((run) => run.review !== 'waiting');
  const old = reviewed.slice(0, Math.max(0, reviewed.length - rule.keep)).filter((run) => isOld(run, rule));
  return old
    .map((run) => {
      const folder = join(runsFolder(commonDir), run.id);
      const paths = readdirSync(folder)
        .filter((name) => /^attempt-\d+$|\.log$|^scratch$|^ready\.json$|^walls\.json$/.test(name))
        .map((name) => join(folder, name));
      if (existsSync(run.home)) paths.push(run.home);
      return { run: run.id, paths, bytes: paths.reduce((sum, path) => sum + sizeOf(path), 0) };
    })
    .filter((item) => item.paths.length > 0 && item.bytes >= rule.bytes);
}

const isOld = (run: RunState, { days, now }: PruneRule): boolean =>
  now.getTime() - Date.parse(run.endedAt ?? run.startedAt) >= days * 24 * 60 * 60 * 1000;

/** A worktree that no run needs: it waits for the next one, or its run is over. */
export interface IdleSlot {
  readonly name: string;
  readonly dir: string;
  readonly owner: string | undefined;
  readonly bytes: number;
}

export function idleSlots(commonDir: string, folder: string, rule: PruneRule): IdleSlot[] {
  const over = new Set(listRuns(commonDir).flatMap((run) => (run.review === 'waiting' ? [] : [run.id])));
  return slotsIn(folder)
    .map((dir) => ({ name: basename(dir), dir, owner: readSlot(dir)?.run, bytes: sizeOf(dir) }))
    .filter(({ owner }) => owner === undefined || over.has(owner))
    .filter(({ dir, bytes }) => bytes >= rule.bytes && isUnused(dir, rule));
}

const isUnused = (dir: string, { days, now }: PruneRule): boolean =>
  now.getTime() - statSync(recordFile(dir)).mtimeMs >= days * 24 * 60 * 60 * 1000;

/** Removes them; what a person made in one that its run could not give back is saved first, and it is said where. */
export async function pruneSlots(repo: Repo, slots: readonly IdleSlot[]): Promise<string[]> {
  const saved: string[] = [];
  for (const { dir, owner } of slots) {
    if (owner !== undefined) saved.push(...(await saveByHand(repo, findRun(repo.commonDir, owner))));
    await dropSlot(repo, dir, owner);
  }
  return saved;
}

export function prune(items: readonly Prunable[]): void {
  for (const { paths } of items) for (const path of paths) rmSync(path, { recursive: true, force: true });
}

/** Bytes below a path. */
export function sizeOf(path: string): number {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return 0;
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}
