import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';

export interface Detached {
  readonly pid: number;
  /** Resolves with the exit code while we live; -1 when it was ended by a signal. */
  readonly exit: Promise<number>;
}

export interface DetachCall {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Its stdout and stderr. */
  readonly log: string;
}

/** Starts a program in a session of its own, so that it outlives its starter and the starter's terminal. */
export function detach(call: DetachCall): Detached {
  mkdirSync(dirname(call.log), { recursive: true, mode: 0o700 });
  const log = openSync(call.log, 'a', 0o600);
  const child = spawn(call.file, [...call.args], {
    cwd: call.cwd,
    env: { ...call.env },
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const exit = new Promise<number>((done) => {
    child.once('error', () => done(-1));
    child.once('exit', (code) => done(code ?? -1));
  });
  child.unref();
  return { pid: child.pid ?? -1, exit };
}
