import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { refuse } from '../errors.ts';
import type { RunState } from '../ledger/events.ts';
import { olderFirst, runsFolder } from '../ledger/store.ts';
import { counted, quote } from '../quote.ts';
import { merge } from '../review/merge.ts';
import { staleRuns } from '../review/stale.ts';
import { readResult } from '../review/stored.ts';
import { discard, undo } from '../review/undo.ts';
import { requirePrincipal } from '../run/project.ts';
import { recoverRun } from '../run/recover.ts';
import { moveTask } from '../run/task-link.ts';
import { gitEnvironment, type World } from '../world.ts';
import { repoOf, runNamed } from './look.ts';

/** `merge <run...>`: review said yes. Several are merged oldest first; afterwards the others are looked at again. */
export async function mergeCommand(
  world: World,
  args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  if (options.squash === true && options.ff === false)
    throw refuse('usage', 'merge takes one of --squash, --no-ff, not both.', 'Leave one out.');
  const repo = await repoOf(world);
  requirePrincipal(repo, world.env, 'Merging');
  const style = options.ff === false ? 'no-ff' : 'squash';
  const text = (name: string): string | undefined =>
    typeof options[name] === 'string' ? (options[name] as string) : undefined;
  const [message, commit, onto] = [text('message'), text('commit'), text('onto')];
  const shown = { ...(commit === undefined ? {} : { commit }), ...(onto === undefined ? {} : { onto }) };
  const named: RunState[] = [];
  for (const name of args) named.push(await recoverRun(repo, name, world.now));
  const runs = [...named].sort(olderFirst);
  for (const run of runs) {
    const done = await merge({
      repo,
      run,
      root: world.root,
      env: world.env,
      now: world.now,
      style,
      force: options.force === true,
      unverified: options.unverified === true,
      shown,
      ...(message === undefined ? {} : { message }),
    });
    if (run.task !== undefined) await moveTask(world.env, world.now, { task: run.task, run: run.id, to: 'approved' });
    const stale = await staleRuns(repo, done);
    if (options.json === true) {
      world.out(`${JSON.stringify({ version: 1, run: run.id, ...done, stale })}\n`);
      continue;
    }
    const again = done.reverified ? ' The branch had moved; the merged tree was verified again.' : '';
    const hooks = done.hooks.length === 0 ? '' : `\nHooks of yours that ran: ${done.hooks.join(', ')}`;
    world.out(
      `Merged ${run.id} into ${done.target}: ${counted(done.files, 'file')}, ${done.to.slice(0, 10)}.${again}${hooks}\nUndo: ${done.undo}\n`,
    );
    for (const line of [...done.saved, ...done.outside]) world.out(`${line}\n`);
    for (const line of done.overrode) world.out(`Merged against the gate: ${quote(line, 300)}\n`);
    for (const other of stale)
      world.out(
        `Run ${other.run} no longer applies: ${other.conflicts.join(', ')}. kimi-dispatch refresh ${other.run}, or discard it\n`,
      );
  }
  return 0;
}

/** `accept <folder> --spec FILE`: the second job of a CI run; it has rights and no model. */
export async function acceptCommand(
  world: World,
  args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  if (typeof options.spec !== 'string')
    throw refuse('usage', 'accept needs the spec that was asked for.', 'kimi-dispatch accept FOLDER --spec spec.md');
  const repo = await repoOf(world);
  const specFile = resolve(world.cwd, options.spec);
  if (!existsSync(specFile)) throw refuse('usage', `There is no file ${options.spec}.`, 'Name the spec: --spec FILE');
  const { accept } = await import('../review/accept.ts');
  const result = await accept({
    repo,
    folder: resolve(world.cwd, args[0] ?? ''),
    specFile,
    now: world.now(),
  });
  if (options.json === true)
    world.out(
      `${JSON.stringify({ version: 1, run: result.run, branch: result.branch, flags: result.flags, verification: 'claimed' })}\n`,
    );
  else
    world.out(
      `Taken over: ${result.run} on ${result.branch}, ${counted(result.changes.length, 'file')}. Its verification is claimed by the first job, not run again here. kimi-dispatch pr ${result.run}\n`,
    );
  return 0;
}

/** `pr <run>`: the branch, and nothing else, to the remote, and a draft through `gh` where it is there. */
export async function prCommand(
  world: World,
  args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  const { repo, run } = await runNamed(world, args[0]);
  const result = readResult(join(runsFolder(repo.commonDir), run.id));
  const { openPullRequest, pushRemote } = await import('../review/pr.ts');
  const named = typeof options.remote === 'string' ? options.remote : undefined;
  const remote = named ?? (await pushRemote(repo));
  if (named === undefined && remote !== 'origin') await requireConsent(world, run.id, remote);
  const made = await openPullRequest({ repo, run, result, root: world.root, env: gitEnvironment(world.env), remote });
  if (options.json === true) world.out(`${JSON.stringify({ version: 1, run: run.id, ...made })}\n`);
  else if (made.made !== 'by-hand') world.out(`${made.made}: ${made.url ?? made.branch}\n`);
  else
    world.out(
      `Pushed ${made.branch} to ${remote}. No \`gh\` here: open ${made.url ?? 'the pull request'} with the body in ${made.bodyFile}\n`,
    );
  return 0;
}

/** A fork is somebody's own, a second remote may be public: what is not `origin` is named by the user, or asked about. */
async function requireConsent(world: World, run: string, remote: string): Promise<void> {
  const question = `git pushes this branch to ${quote(remote, 200)}, not to origin. Push the run's branch there?`;
  if (await world.confirm?.(`${question} [y/N] `)) return;
  throw refuse('wrong-state', question, `kimi-dispatch pr ${run} --remote ${quote(remote, 200)}`);
}

/** `undo`: takes a merge back. */
export async function undoCommand(world: World, args: readonly string[]): Promise<number> {
  const repo = await repoOf(world);
  const run = await recoverRun(repo, args[0] ?? '', world.now);
  const { target, to, byHand } = await undo(repo, run, world.now());
  const said = byHand
    ? `${target} no longer held the merge; nothing was moved.`
    : `${target} is back at ${to.slice(0, 10)}.`;
  world.out(`${said} The run is waiting for review again: kimi-dispatch merge ${run.id}\n`);
  return 0;
}

/** `discard`: the worktree and the branch go, the patch stays. */
export async function discardCommand(world: World, args: readonly string[]): Promise<number> {
  const repo = await repoOf(world);
  const run = await recoverRun(repo, args[0] ?? '', world.now);
  const saved = await discard(repo, run, world.now());
  if (run.task !== undefined) await moveTask(world.env, world.now, { task: run.task, run: run.id, to: 'cancelled' });
  world.out(`Discarded ${run.id}. The patch stays in ${repo.commonDir}/kimi-dispatch/runs/${run.id}/\n`);
  for (const line of saved) world.out(`${line}\n`);
  return 0;
}
