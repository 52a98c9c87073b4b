import { createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { execa } from 'execa';
import { endGroup, MARKER, sweep } from './kill.ts';
import { Tail } from './lines.ts';
import { timerMs } from './timer.ts';

/** How a process ended. No exit code is never success. */
export type Ending =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signalled'; readonly signal: string }
  | { readonly kind: 'not-started'; readonly reason: string };

export interface ProcessCall {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Marks every descendant, so that none outlives the call. */
  readonly marker: string;
  /** Its time limit in milliseconds; as long as a timer can wait (24 days) at most. */
  readonly wallMs: number;
  readonly graceMs?: number;
  readonly stdoutFile: string;
  readonly stderrFile: string;
  /** Bytes written to each file at most; the rest is counted and dropped. */
  readonly fileCap?: number;
  readonly onStdout?: (chunk: Buffer) => void;
  readonly signal?: AbortSignal;
  /** Called once it runs, with what ends it. */
  readonly onStart?: (stop: Stop) => void;
  /** What it reads as its stdin; nothing when there is none. */
  readonly stdinFile?: string;
  /** What asks it to end in good order. */
  readonly stopSignal?: 'SIGTERM' | 'SIGINT';
  /** Its stdin is a pipe that stays open while this process lives. */
  readonly lifeline?: boolean;
}

export interface ProcessEnd {
  readonly ending: Ending;
  /** Why we ended it, when we did. */
  readonly cause: StopCause | undefined;
  readonly durationMs: number;
  readonly stdoutTail: string;
  readonly stderrTail: string;
  /** Processes that were still there afterwards and had to be ended. */
  readonly survivors: number;
}

/** Why a program was ended by us. `finished`: it had done its work and did not leave. `failed`: a defect in who reads it. */
export type StopCause =
  | 'deadline'
  | 'cancelled'
  | 'first-output'
  | 'idle'
  | 'steps'
  | 'output'
  | 'disk'
  | 'retry'
  | 'finished'
  | 'failed';

/** Ends the program; with an error, the call rejects with it once the program is gone. */
export type Stop = (cause: StopCause, error?: unknown) => void;

/** Starts a program and tells how it ended: `runProcess`, or the same inside a sandbox. */
export type Runner = (
  call: ProcessCall,
) => Promise<ProcessEnd & { readonly denied?: readonly string[]; readonly closed?: readonly string[] }>;

const TAIL = 64 * 1024;
/** Bytes that may wait for the disk while the pipe is read on. */
const BUFFER = 16 * 1024 * 1024;

/**
 * Starts one program in a group of its own and returns how it ended; never rejects for what the program does. What a
 * callback throws ends this program, and rejects this call alone.
 */
export async function runProcess(call: ProcessCall): Promise<ProcessEnd> {
  const started = performance.now();
  const child = execa(call.file, [...call.args], {
    cwd: call.cwd,
    env: { ...call.env, [MARKER]: call.marker },
    extendEnv: false,
    reject: false,
    buffer: false,
    stdin: call.lifeline === true ? 'pipe' : call.stdinFile === undefined ? 'ignore' : { file: call.stdinFile },
    detached: true,
    stripFinalNewline: false,
  });
  let cause: ProcessEnd['cause'];
  let ended: Promise<void> | undefined;
  let defect: { error: unknown } | undefined;
  const stop: Stop = (why, error) => {
    if (why === 'failed') defect ??= { error };
    if (cause !== undefined || child.pid === undefined) return;
    cause = why;
    ended = endGroup(child.pid, call.graceMs ?? 3500, call.stopSignal);
  };
  const timer = setTimeout(() => stop('deadline'), timerMs(call.wallMs));
  const onAbort = (): void => stop('cancelled');
  if (call.signal?.aborted === true) onAbort();
  call.signal?.addEventListener('abort', onAbort, { once: true });
  guarded(stop, () => call.onStart?.(stop));
  const each = (chunk: Buffer): void => guarded(stop, () => call.onStdout?.(chunk));
  const out = drain(child.stdout, call.stdoutFile, call.fileCap, each);
  const err = drain(child.stderr, call.stderrFile, call.fileCap);
  const node = child.nodeChildProcess;
  const exit = new Promise<void>((done) => node.once('exit', () => done()));
  await Promise.race([child, exit]);
  clearTimeout(timer);
  await ended;
  // A descendant that inherited the pipes would hold them open: it is ended before they are awaited.
  const survivors = await sweep(call.marker);
  const result = await child;
  call.signal?.removeEventListener('abort', onAbort);
  const [stdoutTail, stderrTail] = await Promise.all([out, err]);
  if (defect !== undefined) throw defect.error;
  return {
    ending: endingOf(result),
    cause,
    durationMs: Math.round(performance.now() - started),
    stdoutTail,
    stderrTail,
    survivors: survivors.length,
  };
}

/** Whatever is thrown here ends one program, never the process. */
export function guarded(stop: Stop, work: () => void): void {
  try {
    work();
  } catch (error) {
    stop('failed', error);
  }
}

function endingOf(result: { exitCode?: number; signal?: string; cause?: unknown }): Ending {
  if (result.exitCode !== undefined) return { kind: 'exited', code: result.exitCode };
  if (result.signal !== undefined) return { kind: 'signalled', signal: result.signal };
  return { kind: 'not-started', reason: result.cause instanceof Error ? result.cause.message : 'unknown' };
}

/** Reads a stream to its end into a file, with back pressure; resolves to its tail. */
async function drain(
  stream: Readable,
  path: string,
  cap = Number.POSITIVE_INFINITY,
  each?: (chunk: Buffer) => void,
): Promise<string> {
  const file = createWriteStream(path, { flags: 'a', highWaterMark: BUFFER });
  const failed = new Promise<void>((done) => file.once('error', () => done()));
  const tail = new Tail(TAIL);
  let written = 0;
  let broken = false;
  void failed.then(() => {
    broken = true;
  });
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      tail.push(chunk);
      each?.(chunk);
      if (written >= cap || broken) continue;
      written += chunk.length;
      if (!file.write(chunk))
        await Promise.race([new Promise<void>((done) => file.once('drain', () => done())), failed]);
    }
  } catch {
    // The pipe broke because the program ended: what was read counts.
  }
  await Promise.race([new Promise<void>((done) => file.end(() => done())), failed]);
  return tail.toString();
}
