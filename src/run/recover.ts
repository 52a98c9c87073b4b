import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WireWatch } from '../flavour/wire.ts';
import { collect } from '../git/collect.ts';
import { at } from '../git/git.ts';
import { deadMoves, type Move, type MoveEnd, recoverMoves } from '../git/move.ts';
import type { Repo } from '../git/repo.ts';
import { gitFolderOf, holdsSlot } from '../git/slot.ts';
import { holdsFiles } from '../git/worktree.ts';
import type { RunState } from '../ledger/events.ts';
import { append, findRun, listRuns, runsFolder } from '../ledger/store.ts';
import { ownerLives, ownerVisible } from '../process/alive.ts';
import { sweep } from '../process/kill.ts';
import { clearDead, withLock } from '../process/lock.ts';
import { type Result, resultSchema } from '../review/result.ts';
import { keepResult } from '../review/stored.ts';
import { declaredPaths } from '../spec/model.ts';
import { parseSpec } from '../spec/parse.ts';
import { notesOnLeft } from './left.ts';
import { readReady } from './ready.ts';

export interface Recovered {
  readonly run: string;
  /** What was saved, or why nothing was. */
  readonly said: string;
}

/**
 * Runs whose dispatcher died before it could end them. One that is in a queue is not lost: `wait` goes on with it. Nor
 * is one whose dispatcher cannot be seen from here, unless its id is `gone`: somebody knows that its container is.
 */
export const lostRuns = (commonDir: string, gone?: string): RunState[] =>
  listRuns(commonDir).filter((run) => isLost(run, gone));

const isLost = (run: RunState, gone?: string): boolean =>
  run.outcome === undefined &&
  run.review === 'waiting' &&
  run.queued !== true &&
  (!ownerLives(run) || (run.id === gone && !ownerVisible(run)));

/**
 * Ends every run whose dispatcher died: its processes are ended, its work becomes a commit and a patch, its outcome is
 * `lost`. One process at a time does this in a repository; what another does meanwhile is waited for.
 */
export async function recover(repo: Repo, now: () => Date, gone?: string): Promise<Recovered[]> {
  for (const name of ['worktrees.lock', 'slots.lock', 'recover.lock', 'merge.lock'])
    clearDead(join(repo.commonDir, 'kimi-dispatch', name));
  const moved = await endMoves(repo, now);
  if (lostRuns(repo.commonDir, gone).length === 0) return moved;
  const file = join(repo.commonDir, 'kimi-dispatch', 'recover.lock');
  return withLock({ file, what: 'Recovery', waitMs: 30_000 }, async () => {
    const done: Recovered[] = [...moved];
    for (const run of lostRuns(repo.commonDir, gone)) done.push(await recoverOne(repo, run, now()));
    return done;
  });
}

/** The same for an act on one run: moves that died, and the run itself where it is lost. */
export async function recoverRun(repo: Repo, name: string, now: () => Date): Promise<RunState> {
  await endMoves(repo, now);
  const run = findRun(repo.commonDir, name);
  if (!isLost(run)) return run;
  await recover(repo, now);
  return findRun(repo.commonDir, name);
}

/** Merges and undos that died on the way, one process at a time. */
async function endMoves(repo: Repo, now: () => Date): Promise<Recovered[]> {
  if (deadMoves(repo.commonDir).length === 0) return [];
  const file = join(repo.commonDir, 'kimi-dispatch', 'merge.lock');
  return withLock({ file, what: 'Merging', waitMs: 30_000 }, async () => {
    const ends = await recoverMoves(repo, (move) => putOnRecord(repo, move, now()));
    return ends.map((end) => ({ run: end.move.run, said: sayMove(end) }));
  });
}

function putOnRecord(repo: Repo, { run, kind, ref: target, from, to }: Move, now: Date): void {
  const folder = join(runsFolder(repo.commonDir), run);
  append(folder, kind === 'merge' ? { type: 'merged', target, from, to } : { type: 'undone', target }, now);
}

function sayMove({ move, end, strange }: MoveEnd): string {
  if (end === 'done') return `its ${move.kind} had moved the branch and is on record now`;
  if (end === 'left') return `its ${move.kind} did not end, and the checkout has moved on since: nothing was touched`;
  const except = strange.length === 0 ? '' : `, but for ${strange.slice(0, 5).join(', ')}, which somebody wrote since`;
  return `its ${move.kind} did not end; the checkout is as it was before${except}`;
}

async function recoverOne(repo: Repo, run: RunState, now: Date): Promise<Recovered> {
  const folder = join(runsFolder(repo.commonDir), run.id);
  await sweep(run.id);
  removeLeftovers(repo, run);
  rememberSession(run, folder, now);
  const saved = await save(repo, run, folder).catch((error: unknown) =>
    String(error instanceof Error ? error.message : error),
  );
  const commit = typeof saved === 'string' ? undefined : saved.commit;
  const changes = typeof saved === 'string' ? [] : saved.changes;
  const notes = typeof saved === 'string' ? [] : [...saved.strays, ...notesOnLeft(saved)];
  const result = resultSchema.parse(lostResult(run, { folder, now, commit, changes, notes }));
  keepResult(folder, result);
  append(folder, { type: 'run-ended', outcome: 'lost', ...(commit === undefined ? {} : { commit }) }, now);
  const said =
    typeof saved === 'string' ? `nothing to save (${saved})` : `${changes.length} changed files saved on ${run.branch}`;
  return { run: run.id, said };
}

/** The session of an attempt that was cut off is told by its folder in the Kimi home, so that it can be resumed. */
function rememberSession(run: RunState, folder: string, now: Date): void {
  const { session } = new WireWatch(run.home).state;
  if (session === undefined || run.session === session) return;
  const tokens = { input: 0, cached: 0, output: 0 };
  append(folder, { type: 'attempt-ended', attempt: run.attempts, steps: 0, session, tokens, outcome: 'lost' }, now);
}

type Saved = Awaited<ReturnType<typeof collect>>;

async function save(repo: Repo, run: RunState, folder: string): Promise<Saved | string> {
  if (run.opened !== true || !holdsSlot(run) || !holdsFiles(run.dir)) return 'there was no worktree yet';
  const { provisioned, ignored } = readReady(folder);
  const message = `${run.title || 'Kimi run'} (lost)\n\nKimi-Dispatch-Run: ${run.id}\nKimi-Dispatch-Spec: sha256:${run.digest}`;
  const tree = { ...at(repo, run.dir), branch: run.branch, base: run.base };
  return collect(tree, {
    message,
    commonDir: repo.commonDir,
    scratch: join(folder, 'scratch'),
    provisioned,
    declared: declaredPaths(parseSpec(readFileSync(join(folder, 'spec.md'), 'utf8')).spec),
    ignoredBefore: ignored ?? [],
    patch: join(folder, 'changes.patch'),
    known: true,
  });
}

/** Locks that died with their git, in places that belong to this run alone, and its private folders. */
function removeLeftovers(repo: Repo, run: RunState): void {
  const own = gitFolderOf(repo.commonDir, run.dir);
  for (const name of ['index.lock', 'HEAD.lock']) rmSync(join(own, name), { force: true });
  rmSync(join(repo.commonDir, 'refs', 'heads', `${run.branch}.lock`), { force: true });
  for (const name of readdirSync(tmpdir()))
    if (name.startsWith(`kd-${run.id}-`)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
}

interface Facts {
  readonly folder: string;
  readonly now: Date;
  readonly commit: string | undefined;
  readonly changes: Saved['changes'];
  readonly notes: readonly string[];
}

/** The result of a run that nobody could end. */
export function lostResult(run: RunState, { folder, now, commit, changes, notes }: Facts): Result {
  const look = changes.length === 0 ? [] : [`kimi-dispatch diff ${run.id}`];
  return {
    version: 2,
    run: run.id,
    title: run.title,
    spec: { digest: run.digest, path: join(folder, 'spec.md') },
    outcome: 'lost',
    reason: 'The dispatcher died before the run ended. Nothing was verified.',
    base: run.base,
    branch: run.branch,
    ...(commit === undefined ? {} : { commit }),
    worktree: run.dir,
    startedAt: run.startedAt,
    endedAt: now.toISOString(),
    rounds: run.rounds,
    sandbox: 'unknown',
    changes: [...changes],
    scope: { violations: [], untouched: [] },
    flags: [],
    verification: [],
    manual: [],
    contradictions: [],
    notes: [...notes],
    next: [...look, `kimi-dispatch resume ${run.id}`, `kimi-dispatch discard ${run.id}`],
    files: { folder, patch: join(folder, 'changes.patch'), report: join(folder, 'report.md') },
  };
}
