import { expect, it } from 'vitest';
import { declare } from '../../src/cli/cli.ts';
import { EXAMPLES } from '../../src/cli/examples.ts';
import { toolLine } from '../../src/hook/band.ts';

it.each([
  [{ step: 7, tool: 'Write', detail: '{"path":"src/x.ts","content":"..' }, 100, 'step 7/100 · Write src/x.ts'],
  [{ step: 2, tool: 'Bash', detail: '{"command":"npm test"}' }, undefined, 'step 2 · Bash npm test'],
  [{ step: 3, tool: 'Bash', detail: '{"command":"a\\u001b[2J\nb' }, 9, 'step 3/9 · Bash a\\u001b[2J b'],
  [{ step: 1, tool: 'TodoList', detail: '' }, 9, 'step 1/9 · TodoList'],
])('a tool call is one line: %j', (event, limit, line) => expect(toolLine(event, limit)).toBe(line));

it('every example is a command line of ours and nothing more', () => {
  const names = declare(() => async () => {}).commands.map((command) => command.name());
  for (const line of Object.values(EXAMPLES).flat()) expect(names).toContain(line.split(' ')[0]);
});
