import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkSpec } from '../../src/spec/check.ts';
import { emptySpec, parseSpec } from '../../src/spec/parse.ts';
import { renderSpec } from '../../src/spec/render.ts';

const specOf = (plan: string) => ({
  ...emptySpec(),
  number: '001',
  title: 'T',
  format: '2',
  scope: 'guess' as const,
  plan,
});
const codes = (text: string): string[] => {
  const parsed = parseSpec(text);
  return [...parsed.findings, ...checkSpec({ spec: parsed.spec, source: text, lines: parsed.lines })].map(
    (item) => item.code,
  );
};

describe('a plan inside a spec', () => {
  const plans: Record<string, string> = {
    'headings and tasks of a spec':
      '# Plan\n\n## Tasks\n\n### Task 9: x\nFiles:\n- MODIFY a.ts\n\n## Plan\n\n```markdown\nx\n```\n',
    'fences longer than usual': '`````md\n```\n`````\n',
    'an open fence': '```ts\nconst a = 1;',
    'windows line ends and a byte order mark': '\uFEFF# Plan\r\n\r\n- a\r\n',
    'the words of the header': 'Format: 1\nScope: contract\nPlan: 1 bytes\n',
    'no line end at the end': '# Plan',
    'nothing but line ends': '\n\n',
  };
  it.each(Object.entries(plans))('%s: comes out byte for byte, and is read as nothing else', (_name, plan) => {
    const text = renderSpec(specOf(plan));
    const { spec, findings } = parseSpec(text);
    expect([spec.plan, spec.tasks, spec.extra, findings]).toEqual([plan, [], [], []]);
    expect(renderSpec(spec)).toBe(text);
  });

  it('any text comes out byte for byte', () => {
    const line = fc.oneof(fc.string(), fc.constantFrom('```', '````', '## Plan', '## Tasks', '\r', 'Plan: x', '~~~'));
    fc.assert(
      fc.property(fc.array(line, { minLength: 1 }), (lines) => {
        const plan = lines.join('\n') || 'x';
        expect(parseSpec(renderSpec(specOf(plan))).spec.plan).toBe(plan);
      }),
    );
  });

  it('a changed plan is not the approved one', () => {
    const text = renderSpec(specOf('# Plan\n\nDo it.\n'));
    expect(codes(text.replace('Do it.', 'Do that.'))).toContain('spec/plan-damaged');
    expect(codes(`${text}\n## Tasks\n`)).toContain('spec/plan-damaged');
    expect(codes(text.slice(0, text.indexOf('## Plan')))).toContain('spec/plan-damaged');
  });

  it('secrets and hidden characters in it are errors; placeholders, comments and joined emoji are none', () => {
    const found = (plan: string): string[] =>
      codes(renderSpec(specOf(plan))).filter((code) => /secret|hidden|placeholder|comment/.test(code));
    expect(found(`key ghp_${'a'.repeat(36)}`)).toEqual(['spec/secret']);
    expect(found('turn\u202eed')).toEqual(['spec/hidden']);
    expect(found('TODO <!-- later --> \u{1f468}\u200d\u{1f469}')).toEqual([]);
  });

  it('a spec of format 1 may have a section called Plan', () => {
    const text = '# Spec: 001 -- T\nFormat: 1\n\n## Plan\n\n```markdown\nx\n```\n';
    const { spec } = parseSpec(text);
    expect([spec.plan, spec.extra.map((extra) => extra.title)]).toEqual(['', ['Plan']]);
  });
});
