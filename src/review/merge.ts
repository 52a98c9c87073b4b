import { readFileSync, rmSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { refuse } from '../errors.ts';
import { changesBetween, mergeTrees } from '../git/change.ts';
import { git, gitAnswer } from '../git/git.ts';
import { releaseSlot } from '../git/pool.ts';
import { type Repo, uncommitted } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { append, runsFolder } from '../ledger/store.ts';
import { laterVerification } from '../run/enclosure.ts';
import { commandsOf } from '../run/plan.ts';
import { runEnvironment } from '../run/run.ts';
import { distrustSlot, ensureTree, ensureWalls } from '../run/tree.ts';
import { parseSpec } from '../spec/parse.ts';
import { compare, ok, verified } from '../verify/compare.ts';
import { verify } from '../verify/verify.ts';
import type { Result } from './result.ts';
import { readResult } from './stored.ts';

export interface MergeRequest {
  readonly repo: Repo;
  readonly run: RunState;
  /** The program's own folder. */
  readonly root: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: () => Date;
  readonly style: 'squash' | 'no-ff';
  readonly force: boolean;
}

export interface Merged {
  readonly target: string;
  readonly from: string;
  readonly to: string;
  readonly files: number;
  /** True when the target had moved and the merged tree was verified again. */
  readonly reverified: boolean;
  readonly undo: string;
  /** Hooks of the user's that ran at the commit (ruling 9). */
  readonly hooks: readonly string[];
}

/** Where the branch stood before a merge, by run. */
export const BACKUP = 'refs/kimi-dispatch/backup';

/**
 * Brings a run's change onto the branch of the checkout. Everything is built and checked in the run's worktree;
 * the last act is one fast-forward. A refusal leaves everything as it was.
 */
export async function merge(request: MergeRequest): Promise<Merged> {
  const { repo, run } = request;
  const folder = join(runsFolder(repo.commonDir), run.id);
  const result = readResult(folder);
  requireMergeable(request, result);
  const commit = run.commit ?? '';
  const target = (await gitAnswer(repo, ['symbolic-ref', '-q', 'HEAD'], { answers: [1] })).stdout.trim() || 'HEAD';
  const tip = await git(repo, ['rev-parse', 'HEAD']);
  await refuseMovedBranch(repo, run);
  const merged = await mergedTree(repo, tip, run, commit);
  await refuseDirtyOverlap(repo, tip, merged);
  const moved = tip !== run.base;
  const own = await ensureTree(run, { ...request, provide: moved && !request.force });
  const kept = await keepCommit({ ...request, run: own }, { result, tip, tree: merged, commit, verifyAgain: moved });
  const now = await git(repo, ['rev-parse', 'HEAD']);
  if (now !== tip)
    throw refuse('conflict', 'The branch moved while the merge was prepared.', `kimi-dispatch merge ${run.id}`);
  await git(repo, ['update-ref', `${BACKUP}/${run.id}`, tip]);
  await git(repo, ['merge', '--ff-only', '-q', kept], { honour: true }).catch((error: unknown) => {
    throw refuse(
      'conflict',
      `The branch could not be moved: ${String(error instanceof Error ? error.message : error)}`,
      'git status',
    );
  });
  append(folder, { type: 'merged', target, from: tip, to: kept }, request.now());
  rmSync(run.home, { recursive: true, force: true });
  // The change is in; a worktree that cannot be given back now is found by `prune`.
  await releaseSlot(repo, own, false).catch(() => undefined);
  const files = (await changesBetween(repo, tip, kept)).length;
  return {
    target: target.replace('refs/heads/', ''),
    from: tip,
    to: kept,
    files,
    reverified: moved,
    undo: `kimi-dispatch undo ${run.id}`,
    hooks: hooksIn(await hooksFolder(repo)),
  };
}

function requireMergeable(request: MergeRequest, result: Result): void {
  const { run, force } = request;
  if (run.review === 'merged')
    throw refuse('wrong-state', `Run ${run.id} is merged already.`, `kimi-dispatch undo ${run.id}`);
  if (run.review === 'discarded')
    throw refuse('wrong-state', `Run ${run.id} was discarded.`, `git apply ${result.files.patch}`);
  if (run.commit === undefined || result.changes.length === 0)
    throw refuse('wrong-state', `Run ${run.id} changed nothing.`, `kimi-dispatch show ${run.id}`);
  if (result.outcome === 'succeeded' || force) return;
  const code =
    result.outcome === 'verification-failed'
      ? 'verification-failed'
      : result.outcome === 'out-of-scope'
        ? 'gate'
        : 'wrong-state';
  throw refuse(
    code,
    `Run ${run.id} ended with ${result.outcome}.`,
    `kimi-dispatch show ${run.id}, then merge with --force if you are sure`,
  );
}

/** What is merged is what was reviewed; commits that somebody put on the branch by hand are theirs to merge. */
async function refuseMovedBranch(repo: Repo, run: RunState): Promise<void> {
  const tip = await gitAnswer(repo, ['rev-parse', '-q', '--verify', `refs/heads/${run.branch}`], { answers: [1, 128] });
  if (tip.code !== 0 || tip.stdout.trim() === run.commit) return;
  throw refuse(
    'wrong-state',
    `The branch ${run.branch} was moved by hand, to ${tip.stdout.trim().slice(0, 10)}.`,
    `git merge ${run.branch}, or put it back: git branch -f ${run.branch} ${run.commit}`,
  );
}

async function mergedTree(repo: Repo, tip: string, run: RunState, commit: string): Promise<string> {
  const merged = await mergeTrees(repo, tip, commit);
  if ('tree' in merged) return merged.tree;
  throw refuse(
    'conflict',
    `Run ${run.id} conflicts with what is on the branch now: ${merged.conflicts.join(', ')}`,
    `kimi-dispatch discard ${run.id}, then run the spec again; or git merge ${run.branch}`,
  );
}

async function refuseDirtyOverlap(repo: Repo, tip: string, tree: string): Promise<void> {
  const touched = new Set((await changesBetween(repo, tip, tree)).map((change) => change.path));
  const overlap = (await uncommitted(repo)).filter((path) => touched.has(path));
  if (overlap.length === 0) return;
  throw refuse(
    'conflict',
    `You have uncommitted changes in files that the run changed: ${overlap.slice(0, 10).join(', ')}`,
    'git stash, or commit them, then merge again',
  );
}

interface Keep {
  readonly result: Result;
  readonly tip: string;
  readonly tree: string;
  readonly commit: string;
  readonly verifyAgain: boolean;
}

/** Makes the commit that a person keeps: in the run's worktree, with the user's hooks, signing and identity. */
async function keepCommit(request: MergeRequest, keep: Keep): Promise<string> {
  const { repo, run } = request;
  const place = { dir: run.dir, env: repo.env };
  await git(place, ['checkout', '-q', '--detach', '--force', keep.tip]);
  try {
    await git(place, ['read-tree', '-u', '--reset', keep.tree]);
    if (keep.verifyAgain && !request.force) await reverify(request, keep.result);
    const hooks = await hooksFolder(repo);
    // The user's hooks run as the user: what they leave behind is nobody's to trust.
    if (hooksIn(hooks).length > 0) distrustSlot(run.dir);
    const message = await git(repo, ['log', '-1', '--format=%B', keep.commit]);
    await git(place, ['-c', `core.hooksPath=${hooks}`, 'commit', '-q', '--allow-empty', '-m', message], {
      honour: true,
    }).catch((error: unknown) => {
      throw refuse(
        'wrong-state',
        `The commit was refused (hooks and signing of this repository apply): ${error instanceof Error ? error.message : ''}`,
        'Correct what the hook names, then merge again.',
      );
    });
    const squashed = await git(place, ['rev-parse', 'HEAD']);
    if (request.style === 'squash') return squashed;
    const tree = await git(place, ['rev-parse', 'HEAD^{tree}']);
    const identity = [
      '-c',
      `user.name=${await git(place, ['log', '-1', '--format=%cn'])}`,
      '-c',
      `user.email=${await git(place, ['log', '-1', '--format=%ce'])}`,
    ];
    return await git(
      repo,
      [...identity, 'commit-tree', tree, '-p', keep.tip, '-p', keep.commit, '-m', `Merge ${run.branch}\n\n${message}`],
      { honour: true },
    );
  } finally {
    await git(place, ['checkout', '-q', '--force', run.branch]);
  }
}

const AT_COMMIT = ['pre-commit', 'prepare-commit-msg', 'commit-msg', 'post-commit', 'post-merge'];

const hooksIn = (folder: string): string[] =>
  AT_COMMIT.filter((name) => {
    const stat = statSync(join(folder, name), { throwIfNoEntry: false });
    return stat?.isFile() === true && (stat.mode & 0o111) !== 0;
  });

/** `core.hooksPath` is relative to the checkout, not to the run's worktree. */
async function hooksFolder(repo: Repo): Promise<string> {
  const set = (
    await gitAnswer(repo, ['config', '--get', '--path', 'core.hooksPath'], { answers: [1], honour: true })
  ).stdout.trim();
  if (set === '') return join(repo.commonDir, 'hooks');
  return isAbsolute(set) ? set : join(repo.root, set);
}

async function reverify(request: MergeRequest, result: Result): Promise<void> {
  const { run, env, repo } = request;
  const { spec } = parseSpec(readFileSync(result.spec.path, 'utf8'));
  await ensureWalls(run, request);
  const walls = laterVerification(request.root, run.id, result.files.folder);
  const logs = result.files.folder;
  const place = { dir: run.dir, env: runEnvironment(env), marker: run.id, logs, label: 'merge', run: walls.run };
  const after = await verify(commandsOf(spec), place).finally(walls.close);
  await git({ dir: run.dir, env: repo.env }, ['clean', '-fdq']);
  const before = result.verification.map((row) => row.after);
  const rows = compare(before.length === after.length ? before : undefined, after);
  if (verified(rows)) return;
  const red = rows.filter((row) => !ok(row.after)).map((row) => row.command);
  throw refuse(
    'verification-failed',
    `The branch moved since the run, and merged with it these fail: ${red.join('; ')}`,
    `kimi-dispatch show ${run.id}, or merge with --force`,
  );
}
