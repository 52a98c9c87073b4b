import { kimiCli } from '../../src/flavour/kimi-cli.ts';
import { kimiCode } from '../../src/flavour/kimi-code.ts';
import { fold, type RunEvent } from '../../src/ledger/events.ts';
import { readReport } from '../../src/run/report.ts';
import { specSchema } from '../../src/spec/model.ts';
import { parseSpec } from '../../src/spec/parse.ts';
import { fromPlan } from '../../src/spec/plan/from-plan.ts';

const SEEDS: Record<string, string[]> = {
  stream: [
    '{"role":"assistant","content":"x","tool_calls":[{"type":"function","id":"c","function":{"name":"Write","arguments":"{}"}}]}',
    '{"role":"meta","type":"turn.step.retrying","failed_attempt":1,"delay_ms":500,"error_message":"429"}',
    '{"role":"tool","tool_call_id":"c","content":[{"type":"text","text":"x"}]}',
  ],
  spec: [
    '# Spec: 001 -- T\nLimits: steps 5\n\n## Tasks\n\n### Task 1: X [INDEPENDENT]\nFiles:\n- MODIFY a.ts\nRequirements:\n- R1 x\nVerification:\n- `npm test` (timeout 2m, baseline fail)\nDone when:\n- R1 <- V1\n\n## Verification\n```sh\nnpm test\n```\n',
  ],
  plan: [
    '# Plan\n\n1. Change `src/a.ts`\n   - remove `b.py`\n2. Create **c.go**\n\n## Verification\n- `go test ./...`\n\n| a | b |\n|---|---|\n| x | y |\n',
  ],
  ledger: [
    '{"t":"2026-01-01T00:00:00Z","type":"run-started","v":1,"id":"a","title":"t","pid":1}',
    '{"t":"x","type":"run-ended","outcome":"succeeded"}',
  ],
  report: [
    'Done.\n```json\n{"worker_id":"k","task_id":"1","status":"done","result":{"summary":"s","files_modified":["a"],"notes":null}}\n```',
    'status: done\nresult:\n  summary: x\n',
  ],
};
const FACTS = {
  root: '/',
  name: 'x',
  files: new Map([['src/a.ts', '100644']]),
  untracked: new Set<string>(),
  manifests: new Map<string, string>(),
};

const TRY: Record<string, (text: string) => unknown> = {
  stream: (text) => text.split('\n').map((line) => [kimiCode.readLine(line), kimiCli.readLine(line)]),
  spec: (text) => specSchema.parse(parseSpec(text).spec),
  plan: (text) => fromPlan(text, FACTS, '001'),
  ledger: (text) =>
    fold(
      text.split('\n').flatMap((line) => {
        try {
          const event = JSON.parse(line) as RunEvent;
          return typeof event === 'object' && event !== null && typeof event.type === 'string' ? [event] : [];
        } catch {
          return [];
        }
      }),
    ),
  report: (text) => readReport(text),
};
const BITS = [
  '\0',
  '\n',
  '\r',
  '`',
  '```',
  '"',
  '{',
  '}',
  '[',
  ']',
  '- ',
  '# ',
  '\u2028',
  '\ud800',
  '../',
  '~',
  '|',
  ':',
  '<!--',
  'null',
  '1e999',
  '__proto__',
  '\\u0000',
  '\t',
  '** ',
  '(',
  ')',
];

/** Feeds mutated input to everything that reads strangers' text. Returns what was thrown, which must be nothing. */
export function fuzz(times: number, random: () => number): { tried: number; crashes: string[] } {
  const crashes: string[] = [];
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const kinds = Object.keys(SEEDS);
  for (let count = 0; count < times; count++) {
    const kind = kinds[count % kinds.length] as string;
    let text = pick(SEEDS[kind] ?? []);
    for (let edit = 1 + Math.floor(random() * 6); edit > 0; edit--) {
      const at = Math.floor(random() * (text.length + 1));
      const end = at + Math.floor(random() * 12);
      const bit = random() < 0.2 ? String.fromCharCode(Math.floor(random() * 65536)) : pick(BITS);
      text = random() < 0.15 ? text + text.slice(at) : text.slice(0, at) + bit + text.slice(random() < 0.5 ? at : end);
    }
    try {
      TRY[kind]?.(text);
    } catch (error) {
      crashes.push(`${kind}: ${String(error).slice(0, 120)} for ${JSON.stringify(text).slice(0, 300)}`);
    }
  }
  return { tried: times, crashes };
}
