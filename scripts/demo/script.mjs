// What the scripted model "thinks of": it reads its brief, writes the files, runs the tests, and reports.
const write = (path, content) => ({ name: 'Write', arguments: { path, content } });

const STEPS = [
  ({ brief }) => ({ calls: [{ name: 'Read', arguments: { path: brief } }] }),
  () => ({
    text: 'I fix slugify first.',
    calls: [
      write(
        'src/slug.ts',
        `/** Makes a piece of text usable in a URL. */\nexport function slugify(text: string): string {\n  return text.trim().toLowerCase().replace(/\\s+/g, '-');\n}\n`,
      ),
      write(
        'src/truncate.ts',
        `/** Cuts text to a length; what was cut ends with an ellipsis. */\nexport function truncate(text: string, length: number): string {\n  return text.length <= length ? text : \`\${text.slice(0, Math.max(0, length - 1))}…\`;\n}\n`,
      ),
    ],
  }),
  () => ({
    calls: [
      write('src/index.ts', `export { slugify } from './slug.ts';\nexport { truncate } from './truncate.ts';\n`),
      write(
        'test/truncate.test.ts',
        `import assert from 'node:assert/strict';\nimport { test } from 'node:test';\nimport { truncate } from '../src/index.ts';\n\ntest('leaves short text', () => {\n  assert.equal(truncate('abc', 5), 'abc');\n});\n\ntest('cuts long text', () => {\n  assert.equal(truncate('abcdef', 4), 'abc…');\n});\n`,
      ),
    ],
  }),
  () => ({ calls: [{ name: 'Bash', arguments: { command: 'npm test' } }] }),
  ({ run }) => ({
    text: `Done.\n\n\`\`\`json\n${JSON.stringify({ worker_id: 'kimi', task_id: '001', parent: run, timestamp: '2026-01-01T00:00:00Z', status: 'done', result: { summary: 'slugify replaces every run of white space; truncate is new and tested.', files_modified: ['src/slug.ts', 'src/truncate.ts', 'src/index.ts', 'test/truncate.test.ts'], notes: null }, skill_candidate: null, purpose_gap: null })}\n\`\`\``,
  }),
];

export function demoScript({ messages, turn }) {
  const brief = /Read the file (\S+) completely/.exec(JSON.stringify(messages))?.[1] ?? '';
  return (STEPS[turn] ?? STEPS.at(-1))({ brief, run: brief.split('/').at(-2) ?? '' });
}
