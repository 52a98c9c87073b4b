import { z } from 'zod';
import {
  type AgentEvent,
  type Failure,
  type FailureKind,
  type Flavour,
  type Invocation,
  type InvocationInput,
  QUOTA,
} from './flavour.ts';

const call = z.looseObject({ function: z.looseObject({ name: z.string(), arguments: z.string().optional() }) });
const assistantRecord = z.looseObject({
  role: z.literal('assistant'),
  content: z.string().optional(),
  tool_calls: z.array(call).optional(),
});
const otherRecord = z.looseObject({ role: z.literal('meta').optional(), type: z.string() });
const retry = z.looseObject({ failed_attempt: z.number(), delay_ms: z.number(), error_message: z.string().optional() });

const ID = /^\w[\w.:-]{0,199}$/;

/** kimi-code 2.x: `kimi -p TEXT --output-format stream-json`, limits by environment, one home per run. */
export const kimiCode: Flavour = { name: 'kimi-code', stopSignal: 'SIGTERM', build, readLine, failure };

function build(input: InvocationInput): Invocation {
  // A short prompt that names a file: 400 KB would not fit on a command line, and text must not begin with "/".
  const prompt = `Read the file ${input.brief} completely (in parts if it is long) and do what it says.`;
  const args = ['-p', prompt, '--output-format', 'stream-json'];
  if (input.model !== undefined) args.push('-m', input.model);
  if (input.session !== undefined) args.push('-S', input.session);
  const env = {
    KIMI_CODE_HOME: input.home,
    KIMI_LOOP_MAX_STEPS_PER_TURN: String(input.steps),
    KIMI_LOOP_MAX_ATTEMPTS_PER_STEP: String(input.attempts),
    KIMI_DISABLE_TELEMETRY: '1',
    KIMI_DISABLE_CRON: '1',
    KIMI_CODE_NO_AUTO_UPDATE: '1',
    KIMI_CODE_BACKGROUND_PRINT_BACKGROUND_MODE: 'exit',
    ...(input.compileCache === undefined ? {} : { NODE_COMPILE_CACHE: input.compileCache }),
  };
  return { args, env };
}

/** Reads one line of the stream; a line that is no record is an event, never an exception. */
function readLine(line: string): AgentEvent[] {
  const unreadable: AgentEvent[] = [{ kind: 'unreadable', bytes: Buffer.byteLength(line) }];
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return unreadable;
  }
  const role = typeof json === 'object' && json !== null ? (json as { role?: unknown }).role : undefined;
  // The role picks the schema: trying a union in turn costs more than the parsing of the line, and a tool's
  // result (most of a stream's bytes) needs no copy to be known.
  if (role === 'assistant') {
    const parsed = assistantRecord.safeParse(json);
    return parsed.success ? assistant(parsed.data) : unreadable;
  }
  if (role === 'tool')
    return typeof (json as { tool_call_id?: unknown }).tool_call_id === 'string'
      ? [{ kind: 'tool-result' }]
      : unreadable;
  const parsed = otherRecord.safeParse(json);
  return parsed.success ? other(parsed.data) : unreadable;
}

function other(data: Record<string, unknown>): AgentEvent[] {
  if (data.type === 'system.version' && typeof data.version === 'string')
    return [{ kind: 'version', version: data.version.slice(0, 100) }];
  // Its id becomes an argument of the next start.
  if (data.type === 'session.resume_hint' && typeof data.session_id === 'string' && ID.test(data.session_id))
    return [{ kind: 'session', id: data.session_id }];
  const again = data.type === 'turn.step.retrying' ? retry.safeParse(data) : undefined;
  if (again?.success !== true) return [];
  const { failed_attempt: attempt, delay_ms: delayMs, error_message: reason = '' } = again.data;
  return [{ kind: 'retry', attempt, delayMs, reason }];
}

function assistant(data: z.infer<typeof assistantRecord>): AgentEvent[] {
  const calls = data.tool_calls ?? [];
  const text = data.content ?? '';
  const events: AgentEvent[] = calls.map((item) => ({
    kind: 'tool-call',
    tool: item.function.name,
    detail: (item.function.arguments ?? '').slice(0, 200),
  }));
  return text === '' ? events : [{ kind: 'text', text }, ...events];
}

const FAILURES: readonly [RegExp, FailureKind][] = [
  [/ContextOverflow|context length|maximum context|compaction\.failed/i, 'context'],
  [/loop\.max_steps_exceeded/, 'step-limit'],
  [new RegExp(`${QUOTA.source}|: 402 `, 'i'), 'quota'],
  [/provider\.auth_error|no credential configured|No model configured|login_required|refresh token/i, 'auth'],
  [/provider\.rate_limit|: 429 /, 'rate-limit'],
  [/safety policy/i, 'refused'],
  [/provider\.connection_error|ECONNREFUSED|ENOTFOUND|fetch failed/i, 'network'],
  [/provider\.api_error: 5\d\d|provider\.api_error/, 'server'],
];

/** Kimi exits 1 for everything: the last `error:` line of stderr says which (facts: kimi-code 2.1.0). */
function failure(_stdoutTail: string, stderrTail: string): Failure {
  const lines = stderrTail.split('\n').filter((line) => line.startsWith('error:') || line.includes('error: failed'));
  const text = (lines.at(-1) ?? stderrTail.trim().split('\n').at(-1) ?? '').trim();
  const kind = FAILURES.find(([pattern]) => pattern.test(text))?.[1] ?? 'crashed';
  return { kind, text: text.slice(0, 500) };
}
