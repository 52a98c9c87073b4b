import { readFileSync } from 'node:fs';

/** True when a process with this id exists, ours or not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** When a process started, in the system's own ticks; process ids are used again, this pair is not. Linux only. */
export function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in brackets may hold anything; field 22 counts from the last bracket on.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

export interface Owner {
  readonly pid: number;
  readonly start?: string;
}

/** This process as an owner of locks and runs. */
export function ownerHere(): Owner {
  const start = startOf(process.pid);
  return start === undefined ? { pid: process.pid } : { pid: process.pid, start };
}

/** True while the very process that the owner names is there. */
export function ownerLives(owner: Owner): boolean {
  if (!isAlive(owner.pid)) return false;
  const start = owner.start === undefined ? undefined : startOf(owner.pid);
  return start === undefined || start === owner.start;
}
