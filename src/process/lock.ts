import { lstatSync, mkdirSync, readlinkSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { refuse } from '../errors.ts';
import { type Owner, ownerHere, ownerLives, ownerVisible, sameOwner } from './alive.ts';

export interface LockCall {
  readonly file: string;
  /** What is locked, for the refusal. */
  readonly what: string;
  readonly waitMs: number;
}

/** Runs `work` while this process owns the lock. A lock whose owner died is taken over; a living owner is waited for. */
export async function withLock<T>(call: LockCall, work: () => Promise<T>): Promise<T> {
  const until = performance.now() + call.waitMs;
  mkdirSync(dirname(call.file), { recursive: true, mode: 0o700 });
  while (!take(call.file)) {
    if (performance.now() >= until) throw locked(call);
    await new Promise((done) => setTimeout(done, 25));
  }
  try {
    return await work();
  } finally {
    release(call.file);
  }
}

function locked({ what, file }: LockCall): Error {
  const owner = readOwner(file);
  if (owner === undefined || ownerVisible(owner))
    return refuse(
      'wrong-state',
      `${what} is locked by process ${owner?.pid ?? '?'}.`,
      'Wait for it to end, then try again.',
    );
  return refuse(
    'wrong-state',
    `${what} is locked by process ${owner.pid} of another container.`,
    `Wait for it to end, then try again. If that container is gone: rm ${file}`,
  );
}

/** The lock is a symbolic link whose target names the owner: created atomically, together with its owner. */
function take(file: string): boolean {
  if (link(file)) return true;
  const owner = readOwner(file);
  // Something without an owner was released in this moment, or it is not ours and nobody will release it.
  const dead = owner === undefined ? age(file) > 5000 : !ownerLives(owner);
  if (!dead) return false;
  takeOver(file, owner);
  return link(file);
}

function link(file: string): boolean {
  try {
    symlinkSync(JSON.stringify(ownerHere()), file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

/** Removes a lock whose owner died; a living one is left alone. */
export function clearDead(file: string): void {
  const owner = readOwner(file);
  if (owner !== undefined && !ownerLives(owner)) takeOver(file, owner);
}

/** Only one process at a time removes a dead lock, and only if it is still the one that was seen. */
function takeOver(file: string, seen: Owner | undefined): void {
  const guard = `${file}.takeover`;
  try {
    writeFileSync(guard, '', { flag: 'wx' });
  } catch {
    if (age(guard) > 5000) rmSync(guard, { force: true });
    return;
  }
  try {
    const now = readOwner(file);
    if (sameOwner(now, seen)) remove(file);
  } finally {
    rmSync(guard, { force: true });
  }
}

function release(file: string): void {
  if (sameOwner(readOwner(file), ownerHere())) remove(file);
}

// Not rmSync: some releases of Node 24 leave a link whose target is not there (nodejs/node#61020).
function remove(file: string): void {
  try {
    unlinkSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function readOwner(file: string): Owner | undefined {
  try {
    const owner = JSON.parse(readlinkSync(file)) as Owner;
    return typeof owner.pid === 'number' ? owner : undefined;
  } catch {
    return undefined;
  }
}

const age = (file: string): number => {
  const stat = lstatSync(file, { throwIfNoEntry: false });
  return stat === undefined ? 0 : Date.now() - stat.mtimeMs;
};
