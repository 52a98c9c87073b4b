import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { exitOfOutcome, refuse } from '../errors.ts';
import { git } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { findRun, listRuns, runsFolder } from '../ledger/store.ts';
import { ownerLives, ownerVisible } from '../process/alive.ts';
import { refuseBranchInUse, saveBefore, saveByHand } from '../review/end.ts';
import { holdRun, openRun } from '../review/lock.ts';
import { presentResult } from '../review/present.ts';
import type { Result } from '../review/result.ts';
import { readResult } from '../review/stored.ts';
import { prepareAgain } from '../run/again.ts';
import { fill } from '../run/brief.ts';
import { type Entry, execute } from '../run/execute.ts';
import { nextRound } from '../run/outcome.ts';
import { recover } from '../run/recover.ts';
import { refresh } from '../run/refresh.ts';
import { moveTask } from '../run/task-link.ts';
import { ensureTree } from '../run/tree.ts';
import type { World } from '../world.ts';
import { readNamed } from './input.ts';
import { readPatch, repoOf } from './look.ts';
import { notify } from './notify.ts';
import { makeProgress } from './progress.ts';
import { rememberRun, runOptions } from './run.ts';
import { refuseTogether } from './taken.ts';
import { SUPERVISED, supervise } from './wait.ts';

type Options = Record<string, unknown>;
/** Makes the turn of another attempt, or refuses; only computes. */
type MakeEntry = (world: World, repo: Repo, run: RunState) => Promise<Entry>;

/** Another attempt in a run that has ended: in Claude Code and with `--background` under a supervisor. */
async function again(world: World, args: readonly string[], options: Options, make: MakeEntry): Promise<number> {
  refuseTogether('another attempt', options, ['background', 'json']);
  const repo = await repoOf(world);
  await recover(repo, world.now);
  const { id } = findRun(repo.commonDir, args[0] ?? '');
  const next = await holdRun(repo, { id }, async () => {
    const run = openRun(repo, { id });
    requireEnded(run);
    await refuseBranchInUse(repo, run);
    const tree = await ensureTree(run, { repo, root: world.root, env: world.env, now: world.now, provide: true });
    const supervised = world.env[SUPERVISED] !== undefined;
    if (!supervised && (options.background === true || world.env.CLAUDECODE === '1')) {
      // What is refused is refused here, before anything is started.
      if (make !== refreshEntry) await make(world, repo, tree);
      return () => supervise(world, repo, run.id, options);
    }
    const entry = await make(world, repo, tree);
    if (make !== refreshEntry) for (const line of await saveBefore(repo, tree)) world.err(`${line}\n`);
    // The base may be another one now.
    const result = await attempt(world, repo, { ...openRun(repo, { id }), dir: tree.dir }, { entry, options });
    return () => tellAttempt(world, result, options);
  });
  return next();
}

async function attempt(
  world: World,
  repo: Repo,
  run: RunState,
  { entry, options }: { entry: Entry; options: Options },
): Promise<Result> {
  const wanted = runOptions(options, world.env);
  const { env, root, now } = world;
  const prepared = await prepareAgain({ repo, run, env, root, now, options: wanted });
  const progress = await makeProgress(world, prepared.plan, options.json === true);
  const watch = progress.take.bind(progress);
  rememberRun(world, repo, run.id);
  return execute(prepared, watch, { signal: world.signal, entry }).finally(() => progress.stop());
}

async function tellAttempt(world: World, result: Result, options: Options): Promise<number> {
  await notify(world, result);
  if (options.json === true) world.out(`${JSON.stringify(result, null, 2)}\n`);
  else world.out(`${presentResult(result, readPatch(result.files.patch))}\n`);
  return exitOfOutcome(result.outcome);
}

function requireEnded(run: RunState): void {
  if (run.review === 'merged') throw refuse('wrong-state', `Run ${run.id} is merged.`, `kimi-dispatch undo ${run.id}`);
  if (run.review === 'discarded')
    throw refuse('wrong-state', `Run ${run.id} was discarded.`, 'Run the spec again: kimi-dispatch run FILE');
  if (run.outcome === undefined)
    throw refuse('wrong-state', `Run ${run.id} is still working.`, `kimi-dispatch wait ${run.id}, or cancel ${run.id}`);
}

/** `revise <run> --findings <file|->`: the reviewer's findings, and only those, go back to the same session. */
export const reviseCommand = (world: World, args: readonly string[], options: Options): Promise<number> =>
  again(world, args, options, async (_world, repo, run) => {
    const round = nextRound(run);
    const findings = readFindings(world, options);
    await requireKnownFiles(repo, run, findings);
    if (run.commit !== undefined) await keepReviewed(world, repo, run);
    if (run.task !== undefined)
      await moveTask(world.env, world.now, { task: run.task, run: run.id, to: 'needs_revision' });
    const text = fill(world.root, 'revise.hbs', { round: String(round), dir: run.dir, findings: findings.trim() });
    return turnFor(world, repo, run, { kind: 'revise', text, why: `sent back, round ${round}`, rounds: round });
  });

/** The findings of `--finding`, one each, and those of a file, or of stdin with `-`. */
function readFindings(world: World, options: Options): string {
  const single = Array.isArray(options.finding) ? options.finding.map((text) => `- ${String(text)}`) : [];
  const from = options.findings;
  if (single.length === 0 && typeof from !== 'string')
    throw refuse(
      'usage',
      'revise needs the findings.',
      'kimi-dispatch revise RUN --finding "path:line what to change" (again for each; --findings FILE reads them)',
    );
  const text = [...single, ...(typeof from === 'string' ? [readNamed(world, from)] : [])].join('\n');
  if (text.replace(/^- /gm, '').trim() === '')
    throw refuse('usage', 'The findings are empty.', 'One finding per line: path:line what to change');
  return text;
}

/** A finding names `path:line` at its beginning; a path that neither base nor change know is a slip. */
async function requireKnownFiles(repo: Repo, run: RunState, findings: string): Promise<void> {
  const named = findings.matchAll(/^\s*(?:[-*]\s+|\d+[.)]\s+)?`?([\w@.+-]+(?:\/[\w@.+-]+)+|[\w@+-]+\.\w{1,8}):(\d+)/gm);
  const there = (await git(repo, ['ls-tree', '-r', '--name-only', '-z', run.commit ?? run.base])).split('\0');
  // A declared file that Kimi forgot is not there yet.
  const known = new Set([...there, ...readResult(folderOf(repo, run)).scope.untouched]);
  const unknown = [...new Set([...named].map((match) => match[1] ?? ''))].filter((path) => !known.has(path));
  if (unknown.length === 0) return;
  throw refuse(
    'usage',
    `These findings name files that the change does not hold: ${unknown.join(', ')}`,
    `kimi-dispatch diff ${run.id}`,
  );
}

/** What was reviewed stays reachable, so that `diff --since-review` can compare with it. */
async function keepReviewed(world: World, repo: Repo, run: RunState): Promise<void> {
  const { append } = await import('../ledger/store.ts');
  const ref = `refs/kimi-dispatch/reviewed/${run.id}/${run.rounds + 1}`;
  await git(repo, ['update-ref', ref, run.commit ?? '']);
  const folder = join(runsFolder(repo.commonDir), run.id);
  append(folder, { type: 'reviewed', commit: run.commit ?? '', round: run.rounds + 1 }, world.now());
}

/** `answer <run> "..."`: the worker's question gets its answer in the same session. */
export const answerCommand = (world: World, args: readonly string[], options: Options): Promise<number> =>
  again(world, args, options, async (_world, repo, run) => {
    const question = run.outcome === 'blocked' ? (readResult(folderOf(repo, run)).report?.question ?? '') : undefined;
    if (question === undefined)
      throw refuse(
        'wrong-state',
        `Run ${run.id} asked nothing: it ended with ${run.outcome}.`,
        `kimi-dispatch show ${run.id}`,
      );
    const answer = (args[1] ?? '').trim();
    if (answer === '') throw refuse('usage', 'The answer is empty.', `kimi-dispatch answer ${run.id} "..."`);
    const text = fill(world.root, 'answer.hbs', { question, answer, dir: run.dir });
    return turnFor(world, repo, run, { kind: 'answer', text, why: 'answered', rounds: run.rounds });
  });

/** `resume <run>`: goes on after a limit, a crash or a reboot. */
export const resumeCommand = (world: World, args: readonly string[], options: Options): Promise<number> =>
  again(world, args, options, async (_world, repo, run) => {
    if (run.outcome === 'succeeded')
      throw refuse('wrong-state', `Run ${run.id} has succeeded.`, `kimi-dispatch merge ${run.id}, or revise ${run.id}`);
    if (run.outcome === 'blocked')
      throw refuse('wrong-state', `Run ${run.id} waits for an answer.`, `kimi-dispatch answer ${run.id} "..."`);
    const text = fill(world.root, 'resume.hbs', { why: `You were interrupted (${run.outcome}).`, dir: run.dir });
    return turnFor(world, repo, run, { kind: 'resume', text, why: 'resumed', rounds: run.rounds });
  });

/** Puts the change onto what the branch is now; what conflicts goes back to Kimi as findings. */
const refreshEntry: MakeEntry = async (world, repo, run) => {
  const tip = await git(repo, ['rev-parse', 'HEAD']);
  for (const line of await saveByHand(repo, run)) world.err(`${line}\n`);
  const { kimi, report } = readResult(folderOf(repo, run));
  const moved = await refresh(run, tip, { repo, root: world.root, env: world.env, now: world.now, provide: true });
  const { rounds } = moved.run;
  const facts = { why: 'refreshed', rounds, startedAt: run.startedAt, rebased: true };
  if (moved.conflicts.length === 0) return { again: { ...facts, previous: { kimi, report } } };
  const findings = moved.conflicts.map((path) => `- ${path}: ${CONFLICT}`).join('\n');
  const text = fill(world.root, 'revise.hbs', { round: String(rounds), dir: run.dir, findings });
  const { turn } = turnFor(world, repo, moved.run, { kind: 'revise', text, why: 'refreshed', rounds });
  return { ...(turn === undefined ? {} : { turn }), again: facts };
};

/** `refresh <run>`: the same, and then the verification there. */
export const refreshCommand = (world: World, args: readonly string[], options: Options): Promise<number> =>
  again(world, args, options, refreshEntry);

const CONFLICT =
  'the base has moved and conflicts here. Resolve the marked places so that both changes work, and remove the marks.';

interface Wanted {
  readonly kind: 'revise' | 'answer' | 'resume';
  readonly text: string;
  readonly why: string;
  readonly rounds: number;
}

/** The same session where there is one; else a fresh one that is told to look at the work so far. */
function turnFor(world: World, repo: Repo, run: RunState, wanted: Wanted): Entry {
  const again = { why: wanted.why, rounds: wanted.rounds, startedAt: run.startedAt };
  const live = run.session !== undefined && existsSync(run.home);
  if (live) return { turn: { kind: wanted.kind, text: wanted.text, session: run.session ?? '' }, again };
  const patch = join(folderOf(repo, run), 'changes.patch');
  const size = statSync(patch, { throwIfNoEntry: false })?.size ?? 0;
  const diff = size > 0 && size < 60_000 ? `\nThe work so far as a diff:\n\n${readFileSync(patch, 'utf8')}\n` : '';
  const why = 'An earlier session worked on this and cannot be resumed.';
  const text = `${fill(world.root, 'resume.hbs', { why, dir: run.dir })}\n${wanted.text}\n${diff}`;
  return { turn: { kind: 'fresh', text }, again };
}

const folderOf = (repo: Repo, run: RunState): string => join(runsFolder(repo.commonDir), run.id);

/** `cancel <run>`: ends a run at work; what it did is saved. */
export async function cancelCommand(world: World, args: readonly string[]): Promise<number> {
  const repo = await repoOf(world);
  const run = findRun(repo.commonDir, args[0] ?? '');
  if (run.outcome !== undefined)
    throw refuse('wrong-state', `Run ${run.id} has ended: ${run.outcome}.`, `kimi-dispatch show ${run.id}`);
  if (!ownerVisible(run))
    throw refuse(
      'wrong-state',
      `Run ${run.id} is carried out in another container; its process cannot be reached from here.`,
      `Cancel it there. If that container is gone: kimi-dispatch recover ${run.id}`,
    );
  if (ownerLives(run)) process.kill(run.pid, 'SIGTERM');
  else if (run.queued === true) {
    const { waitAgain } = await import('./queue.ts');
    await waitAgain({ ...world, signal: AbortSignal.abort() }, repo, { run, watch: () => {} });
  }
  const { follow } = await import('../ledger/follow.ts');
  await follow({ folder: folderOf(repo, run), each: () => {}, signal: world.signal });
  await recover(repo, world.now);
  const result = readResult(folderOf(repo, run));
  world.out(`${run.id} ended: ${result.outcome}. ${result.changes.length} changed files are saved on ${run.branch}.\n`);
  return 0;
}

/** `recover [run]`: ends what a dead dispatcher left behind, and says what was saved. */
export async function recoverCommand(world: World, args: readonly string[], options: Options): Promise<number> {
  const repo = await repoOf(world);
  const gone = args[0] === undefined ? undefined : findRun(repo.commonDir, args[0]).id;
  const done = await recover(repo, world.now, gone);
  for (const run of listRuns(repo.commonDir).filter((item) => item.outcome === undefined))
    if (run.queued === true && !ownerLives(run)) world.err(`${run.id} is in the queue: kimi-dispatch wait ${run.id}\n`);
    else if (!ownerVisible(run))
      world.err(`${run.id} runs in another container. If that is gone: kimi-dispatch recover ${run.id}\n`);
  if (options.json === true) world.out(`${JSON.stringify({ version: 1, recovered: done })}\n`);
  else if (done.length === 0) world.out('Nothing was lost.\n');
  else for (const { run, said } of done) world.out(`${run}: ${said}. kimi-dispatch show ${run}\n`);
  return 0;
}
