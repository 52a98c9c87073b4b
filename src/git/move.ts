import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { writeWhole } from '../files.ts';
import { type Owner, ownerHere, ownerLives } from '../process/alive.ts';
import { git, gitAnswer } from './git.ts';
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
  const { root, gitDir } = repo;
  const written: Move = { version: 1, ...call, root, gitDir, at: Date.now(), ...ownerHere() };
  mkdirSync(folderOf(repo.commonDir), { recursive: true, mode: 0o700 });
  writeWhole(fileOf(repo.commonDir, call.run), JSON.stringify(written));
  const failed = await (call.kind === 'merge' ? forward(repo, call) : back(repo, call));
  if (failed === undefined) done();
  else await endMove(repo, written);
  rmSync(fileOf(repo.commonDir, call.run), { force: true });
  if (failed !== undefined)
    throw refuse('conflict', `git could not move the checkout, and nothing was changed: ${failed}`, 'git status');
}

/** One fast-forward. No setting of the user's may make something else of it, and no ignored file is overwritten. */
async function forward(repo: Repo, { ref, to }: MoveCall): Promise<string | undefined> {
  const name = ref.replace('refs/heads/', '');
  const flags = ['--ff-only', '--no-squash', '--no-autostash', '--no-overwrite-ignore', '--no-verify-signatures', '-q'];
  const answer = await gitAnswer(repo, ['-c', `branch.${name}.mergeOptions=`, 'merge', ...flags, to], {
    honour: true,
    quiet: true,
    answers: ANY,
  });
  if ((await git(repo, ['rev-parse', 'HEAD'])) === to) return undefined;
  return wordsOf(answer.stderr) || `exit ${answer.code}`;
}

/** Back to an earlier commit: edits and staged halves of other files stay, and so does every ignored file. */
async function back(repo: Repo, { ref, from, to }: MoveCall): Promise<string | undefined> {
  const flags = ['--no-overwrite-ignore', '--no-recurse-submodules', '-q', '--detach'];
  const answer = await gitAnswer(repo, ['-c', 'core.hooksPath=/dev/null', 'checkout', ...flags, to], {
    honour: true,
    quiet: true,
    answers: ANY,
  });
  if (answer.code !== 0) return wordsOf(answer.stderr) || `exit ${answer.code}`;
  await endBack(repo, { ref, from, to });
  return undefined;
}

async function endBack(repo: Repo, { ref, from, to }: Pick<Move, 'ref' | 'from' | 'to'>): Promise<void> {
  if (ref === 'HEAD') return;
  await gitAnswer(repo, ['update-ref', '-m', 'kimi-dispatch: undo', ref, to, from], { answers: ANY, quiet: true });
  await git(repo, ['symbolic-ref', '-m', 'kimi-dispatch: undo', 'HEAD', ref], { quiet: true });
}

const ANY = Array.from({ length: 254 }, (_, index) => index + 1);

const wordsOf = (stderr: string): string =>
  stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^(hint|Aborting|Updating)/.test(line))
    .slice(0, 6)
    .join(' ')
    .slice(0, 400);

/** A lock of git's that is there already belongs to somebody else, alive or not. */
function refuseLocks(repo: Repo, ref: string): void {
  const lock = locksOf(repo, ref).find(existsSync);
  if (lock === undefined) return;
  throw refuse(
    'wrong-state',
    `git is at work in this checkout, or died there: ${lock} exists.`,
    `Wait for git to end; if none runs, rm ${lock}`,
  );
}

const locksOf = ({ gitDir, commonDir }: Pick<Repo, 'gitDir' | 'commonDir'>, ref: string): string[] => [
  join(gitDir, 'index.lock'),
  join(gitDir, 'HEAD.lock'),
  join(gitDir, 'ORIG_HEAD.lock'),
  ...(ref === 'HEAD' ? [] : [join(commonDir, `${ref}.lock`)]),
];

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
      return found.version === 1 && !ownerLives(found) ? [found] : [];
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
  const [head, symbolic, tip] = await Promise.all([
    git(repo, ['rev-parse', 'HEAD']),
    gitAnswer(repo, ['symbolic-ref', '-q', 'HEAD'], { answers: [1] }),
    git(repo, ['rev-parse', ref]),
  ]);
  const on = symbolic.stdout.trim() || 'HEAD';
  if (kind === 'undo' && ref !== 'HEAD' && on === 'HEAD' && head === to && (tip === from || tip === to)) {
    await endBack(repo, written);
    return { move: written, end: 'done', strange: [] };
  }
  if (on !== ref || (tip !== from && tip !== to)) return { move: written, end: 'left', strange: [] };
  if (tip === to) return { move: written, end: 'done', strange: [] };
  const { strange }: PutBack = await putBack(repo, { from, to });
  return { move: written, end: 'put-back', strange };
}

/** A lock that came after the move began and that no process holds open was git's, which died with the move. */
function removeDeadLock(lock: string, since: number): void {
  const stat = statSync(lock, { throwIfNoEntry: false });
  if (stat === undefined || stat.mtimeMs < since - 2000 || isOpen(lock) !== false) return;
  rmSync(lock, { force: true });
}

/** Whether a process has a file open; undefined where that cannot be seen. */
function isOpen(file: string): boolean | undefined {
  if (!existsSync('/proc/self/fd')) return undefined;
  const real = realpathSync(file);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .some((pid) => {
      try {
        return readdirSync(`/proc/${pid}/fd`).some((fd) => safeLink(`/proc/${pid}/fd/${fd}`) === real);
      } catch {
        return false;
      }
    });
}

function safeLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
