import { readFileSync, readlinkSync } from 'node:fs';

/** True when a process with this id is there and at work; one that only waits for its parent to take note is not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return fields(pid)?.[0] !== 'Z';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** When a process started, in the system's own ticks; process ids are used again, this pair is not. Linux only. */
export function startOf(pid: number): string | undefined {
  return fields(pid)?.[19];
}

/** The fields of `/proc/<pid>/stat` behind the name, which may hold anything: the state first, the start as the 20th. */
function fields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

export interface Owner {
  readonly pid: number;
  readonly start?: string;
  /** The pid namespace: in a container the same id is another process. */
  readonly ns?: string;
}

/** This process as an owner of locks and runs. */
export function ownerHere(): Owner {
  const start = startOf(process.pid);
  const ns = namespaceHere();
  return { pid: process.pid, ...(start === undefined ? {} : { start }), ...(ns === undefined ? {} : { ns }) };
}

/** Linux only. */
function namespaceHere(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return undefined;
  }
}

/** False for an owner in another pid namespace: whether it lives cannot be seen from here. */
export function ownerVisible(owner: Owner): boolean {
  const here = owner.ns === undefined ? undefined : namespaceHere();
  return here === undefined || owner.ns === here;
}

/** True while the very process that the owner names is there, and for one that cannot be seen from here. */
export function ownerLives(owner: Owner): boolean {
  if (!ownerVisible(owner)) return true;
  if (!isAlive(owner.pid)) return false;
  const start = owner.start === undefined ? undefined : startOf(owner.pid);
  return start === undefined || start === owner.start;
}

export const sameOwner = (left: Owner | undefined, right: Owner | undefined): boolean =>
  left?.pid === right?.pid && left?.start === right?.start && left?.ns === right?.ns;
