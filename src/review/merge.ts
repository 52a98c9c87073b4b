import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { checkGate, type Remark } from '../gate/gate.ts';
import { readKnownKeys } from '../gate/known-keys.ts';
import { applyChange, type Change, changesBetween, IDENTITY } from '../git/change.ts';
import { git, gitAnswer } from '../git/git.ts';
import { refuseHiddenEdits } from '../git/hidden.ts';
import { checkedOut, move } from '../git/move.ts';
import { type Repo, refuseUnfinished, uncommitted } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { append, runsFolder } from '../ledger/store.ts';
import { agreed } from '../run/agreement.ts';
import { settleAt } from '../run/around.ts';
import type { Judge } from '../run/judge.ts';
import { judgeLater, specOf } from '../run/later.ts';
import { failing, verified } from '../verify/compare.ts';
import { endMerged } from './end.ts';
import { hooksAt } from './hooks.ts';
import { inTheWay } from './in-the-way.ts';
import { afterCommit, keepCommit, messageOf } from './keep-commit.ts';
import { alone, openRun } from './lock.ts';
import { type MergeState, refusalToMerge } from './mergeable.ts';
import type { Result } from './result.ts';
import { readResult } from './stored.ts';
import { watchMerge } from './watch.ts';
import { wayTo } from './way.ts';

export interface MergeRequest {
  readonly repo: Repo;
  readonly run: RunState;
  /** The program's own folder. */
  readonly root: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: () => Date;
  readonly style: 'squash' | 'no-ff';
  /** Merge what failed its verification or the gate. */
  readonly force: boolean;
  /** Merge what nothing could verify. */
  readonly unverified?: boolean;
  /** In place of the message that is made from the result. */
  readonly message?: string;
  /** What the caller was shown: another commit or branch is refused. */
  readonly shown?: { readonly commit?: string; readonly onto?: string };
}

export interface Merged {
  readonly target: string;
  readonly from: string;
  readonly to: string;
  readonly files: number;
  /** True when the merged tree was verified again, because the target had moved or a hook changed it. */
  readonly reverified: boolean;
  readonly undo: string;
  /** Hooks of the user's that ran at the commit. */
  readonly hooks: readonly string[];
  /** What a person made in the worktree or on the branch, and where it is kept. */
  readonly saved: readonly string[];
  /** What changed in the repository while commands ran for the merge. */
  readonly outside: readonly string[];
  /** Violations of the gate that were merged by force. */
  readonly overrode: readonly string[];
}

/** The commit that arrives, and what is known of it. */
interface Arriving {
  readonly commit: string;
  readonly changes: readonly Change[];
  readonly reverified: boolean;
  readonly outside: readonly string[];
  readonly overrode: readonly string[];
}

/**
 * Brings a run's change onto the branch of the checkout. Everything is built, verified and gated elsewhere; the last act
 * moves the checkout once. A refusal leaves everything as it was. One merge at a time in a repository.
 */
export const merge = (request: MergeRequest): Promise<Merged> =>
  alone(request.repo, request.run, async () => mergeAlone({ ...request, run: openRun(request.repo, request.run) }));

async function mergeAlone(request: MergeRequest): Promise<Merged> {
  const { repo, run } = request;
  const folder = join(runsFolder(repo.commonDir), run.id);
  refuseUnfinished(repo);
  const { ref, tip, result } = await requireMergeable(request, folder);
  const tree = await mergedTree(repo, run, tip);
  await refuseInTheWay(repo, run, await changesBetween(repo, tip, tree));
  const arriving = await prepareCommit(request, { result, tip, tree });
  await move(repo, { run: run.id, kind: 'merge', ref, from: tip, to: arriving.commit }, () => {
    append(folder, { type: 'merged', target: ref, from: tip, to: arriving.commit }, request.now());
  });
  await afterCommit(repo, request.style);
  const saved = await endMerged(repo, run);
  return {
    target: ref.replace('refs/heads/', ''),
    from: tip,
    to: arriving.commit,
    files: arriving.changes.length,
    reverified: arriving.reverified,
    undo: `kimi-dispatch undo ${run.id}`,
    hooks: await hooksAt(repo, request.style),
    saved,
    outside: arriving.outside,
    overrode: arriving.overrode,
  };
}

/** Looks at everything that decides whether a merge may begin, then decides. */
async function requireMergeable(
  request: MergeRequest,
  folder: string,
): Promise<{ ref: string; tip: string; result: Result }> {
  const { repo, run, force, unverified, style, shown } = request;
  const result = readResult(folder);
  const asked = (args: string[], answers: number[]) => gitAnswer(repo, args, { answers });
  const [ref, tip, branch] = await Promise.all([
    checkedOut(repo),
    git(repo, ['rev-parse', 'HEAD']),
    asked(['rev-parse', '-q', '--verify', `refs/heads/${run.branch}`], [1, 128]),
  ]);
  const [related, ancestor, holds] = await Promise.all([
    asked(['merge-base', run.base, tip], [1, 128]),
    asked(['merge-base', '--is-ancestor', run.base, tip], [1, 128]),
    run.merge === undefined ? undefined : stillHolds(repo, run.merge, tip),
  ]);
  const onto = shown?.onto === undefined ? undefined : `refs/heads/${shown.onto}`;
  const wayOnto = onto === undefined ? '' : await wayTo(repo, onto, `kimi-dispatch merge ${run.id}`);
  const state: MergeState = {
    run,
    outcome: result.outcome,
    changed: result.changes.length > 0,
    patch: result.files.patch,
    review: result.review !== undefined,
    ref,
    branchTip: branch.code === 0 ? branch.stdout.trim() : undefined,
    related: related.code === 0,
    baseIsAncestor: ancestor.code === 0,
    stillMerged: holds === true,
    wayOnto,
    asked: { force, unverified: unverified === true, style, ...shown },
  };
  const refusal = refusalToMerge(state);
  if (refusal !== undefined) throw refuse(refusal.code, refusal.message, refusal.fix);
  return { ref, tip, result };
}

/** Whether the branch that a run was merged into holds it yet, whatever is checked out here; where it is gone, this one. */
async function stillHolds(repo: Repo, { target, to }: NonNullable<RunState['merge']>, tip: string): Promise<boolean> {
  for (const place of [target, tip])
    if ((await gitAnswer(repo, ['merge-base', '--is-ancestor', to, place], { answers: [1, 128] })).code === 0)
      return true;
  return false;
}

/** The tree of the tip with the run's change in it, and nothing else. */
async function mergedTree(repo: Repo, run: RunState, tip: string): Promise<string> {
  const commit = run.commit ?? '';
  if (tip === run.base) return git(repo, ['rev-parse', `${commit}^{tree}`]);
  const merged = await applyChange(repo, { base: run.base, commit, tip });
  if ('conflicts' in merged)
    throw refuse(
      'conflict',
      `Run ${run.id} conflicts with what is on the branch now: ${merged.conflicts.slice(0, 10).join(', ')}`,
      `kimi-dispatch refresh ${run.id} puts it onto the branch and sends the conflict back to Kimi`,
    );
  if (merged.tree !== (await git(repo, ['rev-parse', `${tip}^{tree}`]))) return merged.tree;
  throw refuse(
    'wrong-state',
    `The branch holds the change of run ${run.id} already.`,
    `kimi-dispatch discard ${run.id}`,
  );
}

async function refuseInTheWay(repo: Repo, run: RunState, arriving: readonly Change[]): Promise<void> {
  await refuseHiddenEdits(repo, arriving);
  const touched = new Set(arriving.map((change) => change.path));
  const dirty = (await uncommitted(repo)).filter((path) => touched.has(path));
  if (dirty.length > 0)
    throw refuse(
      'conflict',
      `You have uncommitted changes in files that the run changed: ${dirty.slice(0, 10).join(', ')}`,
      'git stash, or commit them, then merge again',
    );
  const files = await inTheWay(repo, arriving);
  if (files.length === 0) return;
  throw refuse(
    'conflict',
    `Files of yours that git does not track lie where the run adds its own: ${files.slice(0, 10).join(', ')}`,
    `Move them away, then merge again: kimi-dispatch merge ${run.id}`,
  );
}

/** Makes the commit, and looks at what really arrives: a hook may have changed it since it was verified. */
async function prepareCommit(
  request: MergeRequest,
  { result, tip, tree }: { result: Result; tip: string; tree: string },
): Promise<Arriving> {
  const { repo, run, force } = request;
  const judge = await judgeLater(request, tip);
  const outside: string[] = [];
  const watch = { ...request, outside };
  const verifyAgain = (commit: string): Promise<void> =>
    watchMerge(watch, { phase: 'merging', walled: judge.walled }, () =>
      reverify(request, judge, { result, tip, commit }),
    );
  // Hooks that run as the user may write a note or a tag.
  const walled = judge.walled && !agreed(repo.env);
  const watched = <T>(act: () => Promise<T>): Promise<T> => watchMerge(watch, { phase: 'working', walled }, act);
  try {
    const moved = tip !== run.base && !force;
    if (moved) {
      const args = ['commit-tree', tree, '-p', tip, '-m', 'kimi-dispatch: the merged tree'];
      await verifyAgain(await git(repo, args, { env: IDENTITY }));
    }
    const title = request.style === 'no-ff' ? `Merge ${run.branch}\n\n` : '';
    const message = request.message ?? `${title}${messageOf(result)}`;
    const commit = await keepCommit({ repo, run, judge, style: request.style, watched }, { tip, tree, message });
    const hooked = (await git(repo, ['rev-parse', `${commit}^{tree}`])) !== tree;
    if (hooked && !force) await verifyAgain(commit);
    const changes = await changesBetween(repo, tip, commit);
    if (hooked) await refuseInTheWay(repo, run, changes);
    const broken = await gateAgain(request, { tip, commit, changes });
    if (broken.length > 0 && !force) throw refuseGate(run, broken);
    const known = result.scope.violations.map(sayRemark);
    const overrode = force ? [...new Set([...known, ...broken])] : [];
    return { commit, changes, reverified: moved || (hooked && !force), outside, overrode };
  } finally {
    await judge.close();
  }
}

const sayRemark = ({ path, why }: Remark): string => `${path}: ${why}`;

/** The gate, on what arrives and just before it does: what it breaks. */
async function gateAgain(
  { repo, run, env }: MergeRequest,
  { tip, commit, changes }: { tip: string; commit: string; changes: readonly Change[] },
): Promise<string[]> {
  const spec = specOf({ repo, run });
  const { violations } = await checkGate(repo, spec, { changes, base: tip, commit, known: readKnownKeys(env) });
  return violations.map(sayRemark);
}

const refuseGate = (run: RunState, broken: readonly string[]): Error =>
  refuse(
    'gate',
    `What would arrive breaks the gate: ${broken.slice(0, 5).join('; ')}`,
    `kimi-dispatch show ${run.id}; to merge it against the gate: kimi-dispatch merge ${run.id} --force`,
  );

async function reverify(
  { run, repo }: MergeRequest,
  judge: Judge,
  { result, tip, commit }: { result: Result; tip: string; commit: string },
): Promise<void> {
  const logs = join(runsFolder(repo.commonDir), run.id);
  const after = await judge.check(commit, { logs, label: 'merge' });
  const before = result.verification.map((row) => row.after);
  const rows = await settleAt(judge, {
    repo,
    spec: specOf({ repo, run }),
    from: tip,
    to: commit,
    before: before.length === after.length ? before : undefined,
    after,
    logs,
    allowedTests: run.allowed?.tests ?? [],
  });
  if (verified(rows)) return;
  const red = rows.filter(failing).map((row) => row.command);
  throw refuse(
    'verification-failed',
    `Merged with what is on the branch now, these fail: ${red.join('; ')}`,
    `kimi-dispatch refresh ${run.id}; --force merges it against its verification and the gate`,
  );
}
