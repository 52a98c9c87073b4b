import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { onDisk } from '../names.ts';
import { ownerHere } from '../process/alive.ts';
import { withLock } from '../process/lock.ts';
import { at, fields, type GitPlace, git, gitAnswer, keeping } from './git.ts';
import { renewFolders } from './renew.ts';
import type { Repo } from './repo.ts';
import {
  cachesFolder,
  copyIndex,
  gitFolderOf,
  holdsSlot,
  indexFile,
  intact,
  isParked,
  keepIndex,
  nextSlot,
  readSlot,
  recordFile,
  type SlotCall,
  slotsIn,
  writeSlot,
} from './slot.ts';
import { fillTree } from './submodules.ts';
import { addWorktree, type NewTree, removeWorktree, restoreLink } from './worktree.ts';

/** Gives a run its slot. Two processes never get the same one. */
export const claimSlot = (repo: Repo, folder: string, call: SlotCall): Promise<string> =>
  lockSlots(repo, () => take(nextSlot(folder, call), call));

/** The slot of a run whose claim may have ended: the same one while nobody else has it, or another. */
export const reclaimSlot = (repo: Repo, dir: string, call: SlotCall): Promise<string> =>
  lockSlots(repo, () => {
    const owner = readSlot(dir)?.run;
    return take(owner === undefined || owner === call.run ? dir : nextSlot(dirname(dir), call), call);
  });

const lockSlots = <T>(repo: Repo, work: () => T | Promise<T>): Promise<T> =>
  withLock(
    { file: join(repo.commonDir, 'kimi-dispatch', 'slots.lock'), what: 'Taking a slot', waitMs: 30_000 },
    async () => work(),
  );

function take(dir: string, { run, sandboxed, most }: SlotCall): string {
  const { kept, clean } = readSlot(dir) ?? {};
  const before = { ...(kept === undefined ? {} : { kept }), ...(clean === true ? { clean } : {}) };
  writeSlot(dir, { version: 1, run, ...ownerHere(), sandboxed, most, ...before });
  return dir;
}

/** Puts the base into the run's slot: what is there is changed where it differs, or a worktree is made. */
export async function openSlot(repo: Repo, tree: NewTree): Promise<'warm' | 'cold'> {
  const warm = takeClean(tree.dir) && (await resetSlot(repo, tree));
  if (!warm) {
    if (existsSync(tree.dir)) await removeWorktree(repo, tree, true);
    forgetKept(tree.dir);
    await addWorktree(repo, tree);
  }
  await fillTree(tree, repo.commonDir, tree.base);
  keepIndex(repo.commonDir, tree.dir);
  return warm ? 'warm' : 'cold';
}

/** Whether a slot was cleaned and not used since; from here on it counts as used. */
function takeClean(dir: string): boolean {
  const record = readSlot(dir);
  if (record === undefined) return false;
  const { clean, ...rest } = record;
  writeSlot(dir, rest);
  return clean === true && existsSync(indexFile(dir)) && existsSync(join(dir, '.git'));
}

async function resetSlot(repo: Repo, tree: NewTree): Promise<boolean> {
  try {
    await git(tree, [...STRICT, 'reset', '--hard', '-q', tree.base]);
    if (tree.branch === undefined) return true;
    await git(repo, ['update-ref', `refs/heads/${tree.branch}`, tree.base, '']);
    await git(tree, ['symbolic-ref', 'HEAD', `refs/heads/${tree.branch}`]);
    return true;
  } catch {
    return false;
  }
}

/** Puts the branch of a run back into a slot that it got again. */
export async function reopenSlot(repo: Repo, run: { readonly dir: string; readonly branch: string }): Promise<void> {
  if (takeClean(run.dir)) await git(at(repo, run.dir), ['checkout', '-q', '--force', run.branch]);
  else {
    await removeWorktree(repo, run, false);
    forgetKept(run.dir);
    await git(repo, ['worktree', 'add', '-q', '--force', run.dir, run.branch]);
  }
  await fillTree(at(repo, run.dir), repo.commonDir, 'HEAD');
  keepIndex(repo.commonDir, run.dir);
}

/**
 * A file whose change time differs from what git saw when it wrote it is written again, whatever its content; nobody in
 * the sandbox can set that time.
 */
const STRICT = ['-c', 'core.trustctime=true', '-c', 'core.checkStat=default'];

function forgetKept(dir: string): void {
  const record = readSlot(dir);
  if (record?.kept === undefined) return;
  const { kept: _kept, ...rest } = record;
  writeSlot(dir, rest);
}

interface Claimed {
  readonly id: string;
  readonly dir: string;
  readonly branch?: string;
  readonly base: string;
}

/** The end of a run's claim on its slot: it is cleaned and parked, or removed. Another run's slot is left alone. */
export async function releaseSlot(repo: Repo, run: Claimed, branchToo: boolean): Promise<void> {
  if (holdsSlot(run)) {
    const parked = mayPark(run.dir) && (await cleanSlot(repo, run));
    if (parked) park(run.dir);
    else await removeSlot(repo, run);
  }
  if (branchToo && run.branch !== undefined)
    await gitAnswer(repo, ['update-ref', '-d', `refs/heads/${run.branch}`], { answers: [1, 128] });
}

/** What ran outside the sandbox could have written anywhere, so its slot is not used again. */
function mayPark(dir: string): boolean {
  const record = readSlot(dir);
  if (record?.sandboxed !== true || !existsSync(indexFile(dir))) return false;
  return slotsIn(dirname(dir)).filter(isParked).length < record.most;
}

function park(dir: string): void {
  const record = readSlot(dir);
  if (record === undefined) return;
  const { run: _run, pid: _pid, start: _start, ns: _ns, ...rest } = record;
  writeSlot(dir, { ...rest, clean: true });
}

/** Everything that could have been written here goes; a slot that cannot be cleaned is not parked. */
async function cleanSlot(repo: Repo, { dir, base }: Claimed): Promise<boolean> {
  try {
    await putCommit(repo, dir, base);
    rmSync(cachesFolder(dir), { recursive: true, force: true });
    return true;
  } catch {
    return false;
  }
}

/**
 * Puts exactly one commit into a slot, with HEAD detached, and nothing else but the dependency folders that provisioning
 * made and nobody could write. What was there is judged by the index that nobody here could write.
 */
export async function putCommit(repo: Repo, dir: string, commit: string): Promise<void> {
  const place = at(repo, dir);
  const own = gitFolderOf(repo.commonDir, dir);
  const reset = () => git(place, [...STRICT, 'reset', '--hard', '-q', commit]);
  restoreLink(repo.commonDir, { dir });
  rmSync(join(own, 'index.lock'), { force: true });
  const opened = statSync(indexFile(dir)).mtimeMs;
  copyIndex(indexFile(dir), join(own, 'index'));
  await git(place, ['update-ref', '--no-deref', 'HEAD', commit]);
  await reset();
  const kept = intact(dir);
  if (kept.length === 0) forgetKept(dir);
  await git(place, ['clean', '-ffdxq', ...keeping(kept)]);
  await emptySubmodules(place);
  // git itself wrote folders up to the moment of the index.
  renewFolders(dir, opened + 5, kept);
  await reset();
  await fillTree(place, repo.commonDir, commit);
  copyIndex(join(own, 'index'), indexFile(dir));
}

/** git cleans nothing inside the folder of a submodule. */
async function emptySubmodules(place: GitPlace): Promise<void> {
  const entries = fields(await git(place, ['ls-files', '-s', '-z']));
  for (const path of entries.filter((entry) => entry.startsWith('160000')).map((entry) => entry.split('\t')[1])) {
    rmSync(onDisk(place.dir, path ?? '.none'), { recursive: true, force: true });
    mkdirSync(onDisk(place.dir, path ?? '.none'), { recursive: true });
  }
}

/** Removes a slot that nobody took meanwhile. */
export const dropSlot = (repo: Repo, dir: string, owner: string | undefined): Promise<void> =>
  lockSlots(repo, async () => {
    if (readSlot(dir)?.run === owner) await removeSlot(repo, { dir });
  });

/** Removes a slot with all that is known of it. */
async function removeSlot(repo: Repo, run: { dir: string }): Promise<void> {
  await removeWorktree(repo, run, false);
  for (const path of [indexFile(run.dir), cachesFolder(run.dir), `${run.dir}.new`, recordFile(run.dir)])
    rmSync(path, { recursive: true, force: true });
}
