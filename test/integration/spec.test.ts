import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab, spec } from '../helpers/repo.ts';

let lab: Lab;
beforeEach(() => {
  lab = new Lab({ 'src/a.txt': 'a\n', 'x/b.txt': 'b\n', 'y/b.txt': 'b\n' });
});
afterEach(() => lab.remove());

const put = (name: string, text: string): void => writeFileSync(join(lab.folder, name), text);
/** Its last section is only to be known: no line of a header is part of it. */
const PLAN = '# Greet\n\n- `src/a.txt`\n- `b.txt`\n\n# Risks\n\nNone.\n';
const HEADER = 'Files:\n- MODIFY y/b.txt\nVerification:\n- `grep -q hello src/a.txt`\n';

describe('spec PLAN', () => {
  it('--explain says by line what was taken for what, and why', async () => {
    put('plan.md', PLAN);
    const { code, stderr } = await lab.run(['spec', '../plan.md', '--explain', '-o', '-']);
    expect(code).toBe(0);
    expect(stderr.split('\n').filter((line) => line.startsWith('line '))).toEqual([
      'line 3: MODIFY src/a.txt (a label, a heading, a table, a tree or the head of an item names it)',
      'line 4: open: b.txt (a label, a heading, a table, a tree or the head of an item names it)',
    ]);
  });

  it('asks everything that is open in one list, and says where to answer', async () => {
    put('plan.md', PLAN);
    const { stderr } = await lab.run(['spec', '../plan.md', '-o', '-']);
    expect(stderr.slice(stderr.indexOf('Open questions')).trim().split('\n')).toEqual([
      'Open questions. To answer all of them, edit only the header of spec.md, above "## Plan":',
      '1. Which file is b.txt? Write under Files: - MODIFY and one of: x/b.txt, y/b.txt',
      '2. Which command shows that this works? Without one the run ends unverified. Write: ## Verification, then - `command`',
    ]);
  });

  it('--header adds the lines that the plan leaves open, and the plan stays as it is', async () => {
    put('plan.md', PLAN);
    put('header.md', HEADER);
    const { stdout } = await lab.run(['spec', '../plan.md', '--header', '../header.md', '-o', '-']);
    expect(stdout.slice(0, stdout.indexOf('## Plan'))).toMatch(
      /- MODIFY y\/b\.txt[\s\S]*- `grep -q hello src\/a\.txt`/,
    );
    expect(stdout).toContain(`\n${PLAN}\n`);
  });

  it('a spec that a person wrote comes out byte for byte', async () => {
    const text = `${spec('success', { files: ['MODIFY src/a.txt'] })}\r\n## Of my own\n\n  kept  \n`;
    put('spec.md', text);
    expect((await lab.run(['spec', '../spec.md', '-o', '-'])).stdout).toBe(text);
  });
});

it('run PLAN --header takes both', async () => {
  put('plan.md', PLAN);
  put('header.md', HEADER);
  const { code, stdout, stderr } = await lab.run(['run', '../plan.md', '--header', '../header.md', '--dry-run']);
  expect(code, stdout + stderr).toBe(0);
  expect(stdout).toContain('Run the verification: grep -q hello src/a.txt');
});

it('run SPEC --header is refused: it belongs to plans', async () => {
  put('spec.md', spec('success'));
  put('header.md', HEADER);
  const { code, stderr } = await lab.run(['run', '../spec.md', '--header', '../header.md']);
  expect([code, stderr.includes('--header belongs to plans')]).toEqual([2, true]);
});
