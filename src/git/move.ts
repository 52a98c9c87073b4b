import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { writeWhole } from '../files.ts';
import { type Owner, ownerHere, ownerLives } from '../process/alive.ts';
import { entriesOf, sizesOf } from './blobs.ts';
import { type GitAnswer, git, gitAnswer } from './git.ts';
import { locksOf, patiently, refuseLocks, removeDeadLock } from './locks.ts';
import { type PutBack, putBack } from './put-back.ts';
import type { Repo } from './repo.ts';

/** The user's checkout goes from one commit to another. Written down before it begins, so that it can be ended later. */
export interface Move extends Owner {
  readonly version: 1;
  readonly run: string;
  readonly kind: 'merge' | 'undo';
  /** The checkout, and its git folder. */
  readonly root: string;
  readonly gitDir: string;
  /** The full name of the branch, or `HEAD` where none is checked out. */
  readonly ref: string;
  readonly from: string;
  readonly to: string;
  /** When it began (ms). */
  readonly at: number;
}

const folderOf = (commonDir: string): string => join(commonDir, 'kimi-dispatch', 'moves');
const fileOf = (commonDir: string, run: string): string => join(folderOf(commonDir), `${run}.json`);

export type MoveCall = Pick<Move, 'run' | 'kind' | 'ref' | 'from' | 'to'>;

/**
 * Moves the checkout and calls `done` once it stands on `to`. Where git fails on the way, all is put back as it was and
 * the failure is refused. A process that dies in between is followed by `recoverMoves`.
 */
export async function move(repo: Repo, call: MoveCall, done: () => void): Promise<void> {
  refuseLocks(repo, call.ref);
  await askHook(repo, call);
  await refuseSwitched(repo, call.ref);
  const { root, gitDir } = repo;
  const written: Move = { version: 1, ...call, root, gitDir, at: Date.now(), ...ownerHere() };
  mkdirSync(folderOf(repo.commonDir), { recursive: true, mode: 0o700 });
  writeWhole(fileOf(repo.commonDir, call.run), JSON.stringify(written));
  const failed = await (call.kind === 'merge' ? forward(repo, call) : back(repo, call)).catch(String);
  const end = failed === undefined ? 'done' : await endFailed(repo, written, failed);
  if (end === 'done') done();
  rmSync(fileOf(repo.commonDir, call.run), { force: true });
  if (failed === undefined || end === 'done') return;
  refuseLocks(repo, call.ref);
  const state = end === 'left' ? 'which has moved on meanwhile' : 'and nothing was changed';
  const said = `git could not move the checkout, ${state}: ${failed}`;
  if (await isFull(repo, call)) throw refuse('disk-full', said, 'Free some space, then run the same command again.');
  throw refuse('conflict', said, 'git status');
}

/** How a move ends that git gave up: a hook may have failed it when all had moved. */
async function endFailed(repo: Repo, written: Move, failed: string): Promise<MoveEnd['end']> {
  try {
    return (await endMove(repo, written)).end;
  } catch (error) {
    throw refuse(
      'conflict',
      `git could not move the checkout (${failed}), nor take back what it had moved: ${String(error)}`,
      'kimi-dispatch recover, once no other git is at work',
    );
  }
}

/** git says that it could not write a file, and not why: there is too little room for what a move would write. */
async function isFull(repo: Repo, { from, to }: MoveCall): Promise<boolean> {
  const [before, after] = await Promise.all([entriesOf(repo, from), entriesOf(repo, to)]);
  const written = [...after].filter(([path, { id }]) => before.get(path)?.id !== id).map(([, { id }]) => id);
  const sizes = await sizesOf(repo, written);
  const needed = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  const { bavail, bsize } = statfsSync(repo.root);
  return bavail * bsize < needed;
}

/** The user's `reference-transaction` is asked before anything moves: after that it could only leave half a move. */
async function askHook(repo: Repo, { ref, from, to }: MoveCall): Promise<void> {
  const input = `start\nupdate ${ref} ${to} ${from}\nprepare\nabort\n`;
  const call = { honour: true, input, answers: ANY };
  const answer = await patiently(() => gitAnswer(repo, ['update-ref', '--stdin'], call));
  if (answer.code === 0) return;
  refuseLocks(repo, ref);
  throw refuse(
    'wrong-state',
    `git does not let ${ref} move (the hooks of this repository apply): ${wordsOf(answer.stderr)}`,
    'Correct what the hook names, then try again',
  );
}

/** A verification takes minutes, and git would move whatever branch the user went to meanwhile. */
async function refuseSwitched(repo: Repo, ref: string): Promise<void> {
  if ((await checkedOut(repo)) === ref) return;
  const name = ref.replace('refs/heads/', '');
  throw refuse(
    'conflict',
    ref === 'HEAD' ? 'A branch was checked out meanwhile.' : `Another branch than ${name} was checked out meanwhile.`,
    ref === 'HEAD' ? 'git status, then the same command again' : `git switch ${name}, then the same command again`,
  );
}

/** The full name of the branch that is checked out, or `HEAD`. */
export const checkedOut = async (repo: Repo): Promise<string> =>
  (await gitAnswer(repo, ['symbolic-ref', '-q', 'HEAD'], { answers: [1] })).stdout.trim() || 'HEAD';

/** One fast-forward. No setting of the user's may make something else of it, and no ignored file is overwritten. */
async function forward(repo: Repo, { ref, to }: MoveCall): Promise<string | undefined> {
  const name = ref.replace('refs/heads/', '');
  const flags = ['--ff-only', '--no-squash', '--no-autostash', '--no-overwrite-ignore', '--no-verify-signatures', '-q'];
  const args = ['-c', `branch.${name}.mergeOptions=`, 'merge', ...flags, to];
  const answer = await patiently(() => gitAnswer(repo, args, { honour: true, answers: ANY }));
  if ((await git(repo, ['rev-parse', ref])) === to) return undefined;
  return wordsOf(answer.stderr) || `exit ${answer.code}`;
}

/** Back to an earlier commit: edits and staged halves of other files stay, and so does every ignored file. */
async function back(repo: Repo, { ref, from, to }: MoveCall): Promise<string | undefined> {
  const answer = await detach(repo, to);
  if (answer.code !== 0) return wordsOf(answer.stderr) || `exit ${answer.code}`;
  if (ref === 'HEAD') return undefined;
  const args = ['update-ref', '-m', 'kimi-dispatch: undo', ref, to, from];
  const moved = await patiently(() => gitAnswer(repo, args, { honour: true, answers: ANY }));
  if (moved.code !== 0) await detach(repo, from);
  await attach(repo, ref);
  return moved.code === 0 ? undefined : wordsOf(moved.stderr) || `exit ${moved.code}`;
}

/** The checkout goes to a commit, and no branch moves with it. */
const detach = (repo: Repo, commit: string): Promise<GitAnswer> => {
  const flags = ['--no-overwrite-ignore', '--no-recurse-submodules', '-q', '--detach'];
  const args = ['-c', 'core.hooksPath=/dev/null', 'checkout', ...flags, commit];
  return patiently(() => gitAnswer(repo, args, { honour: true, answers: ANY }));
};

const attach = (repo: Repo, ref: string): Promise<string> =>
  git(repo, ['symbolic-ref', '-m', 'kimi-dispatch: undo', 'HEAD', ref]);

const ANY = Array.from({ length: 254 }, (_, index) => index + 1);

const wordsOf = (stderr: string): string =>
  stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^(hint|Aborting|Updating)/.test(line))
    .slice(0, 6)
    .join(' ')
    .slice(0, 400);

export interface MoveEnd {
  readonly move: Move;
  readonly end: 'done' | 'put-back' | 'left';
  /** Files that neither side wrote: they are left as they are. */
  readonly strange: readonly string[];
}

/** Moves whose process died. */
export function deadMoves(commonDir: string): Move[] {
  const folder = folderOf(commonDir);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => {
    try {
      const found = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Move;
      return found.version === 1 && typeof found.root === 'string' && !ownerLives(found) ? [found] : [];
    } catch {
      return [];
    }
  });
}

/** Ends what a process that died had begun: the checkout stands wholly on one side or the other. */
export async function recoverMoves(repo: Repo, done: (move: Move) => void): Promise<MoveEnd[]> {
  const ends: MoveEnd[] = [];
  for (const found of deadMoves(repo.commonDir)) {
    if (!existsSync(found.root)) continue;
    const there: Repo = { ...repo, dir: found.root, root: found.root, gitDir: found.gitDir };
    for (const lock of locksOf(there, found.ref)) removeDeadLock(lock, found.at);
    const end = await endMove(there, found);
    if (end.end === 'done') done(found);
    rmSync(fileOf(repo.commonDir, found.run), { force: true });
    ends.push(end);
  }
  return ends;
}

/** Where a move stands tells how it ends; what it wrote and did not finish is put back. */
async function endMove(repo: Repo, written: Move): Promise<MoveEnd> {
  const { kind, ref, from, to } = written;
  const known = async (name: string): Promise<string> =>
    (await gitAnswer(repo, ['rev-parse', '-q', '--verify', `${name}^{commit}`], { answers: [1, 128] })).stdout.trim();
  const [head, on, tip, ...ends] = await Promise.all([
    known('HEAD'),
    checkedOut(repo),
    known(ref),
    known(from),
    known(to),
  ]);
  // Deleted, renamed or collected as garbage meanwhile.
  if (tip === '' || ends.includes('')) return { move: written, end: 'left', strange: [] };
  if (kind === 'undo' && ref !== 'HEAD' && on === 'HEAD' && head === to && (tip === from || tip === to)) {
    // The hook has been asked, before it all began.
    if (tip === from) await git(repo, ['update-ref', '-m', 'kimi-dispatch: undo', ref, to, from]);
    await attach(repo, ref);
    return { move: written, end: 'done', strange: [] };
  }
  if (on !== ref || (tip !== from && tip !== to)) return { move: written, end: 'left', strange: [] };
  if (tip === to) return { move: written, end: 'done', strange: [] };
  const { strange }: PutBack = await putBack(repo, { from, to });
  return { move: written, end: 'put-back', strange };
}
