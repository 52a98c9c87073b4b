import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSpec } from '../../src/spec/parse.ts';
import { renderSpec } from '../../src/spec/render.ts';

const seed = readFileSync(new URL('../fixtures/specs/seed.md', import.meta.url), 'utf8');

const withoutPlaces = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (key, inner) => (key === 'at' ? undefined : inner)));

const again = (source: string) => {
  const first = parseSpec(source).spec;
  return { first: withoutPlaces(first), second: withoutPlaces(parseSpec(renderSpec(first)).spec) };
};

describe('the seed grammar', () => {
  it('reads the seed example unchanged', () => {
    const { spec, findings } = parseSpec(seed);
    expect(findings).toEqual([]);
    expect(spec).toMatchObject({ number: '001', title: 'Kimi Plan Integration' });
    expect(spec.tasks).toHaveLength(1);
    expect(spec.tasks[0]).toMatchObject({
      number: 1,
      title: 'Create Kimi Delegation Rules',
      independent: true,
      files: [{ verb: 'CREATE', path: '~/.claude/rules/common/kimi-delegation.md' }],
      verification: [{ kind: 'manual' }, { kind: 'manual' }],
    });
    expect(spec.tasks[0]?.requirements).toHaveLength(5);
  });

  it('reads the extended grammar', () => {
    const { spec, findings } = parseSpec(
      [
        '# Spec: 007 — Parse the header',
        'Format: 1',
        'Base: main',
        'Limits: steps=80 wall=30m idle=5m',
        '',
        '## Constraints',
        '- MUST NOT change the public API',
        'Protected:',
        '- test/fixtures/**',
        '## Tasks',
        '### Task 1: Parse',
        'Depends on: none',
        'Uses: port:3000, db:test',
        'Files to modify:',
        '- MODIFY `src/a b.ts` -- the reader',
        '- src/c.ts',
        'Verification:',
        '- `npx vitest run a.test.ts` (timeout 2m, expect 1, baseline fail)',
        '- go test ./...',
        '- The page looks right',
        'Done when:',
        '- R1 <- V1',
      ].join('\n'),
    );
    expect(findings).toEqual([]);
    expect(spec).toMatchObject({ base: 'main', limits: { steps: 80, wallSeconds: 1800, idleSeconds: 300 } });
    expect(spec.protected.map((line) => line.text)).toEqual(['test/fixtures/**']);
    const task = spec.tasks[0];
    expect(task?.uses).toEqual(['port:3000', 'db:test']);
    expect(task?.files.map((file) => [file.verb, file.path, file.note])).toEqual([
      ['MODIFY', 'src/a b.ts', 'the reader'],
      ['MODIFY', 'src/c.ts', ''],
    ]);
    expect(task?.verification.map((command) => command.kind)).toEqual(['command', 'command', 'manual']);
    expect(task?.verification[0]).toMatchObject({ timeoutSeconds: 120, expect: 1, baselineFails: true });
    expect(task?.criteria[0]).toMatchObject({ text: 'R1', targets: ['V1'] });
  });

  it('keeps what it has no rule for', () => {
    const { spec } = parseSpec(
      '# Spec: 1 -- T\n\n## Tasks\n\n### Task 1: A\n\n```ts\nconst x = 1;\n```\n\n## Background\nwhy\n',
    );
    expect(spec.tasks[0]?.notes).toBe('```ts\nconst x = 1;\n```');
    expect(spec.extra[0]).toMatchObject({ title: 'Background', text: 'why' });
  });

  const durations = [
    '9999999h',
    '9999999.5m',
    '999999.999s',
    '1000000000s',
    '1000000000.001s',
    '1e308',
    '0',
    '-1s',
    'NaN',
  ];
  it.each(durations)('a duration of %s is rendered as it was read, or refused', (text) => {
    const source = `# Spec: 1 -- T\nLimits: wall=${text} idle=${text}\n\n## Verification\n- \`npm test\` (timeout ${text})\n`;
    const { spec, findings } = parseSpec(source);
    const again = parseSpec(renderSpec(spec));
    expect(again.spec.limits).toEqual(spec.limits);
    expect(again.spec.verification[0]?.timeoutSeconds).toBe(spec.verification[0]?.timeoutSeconds);
    expect(spec.limits.wallSeconds === undefined).toBe(findings.some(({ code }) => code === 'spec/limit'));
  });

  it('says where a fence is never closed', () => {
    expect(parseSpec('# Spec: 1 -- T\n\n```sh\nnpm test').findings[0]).toMatchObject({
      code: 'spec/unclosed-fence',
      line: 3,
    });
  });
});

const FRAGMENTS = [
  '# Spec: 001 -- T',
  'Format: 1',
  'Limits: steps=3 wall=0.5s',
  '## Goal',
  '## Tasks',
  '## Constraints',
  '## Verification',
  '## Completion criteria',
  '## Other',
  '### Task 1: A [INDEPENDENT]',
  '### Task 2',
  '## Task 3 - b',
  '#### Requirements',
  '#### Foo',
  'Files to create:',
  'Files:',
  '- CREATE a/b.ts',
  '- MODIFY `a b` -- why',
  '- `npm test` (timeout 3m, shell)',
  '- go test ./...',
  'Requirements:',
  '- R1 x',
  '  - nested',
  '  more',
  '',
  '',
  '```sh',
  '```',
  '  ```',
  'npm test',
  'Depends on: 1, 2',
  'Uses: a, none',
  'Verification:',
  'Done when:',
  '- a <- V1, review',
  'text',
  '- - x',
  '* - -',
  '---',
  '1. one',
  '10. ten',
  '    deep',
  'Protected:',
  '- [ ] todo',
  '- [x] [ ] done',
  '| a | b |',
  '|---|---|',
  '> quote',
  '\tx',
  '- ```',
  '- # h',
  '<!-- c -->',
  '- ``x`y`` (detected)',
  '-',
  '* *',
]; // prettier-ignore

describe('properties', () => {
  it('parse, render, parse is identity', () => {
    const documents = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 40 }).map((lines) => lines.join('\n')),
      },
      { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 300 }) },
    );
    fc.assert(
      fc.property(documents, (source) => {
        const { first, second } = again(source);
        expect(second).toEqual(first);
      }),
      { numRuns: Number(process.env.FUZZ ?? 3000) },
    );
  });

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        parseSpec(Buffer.from(bytes).toString('utf8'));
      }),
      { numRuns: 500 },
    );
  });
});
