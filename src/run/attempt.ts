import { join } from 'node:path';
import type { Outcome } from '../errors.ts';
import type { AgentEvent, Failure, Flavour, Invocation } from '../flavour/flavour.ts';
import { LineSplitter } from '../process/lines.ts';
import type { ProcessEnd, Runner } from '../process/run.ts';

export interface AttemptCall {
  readonly file: string;
  readonly flavour: Flavour;
  readonly invocation: Invocation;
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly marker: string;
  readonly folder: string;
  readonly wallMs: number;
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
  /** The last words without a tool call, capped. */
  readonly words: string;
  readonly unreadable: number;
  readonly end: ProcessEnd & { readonly denied?: readonly string[] };
}

const WORDS = 200_000;
const STREAM_CAP = 2 * 1024 * 1024 * 1024;

/** Starts Kimi once, reads its stream, and says how it ended. */
export async function runAttempt(call: AttemptCall): Promise<Attempt> {
  const seen = {
    steps: 0,
    session: undefined as string | undefined,
    version: undefined as string | undefined,
    words: '',
    unreadable: 0,
  };
  const take = (event: AgentEvent): void => {
    if (event.kind === 'session') seen.session = event.id;
    else if (event.kind === 'version') seen.version = event.version;
    else if (event.kind === 'text') seen.words = event.text.slice(-WORDS);
    else if (event.kind === 'unreadable') seen.unreadable += 1;
    call.onEvent?.(event, seen.steps);
  };
  const lines = new LineSplitter((line) => {
    const events =
      line === undefined ? [{ kind: 'unreadable', bytes: 0 } as const] : call.flavour.readLine(line.toString('utf8'));
    if (events.some((event) => event.kind === 'tool-call' || event.kind === 'text')) seen.steps += 1;
    for (const event of events) take(event);
  });
  const end = await call.run({
    file: call.file,
    args: call.invocation.args,
    cwd: call.dir,
    env: { ...call.env, ...call.invocation.env },
    marker: call.marker,
    wallMs: call.wallMs,
    stdoutFile: join(call.folder, 'stream.ndjson'),
    stderrFile: join(call.folder, 'stderr.log'),
    fileCap: STREAM_CAP,
    onStdout: (chunk) => lines.push(chunk),
    ...(call.signal === undefined ? {} : { signal: call.signal }),
  });
  lines.end();
  return { ...seen, end, ...judge(call.flavour, end) };
}

function judge(flavour: Flavour, end: ProcessEnd): Pick<Attempt, 'outcome' | 'failure'> {
  if (end.cause === 'deadline') return { outcome: 'deadline', failure: undefined };
  if (end.cause === 'cancelled') return { outcome: 'cancelled', failure: undefined };
  if (end.ending.kind === 'exited' && end.ending.code === 0) return { outcome: undefined, failure: undefined };
  if (end.ending.kind === 'not-started')
    return { outcome: 'agent-failed', failure: { kind: 'crashed', text: end.ending.reason } };
  if (end.ending.kind === 'signalled')
    return { outcome: 'agent-failed', failure: { kind: 'crashed', text: `ended by ${end.ending.signal}` } };
  const failure = flavour.failure(end.stdoutTail, end.stderrTail);
  return { outcome: failure.kind === 'step-limit' ? 'step-limit' : 'agent-failed', failure };
}
