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
    ['openspec', [[], [1], [2]]],
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

  it('what stands before the tasks is in the plan', () => {
    const { spec } = fromPlan(importPlan(read('superpowers'), 'superpowers').plan, FACTS, '001');
    expect(spec.plan).toContain('People can log in.');
  });

  it('takes the commands that a plan tells to run, but no git', () => {
    const { spec } = fromPlan(importPlan(read('superpowers'), 'superpowers').plan, FACTS, '001');
    expect(spec.verification.map((command) => command.text)).toEqual(['npx vitest run test/session.test.ts']);
  });

  it('knows none of them in a plan of our own', () => {
    expect(formatOf('# Plan\n\n1. Change `a.ts`\n')).toBeUndefined();
  });
});
