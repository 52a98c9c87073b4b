import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkSpec } from '../../src/spec/check.ts';
import { applyOrder, type Format, formatOf, importPlan } from '../../src/spec/import.ts';
import { parseSpec } from '../../src/spec/parse.ts';
import { fromPlan } from '../../src/spec/plan/from-plan.ts';
import { renderSpec } from '../../src/spec/render.ts';

const read = (name: string): string =>
  readFileSync(join(import.meta.dirname, '..', 'fixtures', 'imports', `${name}.md`), 'utf8');
const FACTS = {
  root: '/r',
  name: 'r',
  files: new Map(['src/app.ts', 'README.md', 'package.json'].map((path) => [path, '100644'])),
  untracked: new Set<string>(),
  manifests: new Map([['package.json', '{"scripts":{"test":"vitest"}}']]),
};

describe('importing the tasks of other tools', () => {
  const cases: [Format, string[][]][] = [
    [
      'spec-kit',
      [
        ['CREATE .eslintrc.json'],
        ['CREATE src/models/user.ts'],
        ['CREATE src/store/session.ts'],
        ['MODIFY src/app.ts'],
      ],
    ],
    ['openspec', [['CREATE src/header.ts'], ['MODIFY src/app.ts'], ['CREATE test/header.test.ts']]],
    ['kiro', [['CREATE src/store/session.ts'], ['CREATE test/session.test.ts'], ['MODIFY src/app.ts']]],
    [
      'superpowers',
      [['CREATE src/store/session.ts', 'MODIFY src/app.ts', 'CREATE test/session.test.ts'], ['MODIFY README.md']],
    ],
  ];
  it.each(cases)('%s: each open task with its paths, and nothing invented', (format, files) => {
    const source = read(format);
    expect(formatOf(source)).toBe(format);
    const { plan } = importPlan(source, format);
    const { spec } = fromPlan(plan, FACTS, '001');
    expect(spec.tasks.map((task) => task.files.map((file) => `${file.verb} ${file.path}`))).toEqual(files);
    for (const word of plan.match(/[\w./-]+\.\w+/g) ?? []) expect(source).toContain(word);
  });

  const orders: [Format, (string | number[])[]][] = [
    ['spec-kit', ['free', [1], [1], [2, 3]]],
    ['openspec', [[], [1], [1, 2]]],
    ['kiro', [[], [1], [2]]],
    ['superpowers', [[], [1]]],
  ];
  it.each(orders)(
    '%s: the order is that of the source, and only what it calls parallel is independent',
    (format, order) => {
      const imported = importPlan(read(format), format);
      const { spec } = fromPlan(imported.plan, FACTS, '001');
      applyOrder(spec, imported.order);
      expect(spec.tasks.map((task) => (task.independent ? 'free' : task.dependsOn))).toEqual(order);
    },
  );

  it('a parallel task whose file another one changes later is no independent one', () => {
    const line = (id: string, text: string) => `- [ ] ${id} ${text}\n`;
    const items =
      line('T001', '[P] Create src/a.ts') + line('T002', '[P] Create src/b.ts') + line('T003', 'Extend src/a.ts');
    const imported = importPlan(`# Tasks: X\n\n${items}`, 'spec-kit');
    const { spec } = fromPlan(imported.plan, FACTS, '001');
    applyOrder(spec, imported.order);
    expect(spec.tasks.map((task) => (task.independent ? 'free' : task.dependsOn))).toEqual([[], 'free', [1, 2]]);
    const text = renderSpec(spec);
    const found = checkSpec({ spec: parseSpec(text).spec, source: text, lines: text.split('\n') });
    expect(found.filter((item) => item.code === 'spec/not-independent')).toEqual([]);
  });

  const left: [Format, string[]][] = [
    ['spec-kit', ['line 7: T001 is done: Create project structure per implementation plan']],
    ['openspec', ['line 4: 1.2 is done: Decide the format']],
    [
      'kiro',
      [
        'line 7: that 1.2 is optional',
        `${'line 8: 2. is done'.replace('2.', '2')}: Choose a library`,
        'line 6: _Requirements: 1.1, 1.2_'.replace('_R', '- _R'),
        'line 10: - _Requirements: 2.1_',
      ],
    ],
    [
      'superpowers',
      ['line 26: git commit -m x (kimi-dispatch makes the commits)', 'lines 14-17: ```ts', 'line 22: Expected: FAIL'],
    ],
  ];
  it.each(left)('%s: what it says and the plan does not is named', (format, lines) => {
    expect(importPlan(read(format), format).leftOut).toEqual(lines);
  });

  it('what stands before the tasks is their goal and context', () => {
    const { spec } = fromPlan(importPlan(read('superpowers'), 'superpowers').plan, FACTS, '001');
    expect(spec.goal).toContain('People can log in.');
  });

  it('takes the commands that a plan tells to run, but no git', () => {
    const { spec } = fromPlan(importPlan(read('superpowers'), 'superpowers').plan, FACTS, '001');
    expect(spec.verification.map((command) => command.text)).toEqual(['npx vitest run test/session.test.ts']);
  });

  it('knows none of them in a plan of our own', () => {
    expect(formatOf('# Plan\n\n1. Change `a.ts`\n')).toBeUndefined();
  });
});
