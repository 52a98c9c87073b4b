import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { parseSpec } from '../../src/spec/parse.ts';
import { Lab } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab.remove());

const fixture = (name: string): string =>
  readFileSync(join(import.meta.dirname, '..', 'fixtures', 'imports', `${name}.md`), 'utf8');

it.each([
  ['spec-kit', 'specs/001-login', 4, ['plan.md: not read']],
  ['openspec', 'openspec/changes/header', 3, ['plan.md: not read']],
  ['kiro', '.kiro/specs/store', 3, ['plan.md: not read']],
  ['superpowers', 'docs/plans/login.md', 2, []],
])(
  'import spec: %s becomes a spec that holds it whole, and what was not read is said',
  async (format, path, tasks, missing) => {
    const file = path.endsWith('.md') ? path : `${path}/tasks.md`;
    lab = new Lab({ 'src/app.ts': 'x\n', 'README.md': 'x\n', [file]: fixture(format) });
    if (file !== path) lab.write({ [`${path}/plan.md`]: 'Why.\n' });
    const ended = await lab.run(['import', 'spec', path, '-o', '-']);
    const { spec, findings } = parseSpec(ended.stdout);
    expect([spec.tasks.length, findings.filter((item) => item.severity === 'error')]).toEqual([tasks, []]);
    expect(ended.stderr).toContain(`Read as ${format}.`);
    for (const text of missing) expect(ended.stderr).toContain(text);
    expect(spec.plan).toBe(fixture(format));
    // No verification can be invented: without one there is a question.
    const has = spec.verification.length > 0;
    expect([ended.code, ended.stderr.includes('spec/verification-none')]).toEqual([0, !has]);
  },
);

it('import spec refuses what is none of them, with the command that reads a plan', async () => {
  lab = new Lab({ 'plan.md': '# Plan\n\n1. Change `a.ts`\n' });
  const ended = await lab.run(['import', 'spec', 'plan.md']);
  expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining('kimi-dispatch spec FILE')]);
});
