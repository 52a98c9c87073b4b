import { describe, expect, it } from 'vitest';
import { flavourOf } from '../../src/flavour/flavour.ts';
import { kimiCode } from '../../src/flavour/kimi-code.ts';

// Lines as kimi-code 2.1.0 writes them.
const LINES: [string, unknown[]][] = [
  ['{"role":"meta","type":"system.version","version":"2.1.0"}', [{ kind: 'version', version: '2.1.0' }]],
  [
    '{"role":"assistant","content":"I will.","tool_calls":[{"type":"function","id":"c","function":{"name":"Write","arguments":"{}"}}]}',
    [
      { kind: 'text', text: 'I will.' },
      { kind: 'tool-call', tool: 'Write', detail: '{}' },
    ],
  ],
  ['{"role":"tool","tool_call_id":"c","content":"x"}', [{ kind: 'tool-result' }]],
  ['{"role":"assistant","content":"Done."}', [{ kind: 'text', text: 'Done.' }]],
  [
    '{"role":"meta","type":"turn.step.retrying","failed_attempt":1,"delay_ms":608.26,"error_message":"429"}',
    [{ kind: 'retry', attempt: 1, delayMs: 608.26, reason: '429' }],
  ],
  ['{"role":"meta","type":"session.resume_hint","session_id":"session_1"}', [{ kind: 'session', id: 'session_1' }]],
  ['{"type":"goal.summary","goalId":"g"}', []],
  ['{"type":"session.resume_hint","session_id":{"toString":1}}', []],
  ['{"type":"session.resume_hint","session_id":"--config=x"}', []],
  ['{"type":"system.version","version":{"toString":1}}', []],
  ['not json', [{ kind: 'unreadable', bytes: 8 }]],
  ['[1,2]', [{ kind: 'unreadable', bytes: 5 }]],
  ['{"role":"assistant","content":7}', [{ kind: 'unreadable', bytes: 32 }]],
  ['{"role":"tool"}', [{ kind: 'unreadable', bytes: 15 }]],
];

describe('the stream of kimi-code', () => {
  it.each(LINES)('%s', (line, events) => {
    expect(kimiCode.readLine(line)).toEqual(events);
  });
});

describe('failures, from the last lines of stderr', () => {
  const table: [string, string][] = [
    ['error: failed to run prompt: loop.max_steps_exceeded: Turn exceeded maxSteps=3', 'step-limit'],
    ['error: failed to run prompt: provider.auth_error: 401 bad key', 'auth'],
    [
      "error: failed to run prompt: provider.auth_error: 403 You've reached your usage limit for this billing cycle",
      'quota',
    ],
    ['error: failed to run prompt: provider.rate_limit: 429 slow down', 'rate-limit'],
    ['error: failed to run prompt: provider.rate_limit: 429 You exceeded your current quota', 'quota'],
    ['error: failed to run prompt: provider.rate_limit: 429 insufficient_quota', 'quota'],
    ['error: failed to run prompt: provider.connection_error: connect ECONNREFUSED', 'network'],
    ['error: failed to run prompt: provider.api_error: 500 oops', 'server'],
    ['error: Provider safety policy blocked the response.', 'refused'],
    ['error: failed to run prompt: compaction.failed: APIContextOverflowError 400', 'context'],
    ['Segmentation fault', 'crashed'],
  ];
  it.each(table)('%s → %s', (stderr, kind) => {
    expect(kimiCode.failure('', `Warning: something\n${stderr}\nSee log: x\n`, 1).kind).toBe(
      kind === 'crashed' ? 'crashed' : kind,
    );
  });
});

describe('what --version says', () => {
  it.each([
    ['2.1.0\n', 'kimi-code'],
    ['kimi, version 1.49.0', 'kimi-cli'],
    ['v22.1.0', undefined],
    ['', undefined],
  ])('%j is %s', (text, flavour) => {
    expect(flavourOf(text)?.flavour).toBe(flavour);
  });
});
