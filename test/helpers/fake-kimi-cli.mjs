#!/usr/bin/env node
// The older kimi-cli, as far as facts tell: block lists, notices without a role, errors as wrapped plain text on
// stdout, the session on stderr, exit 75 for what may work later.
import { readFileSync, writeFileSync } from 'node:fs';

const args = process.argv.slice(2);
const say = (record) => process.stdout.write(`${JSON.stringify(record)}\n`);
const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);

if (args[0] === '--version') {
  process.stdout.write('kimi, version 1.49.0\n');
} else if (!args.includes('--print') || option('--output-format') !== 'stream-json') {
  process.stderr.write('Error: no such usage\n');
  process.exitCode = 2;
} else {
  const prompt = readFileSync(0, 'utf8');
  const session = option('--session');
  const scenario = /SCENARIO (\w+)/.exec(prompt)?.[1];
  writeFileSync(`${process.env.KIMI_SHARE_DIR}/seen.json`, JSON.stringify({ args, length: prompt.length }));
  say({
    role: 'assistant',
    content: 'I will write a file.',
    tool_calls: [
      { type: 'function', id: 'call_1', function: { name: 'WriteFile', arguments: '{"path":"greet.txt"}' } },
    ],
  });
  say({ role: 'tool', content: '<system>File successfully overwritten.</system>', tool_call_id: 'call_1' });
  say({ id: 'n1', category: 'task', title: 'a notice without a role' });
  say({
    role: 'assistant',
    content: [],
    tool_calls: [{ type: 'function', id: 'call_2', function: { name: 'Shell', arguments: '{"command":"ls"}' } }],
  });
  say({
    role: 'tool',
    content: [{ type: 'text', text: '<system>ERROR: exit code: 3.</system>' }],
    tool_call_id: 'call_2',
  });
  if (scenario === 'success') {
    writeFileSync('greet.txt', 'hello please\n');
    const report = {
      worker_id: 'kimi',
      task_id: '001',
      status: 'done',
      result: { summary: 'Polite now.', files_modified: ['greet.txt'], notes: null },
    };
    say({
      role: 'assistant',
      content: [
        { type: 'think', think: 'hm', encrypted: null },
        { type: 'text', text: `Done.\n\`\`\`json\n${JSON.stringify(report)}\n\`\`\`` },
      ],
    });
  }
  if (scenario === 'steps') process.stdout.write('Max number of steps reached: 3\n');
  if (scenario === 'rate')
    process.stdout.write(
      "Error code: 429 - {'error': {'message': 'rate limited, too many requests for this\n organisation', 'type': 'rate_limit'}}\n",
    );
  if (scenario === 'login') process.stdout.write('LLM not set\n');
  if (scenario === 'hangs') {
    process.on('SIGINT', () => process.exit(1));
    await new Promise((done) => setTimeout(done, 600_000));
  }
  process.stderr.write(`To resume this session: kimi -r ${session}\n`);
  process.exitCode = { success: 0, rate: 75 }[scenario] ?? 1;
}
