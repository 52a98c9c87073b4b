import { readdirSync, readFileSync } from 'node:fs';

/** The variable that every process of a run inherits; its value is the run id and the part of the run: `ID/kimi`. */
export const MARKER = 'KIMI_DISPATCH_RUN';

const sleep = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));

function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** True while a process with this pid exists. */
export const alive = (pid: number): boolean => signal(pid, 0);

/**
 * Pids whose environment carries the marker, or that of a part of it. Linux only (`/proc`); elsewhere the list is empty
 * and what could not be looked for is said by `canSweep`.
 */
export function marked(value: string): number[] {
  const needle = `${MARKER}=${value}`;
  const isOurs = (entry: string): boolean => entry === needle || entry.startsWith(`${needle}/`);
  const found: number[] = [];
  for (const name of list('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    try {
      if (readFileSync(`/proc/${name}/environ`, 'latin1').split('\0').some(isOurs)) found.push(Number(name));
    } catch {
      // The process ended meanwhile, or belongs to somebody else.
    }
  }
  return found;
}

export const canSweep = process.platform === 'linux';

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/**
 * Ends a process group: TERM, `graceMs` to leave, then KILL. The leader is signalled first and alone, because
 * Kimi ends its tools itself on TERM, each of which has a session of its own.
 */
export async function endGroup(pid: number, graceMs: number, first: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  signal(pid, first);
  const until = performance.now() + graceMs;
  while (performance.now() < until && alive(pid)) await sleep(25);
  signal(-pid, 'SIGKILL');
  signal(pid, 'SIGKILL');
}

/** Ends everything that carries the marker; looks again until nothing is left. Returns what was found. */
export async function sweep(value: string): Promise<number[]> {
  const ended = new Set<number>();
  for (let round = 0; round < 20; round++) {
    const left = marked(value);
    if (left.length === 0) break;
    for (const pid of left) {
      ended.add(pid);
      signal(pid, 'SIGKILL');
    }
    await sleep(20);
  }
  return [...ended];
}
