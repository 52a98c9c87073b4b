import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { onDisk } from '../names.ts';
import { ownerLives } from '../process/alive.ts';

/** A place for worktrees that outlives its runs. What is known of it lies beside it, where no worker can write. */
export interface SlotRecord {
  readonly version: 1;
  /** The run that it belongs to; none while it is parked. */
  readonly run?: string;
  readonly pid?: number;
  readonly start?: string;
  readonly ns?: string;
  /** True while nothing was put into it since it was cleaned. */
  readonly clean?: boolean;
  /** False once something ran in it without the sandbox: such a slot is never used again. */
  readonly sandboxed: boolean;
  /** How many parked slots there may be beside it. */
  readonly most: number;
  readonly kept?: Kept;
}

/** Dependency folders that provisioning made and no worker could write. */
export interface Kept {
  /** A digest of everything they were made from. */
  readonly key: string;
  /** By path from the worktree's top; the inode tells a folder from another one put in its place. */
  readonly folders: readonly { readonly path: string; readonly inode: number }[];
  /** True when provisioning made nothing else. */
  readonly whole: boolean;
}

export interface SlotCall {
  readonly run: string;
  readonly key: string;
  readonly sandboxed: boolean;
  readonly most: number;
  /** Whether the ledger knows a run. */
  readonly known: (run: string) => boolean;
}

const NAME = /^slot-(\d+)$/;
export const recordFile = (dir: string): string => `${dir}.json`;
export const indexFile = (dir: string): string => `${dir}.index`;
/** Where tools write the caches that they would put into a kept dependency folder. */
export const cachesFolder = (dir: string): string => `${dir}.caches`;

export function readSlot(dir: string): SlotRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(recordFile(dir), 'utf8')) as SlotRecord;
    return record.version === 1 ? record : undefined;
  } catch {
    return undefined;
  }
}

export function writeSlot(dir: string, record: SlotRecord): void {
  mkdirSync(dirname(dir), { recursive: true, mode: 0o700 });
  const temporary = `${recordFile(dir)}.${process.pid}.tmp`;
  writeFileSync(temporary, JSON.stringify(record), { mode: 0o600 });
  renameSync(temporary, recordFile(dir));
}

/** True when the worktree in this folder is this run's, and not one that another run has by now. A run from elsewhere has none. */
export const holdsSlot = (run: { readonly id: string; readonly dir: string }): boolean =>
  run.dir !== '' && readSlot(run.dir)?.run === run.id;

/** The folder that a run would get now: a parked one with the same dependencies, any parked one, or a new one. */
export function nextSlot(folder: string, call: SlotCall): string {
  const names = existsSync(folder) ? readdirSync(folder).map((name) => name.replace(/\..*$/, '')) : [];
  const numbers = [...new Set(names)].flatMap((name) => NAME.exec(name)?.[1] ?? []).map(Number);
  const free = numbers
    .sort((left, right) => left - right)
    .map((number) => join(folder, `slot-${number}`))
    .filter((dir) => isFree(dir, call.known));
  const same = free.find((dir) => readSlot(dir)?.kept?.key === call.key);
  const first = numbers.findIndex((number, index) => number !== index + 1);
  return same ?? free[0] ?? join(folder, `slot-${(first < 0 ? numbers.length : first) + 1}`);
}

/** Parked; or claimed by a process that died before its run was on record. One with files in it may be a lost run's. */
function isFree(dir: string, known: SlotCall['known']): boolean {
  const record = readSlot(dir);
  if (record === undefined) return false;
  if (record.run === undefined) return true;
  const { pid, ...rest } = record;
  const owned = pid !== undefined && ownerLives({ ...rest, pid });
  if (owned || known(record.run)) return false;
  return record.clean === true || !existsSync(dir) || isJudge(record.run);
}

const JUDGE = '.judge';
/** The owner of the slot in which a run is judged: it belongs to its process, and nobody works there. */
export const judgeOwner = (run: string): string => `${run}${JUDGE}`;
const isJudge = (owner: string): boolean => owner.endsWith(JUDGE);

/**
 * git's own folder of a worktree: named after the last part of its path, with a number where that is another's. For one
 * that is not there (yet), the folder that it would get.
 */
export function gitFolderOf(commonDir: string, dir: string): string {
  const folder = join(commonDir, 'worktrees');
  const usual = join(folder, basename(dir));
  // git writes down where it really lies.
  const above = dirname(dir);
  const wanted = join(existsSync(above) ? realpathSync(above) : above, basename(dir), '.git');
  if (leadsTo(usual) === wanted || !existsSync(folder)) return usual;
  const names = readdirSync(folder).map((name) => join(folder, name));
  const found = names.find((path) => leadsTo(path) === wanted);
  if (found !== undefined) return found;
  let free = usual;
  for (let count = 1; existsSync(leadsTo(free)); count++) free = `${usual}${count}`;
  return free;
}

/** The `.git` file of the worktree that a folder of git's belongs to; empty where it tells none. */
function leadsTo(folder: string): string {
  const file = join(folder, 'gitdir');
  return existsSync(file) ? readFileSync(file, 'utf8').replace(/\n$/, '') : '';
}

/** The index as git wrote it, before anybody worked here. Its own time stays: files as young as it are compared whole. */
export function keepIndex(commonDir: string, dir: string): void {
  copyIndex(join(gitFolderOf(commonDir, dir), 'index'), indexFile(dir));
}

export function copyIndex(from: string, to: string): void {
  const { mtimeMs } = statSync(from);
  copyFileSync(from, `${to}.tmp`);
  utimesSync(`${to}.tmp`, Math.floor(mtimeMs - 1) / 1000, Math.floor(mtimeMs - 1) / 1000);
  renameSync(`${to}.tmp`, to);
}

/** A copy of that index for a comparison of ours; false when there is none. */
export function lendIndex(dir: string, to: string): boolean {
  if (!existsSync(indexFile(dir))) return false;
  copyIndex(indexFile(dir), to);
  return true;
}

/** The folders of all slots that are on record. */
export const slotsIn = (folder: string): string[] =>
  (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => name.endsWith('.json'))
    .map((name) => join(folder, name.slice(0, -5)));

export const isParked = (dir: string): boolean => {
  const record = readSlot(dir);
  return record !== undefined && record.run === undefined;
};

/** The kept folders that still are what provisioning made; when one is not, none is. */
export function intact(dir: string): string[] {
  const folders = readSlot(dir)?.kept?.folders ?? [];
  const same = folders.every(({ path, inode }) => {
    const stat = lstatSync(onDisk(dir, path), { throwIfNoEntry: false });
    return stat?.isDirectory() === true && stat.ino === inode;
  });
  return same ? folders.map(({ path }) => path) : [];
}
