import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Ended, Lab } from '../repo.ts';
import { pause } from '../until.ts';
import type { Kill } from './script.ts';

/** Processes below one that we started, the deepest last. */
function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc'))
    if (/^\d+$/.test(name))
      try {
        const parent = Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8'))?.[1]);
        children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
      } catch {
        // It ended while we looked.
      }
  const below = (one: number): number[] => (children.get(one) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(pid);
}

export function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** A git that kills who called it, at its n-th call or at one with these arguments: before, while or after the real one works. */
function shim(folder: string, kill: Extract<Kill, { git: number | string }>): string {
  const bin = join(folder, 'shim');
  rmSync(bin, { recursive: true, force: true });
  mkdirSync(bin);
  const real = (process.env.PATH ?? '')
    .split(delimiter)
    .map((part) => join(part, 'git'))
    .find((file) => existsSync(file));
  const act = {
    before: 'kill -9 $PPID; exit 1',
    during: `"${real}" "$@" & sleep 0.004; kill -9 $PPID $!; exit 1`,
    after: `"${real}" "$@"; kill -9 $PPID; exit 1`,
  }[kill.when];
  const now =
    typeof kill.git === 'number'
      ? `[ "$(wc -l < '${bin}/calls')" -eq ${kill.git} ]`
      : `expr " $* " : '.* ${kill.git} ' > /dev/null`;
  const text = `#!/bin/sh\necho x >> '${bin}/calls'\n${now} && { : > '${bin}/hit'; ${act}; }\nexec "${real}" "$@"\n`;
  writeFileSync(join(bin, 'git'), text);
  chmodSync(join(bin, 'git'), 0o755);
  return bin;
}

const HANG_MS = 90_000;

export interface Played extends Ended {
  /** True when the command was killed as the script wanted; false when it ended before. */
  readonly killed: boolean;
  readonly hung: boolean;
}

/** Runs the program, and kills it where the script says so; what it started is ended before this returns. */
export async function play(lab: Lab, args: readonly string[], kill?: Kill): Promise<Played> {
  let [killed, hung, pid] = [false, false, 0];
  const end = (children: boolean): void => {
    const below = descendants(pid);
    killProcess(pid);
    if (children) below.forEach(killProcess);
  };
  const bin = kill !== undefined && 'git' in kill ? shim(lab.folder, kill) : undefined;
  const stop = (children: boolean, why: 'killed' | 'hung'): void => {
    if (why === 'killed') killed = true;
    else hung = true;
    end(children);
  };
  const timers = [setTimeout(stop, HANG_MS, true, 'hung')];
  const ended = await lab.run(args, {
    env: bin === undefined ? {} : { PATH: `${bin}${delimiter}${lab.env.PATH}` },
    after: (started) => {
      pid = started;
      if (kill !== undefined && 'ms' in kill) timers.push(setTimeout(stop, kill.ms, kill.children, 'killed'));
    },
  });
  for (const timer of timers) clearTimeout(timer);
  if (bin !== undefined) killed = existsSync(join(bin, 'hit'));
  if (ended.code !== null) killed = false;
  // A git whose parent is gone works on for a moment.
  if (killed) await pause(150);
  return { ...ended, killed, hung };
}
