import { join } from 'node:path';
import type { Outcome } from '../errors.ts';
import { type AgentEvent, type Failure, type Flavour, type Invocation, QUOTA } from '../flavour/flavour.ts';
import type { WireState } from '../flavour/wire.ts';
import { folderSize } from '../process/disk.ts';
import { LineSplitter } from '../process/lines.ts';
import type { ProcessEnd, Runner, StopCause } from '../process/run.ts';
import { type AttemptLimits, Watchdog } from './limits.ts';

export interface AttemptCall {
  readonly file: string;
  readonly flavour: Flavour;
  readonly invocation: Invocation;
  readonly dir: string;
  /** The run's Kimi home, whose wire files show life and steps. */
  readonly home: string;
  /** The private folder of the sandbox, with TMPDIR in it. */
  readonly scratch?: string;
  readonly env: Readonly<Record<string, string>>;
  readonly marker: string;
  readonly folder: string;
  readonly limits: AttemptLimits;
  readonly signal?: AbortSignal;
  /** How the program is started: as it is, or inside the sandbox. */
  readonly run: Runner;
  readonly onEvent?: (event: AgentEvent, step: number) => void;
}

export interface Attempt {
  /** `undefined` when Kimi ended well: what the change is worth is decided afterwards. */
  readonly outcome: Outcome | undefined;
  readonly failure: Failure | undefined;
  readonly steps: number;
  readonly session: string | undefined;
  readonly version: string | undefined;
  readonly tokens: WireState['tokens'];
  /** The last words without a tool call, capped. */
  readonly words: string;
  readonly unreadable: number;
  readonly end: ProcessEnd & { readonly denied?: readonly string[]; readonly closed?: readonly string[] };
}

const WORDS = 200_000;
const STREAM_CAP = 2 * 1024 * 1024 * 1024;

/** Starts Kimi once, reads its stream and its wire files, and says how it ended. */
export async function runAttempt(call: AttemptCall): Promise<Attempt> {
  const watchdog = new Watchdog(call.limits, call.home, () => diskUse(call));
  const reader = new StreamReader(call, watchdog);
  const work = call.run({
    file: call.file,
    args: call.invocation.args,
    cwd: call.dir,
    env: { ...call.env, ...call.invocation.env },
    marker: call.marker,
    wallMs: call.limits.wallMs,
    stdoutFile: join(call.folder, 'stream.ndjson'),
    stderrFile: join(call.folder, 'stderr.log'),
    fileCap: STREAM_CAP,
    stopSignal: call.flavour.stopSignal,
    ...(call.invocation.stdinFile === undefined ? {} : { stdinFile: call.invocation.stdinFile }),
    onStart: (stop) => watchdog.start(stop),
    onStdout: (chunk) => reader.push(chunk),
    ...(call.signal === undefined ? {} : { signal: call.signal }),
  });
  const end = await work.finally(() => watchdog.close());
  const seen = reader.end();
  const wire = watchdog.seen;
  return {
    ...seen,
    steps: Math.max(seen.steps, wire.steps),
    session: seen.session ?? wire.session ?? call.invocation.session,
    tokens: wire.tokens,
    end,
    ...judge(call.flavour, end, reader.refused),
  };
}

/** Bytes of everything that Kimi can fill. */
const diskUse = ({ dir, home, scratch }: AttemptCall): Promise<number> =>
  folderSize(dir, home, ...(scratch === undefined ? [] : [scratch]));

/** Turns the bytes of the stream into events and keeps what the result needs. */
class StreamReader {
  readonly #call: AttemptCall;
  readonly #watchdog: Watchdog;
  readonly #lines: LineSplitter;
  #steps = 0;
  #session: string | undefined;
  #version: string | undefined;
  #words = '';
  #unreadable = 0;
  /** What the service said when it last asked for patience. */
  refused = '';

  constructor(call: AttemptCall, watchdog: Watchdog) {
    this.#call = call;
    this.#watchdog = watchdog;
    this.#lines = new LineSplitter((line) => this.#line(line));
  }

  push(chunk: Buffer): void {
    this.#watchdog.output(chunk.length);
    this.#lines.push(chunk);
  }

  end(): Pick<Attempt, 'steps' | 'session' | 'version' | 'words' | 'unreadable'> {
    this.#lines.end();
    return {
      steps: this.#steps,
      session: this.#session,
      version: this.#version,
      words: this.#words,
      unreadable: this.#unreadable,
    };
  }

  #line(line: Buffer | undefined): void {
    const events =
      line === undefined
        ? [{ kind: 'unreadable', bytes: 0 } as const]
        : this.#call.flavour.readLine(line.toString('utf8'));
    if (events.some((event) => event.kind === 'tool-call' || event.kind === 'text')) this.#steps += 1;
    for (const event of events) this.#take(event);
  }

  #take(event: AgentEvent): void {
    if (event.kind === 'session') this.#session = event.id;
    else if (event.kind === 'version') this.#version = event.version;
    else if (event.kind === 'text') this.#words = event.text.slice(-WORDS);
    else if (event.kind === 'unreadable') this.#unreadable += 1;
    else if (event.kind === 'retry') this.refused = event.reason;
    this.#watchdog.event(event);
    this.#call.onEvent?.(event, this.#steps);
  }
}

/** What an end by our own hand means. `finished` means nothing bad: the work was done. */
const STOPPED: Partial<Record<StopCause, Outcome>> = {
  deadline: 'deadline',
  cancelled: 'cancelled',
  'first-output': 'no-first-output',
  idle: 'idle-timeout',
  steps: 'step-limit',
  output: 'output-limit',
  disk: 'output-limit',
};

function judge(flavour: Flavour, end: ProcessEnd, refused: string): Pick<Attempt, 'outcome' | 'failure'> {
  const stopped = end.cause === undefined ? undefined : STOPPED[end.cause];
  if (stopped !== undefined) return { outcome: stopped, failure: undefined };
  if (end.cause === 'finished') return { outcome: undefined, failure: undefined };
  if (end.cause === 'retry')
    return {
      outcome: 'agent-failed',
      failure: QUOTA.test(refused)
        ? { kind: 'quota', text: refused.slice(0, 500) }
        : { kind: 'rate-limit', text: 'the service asked for a longer wait than the profile allows' },
    };
  if (end.ending.kind === 'exited' && end.ending.code === 0) return { outcome: undefined, failure: undefined };
  if (end.ending.kind === 'not-started')
    return { outcome: 'agent-failed', failure: { kind: 'crashed', text: end.ending.reason } };
  if (end.ending.kind === 'signalled')
    return { outcome: 'agent-failed', failure: { kind: 'crashed', text: `ended by ${end.ending.signal}` } };
  const failure = flavour.failure(end.stdoutTail, end.stderrTail, end.ending.code);
  return { outcome: failure.kind === 'step-limit' ? 'step-limit' : 'agent-failed', failure };
}
