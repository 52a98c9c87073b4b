import {
  type AgentEvent,
  type Failure,
  type FailureKind,
  type Flavour,
  type Invocation,
  type InvocationInput,
  QUOTA,
} from './flavour.ts';

/**
 * kimi-cli, the older client: `kimi --print --output-format stream-json`, the prompt on stdin, limits by flags, its home
 * by `KIMI_SHARE_DIR`. Discontinued; written from what was seen of 1.49 (docs/flavours.md) and shown by fixtures.
 */
export const kimiCli: Flavour = { name: 'kimi-cli', stopSignal: 'SIGINT', build, readLine, failure };

function build(input: InvocationInput): Invocation {
  const args = [
    '--print',
    '--output-format',
    'stream-json',
    '--max-steps-per-turn',
    String(input.steps),
    '--max-retries-per-step',
    String(input.attempts),
    // An unknown id makes that session, so the run's own name serves for resuming too.
    '--session',
    input.session ?? input.run,
  ];
  if (input.model !== undefined) args.push('-m', input.model);
  return {
    args,
    env: { KIMI_SHARE_DIR: input.home, KIMI_CLI_NO_AUTO_UPDATE: '1' },
    stdinFile: input.brief,
    session: input.session ?? input.run,
  };
}

/** Content is a string or a list of blocks; objects without a role are notices; plain text is an error's wrapping. */
function readLine(line: string): AgentEvent[] {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return [{ kind: 'unreadable', bytes: Buffer.byteLength(line) }];
  }
  if (typeof json !== 'object' || json === null) return [{ kind: 'unreadable', bytes: Buffer.byteLength(line) }];
  const record = json as { role?: unknown; content?: unknown; tool_calls?: unknown };
  if (record.role === 'tool') return [{ kind: 'tool-result' }];
  if (record.role !== 'assistant') return [];
  const text = textOf(record.content);
  const calls = Array.isArray(record.tool_calls) ? record.tool_calls.map(callOf) : [];
  return text === '' ? calls : [{ kind: 'text', text }, ...calls];
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((block: { type?: unknown; text?: unknown }) =>
      block?.type === 'text' && typeof block.text === 'string' ? block.text : '',
    )
    .join('');
}

function callOf(call: { function?: { name?: unknown; arguments?: unknown } }): AgentEvent {
  const { name, arguments: input } = call?.function ?? {};
  return { kind: 'tool-call', tool: textOf(name), detail: textOf(input).slice(0, 200) };
}

const FAILURES: readonly [RegExp, FailureKind][] = [
  [/ContextOverflow|context length|maximum context|compaction\.failed/i, 'context'],
  [/Max number of steps reached/i, 'step-limit'],
  [new RegExp(`${QUOTA.source}|Error code: 402`, 'i'), 'quota'],
  [/Error code: 40[13]|LLM not set|not logged in|refresh token/i, 'auth'],
  [/Error code: 429/i, 'rate-limit'],
  [/Connection error|timed? ?out|ECONNREFUSED/i, 'network'],
  [/Error code: 5\d\d/i, 'server'],
];

/** Errors are plain text on stdout, wrapped at 80 columns between the JSON lines. Exit 75 means: try again later. */
function failure(stdoutTail: string, stderrTail: string, code: number): Failure {
  const plain = stdoutTail
    .split('\n')
    .filter((line) => !line.startsWith('{') && !line.startsWith('['))
    .join(' ')
    .replace(/ +/g, ' ')
    .trim();
  const text = (plain === '' ? (stderrTail.trim().split('\n').at(-1) ?? '') : plain).slice(-500);
  const kind = FAILURES.find(([pattern]) => pattern.test(text))?.[1] ?? (code === 75 ? 'server' : 'crashed');
  return { kind, text };
}
