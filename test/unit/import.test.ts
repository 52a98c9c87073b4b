import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Format, formatOf, importPlan } from '../../src/spec/import.ts';
import { fromPlan } from '../../src/spec/plan/from-plan.ts';

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

  it('takes the commands that a plan tells to run, but no git', () => {
    const { spec } = fromPlan(importPlan(read('superpowers'), 'superpowers').plan, FACTS, '001');
    expect(spec.verification.map((command) => command.text)).toEqual(['npx vitest run test/session.test.ts']);
  });

  it('knows none of them in a plan of our own', () => {
    expect(formatOf('# Plan\n\n1. Change `a.ts`\n')).toBeUndefined();
  });
});
