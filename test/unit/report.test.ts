import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { tellCi } from '../../src/cli/ci.ts';
import { LineSplitter, Tail } from '../../src/process/lines.ts';
import { MAX_CHARACTERS, MAX_LINES, presentResult } from '../../src/review/present.ts';
import { type Result, resultSchema } from '../../src/review/result.ts';
import { readResult } from '../../src/review/stored.ts';
import { contradictions, readReport } from '../../src/run/report.ts';

const json = '{"worker_id":"kimi","status":"done","result":{"summary":"ok","files_modified":["a.ts"]}}';
const yaml = 'worker_id: kimi\nstatus: done\nresult:\n  summary: ok\n  files_modified:\n    - a.ts\n';

describe('the report of the worker', () => {
  const readable: [string, string][] = [
    ['fenced JSON', `Done.\n\`\`\`json\n${json}\n\`\`\`\nBye.`],
    ['fenced YAML', `Done.\n\`\`\`yaml\n${yaml}\`\`\``],
    ['bare JSON', json],
    ['bare JSON after prose', `All done:\n${json}`],
    ['bare YAML', `Here it is:\n${yaml}`],
    ['the last of two', `\`\`\`json\n{"status":"failed","result":{}}\n\`\`\`\n\`\`\`json\n${json}\n\`\`\``],
    ['flat', '```json\n{"status":"DONE","summary":"ok","files_modified":"a.ts"}\n```'],
    ['wrapped', `\`\`\`json\n{"report":${json}}\n\`\`\``],
  ];
  it.each(readable)('is read when it is %s', (_, words) => {
    expect(readReport(words)).toMatchObject({ status: 'done', result: { summary: 'ok', files_modified: ['a.ts'] } });
  });

  it.each(['', 'All good!', '```json\n{"status":"perfect"}\n```', '{{{{', '- - -\n: :'])(
    'is missing in %j',
    (words) => {
      expect(readReport(words)).toBeUndefined();
    },
  );

  it('loses its control characters', () => {
    const found = readReport('{"status":"done","result":{"summary":"\\u001b[31mred\\u202e\\u0007"}}');
    expect(found?.result.summary).toBe('red');
  });

  it('is compared with the change', () => {
    const report = readReport(json);
    expect(report && contradictions(report, ['b.ts'])).toEqual([
      'claims a.ts but did not change it',
      'does not mention b.ts',
    ]);
    expect(report && contradictions(report, ['a.ts'])).toEqual([]);
  });
});

describe('lines of a stream', () => {
  const split = (chunks: string[], longest?: number): (string | undefined)[] => {
    const lines: (string | undefined)[] = [];
    const splitter = new LineSplitter((line) => lines.push(line?.toString('utf8')), longest);
    for (const chunk of chunks) splitter.push(Buffer.from(chunk));
    splitter.end();
    return lines;
  };
  it('are split at LF only, across chunks', () => {
    expect(split(['a\u2028b\rc', 'd\n\nn', 'ext'])).toEqual(['a\u2028b\rcd', 'next']);
  });
  it('that are too long are named once and dropped', () => {
    expect(split(['x'.repeat(50), 'x'.repeat(50), '\nshort\n'], 60)).toEqual([undefined, 'short']);
  });
  it('leave a bounded tail', () => {
    const tail = new Tail(10);
    for (let index = 0; index < 1000; index++) tail.push(Buffer.from('0123456789abc'));
    expect(tail.toString()).toBe('3456789abc');
  });
});

const check = { command: 'npm test', expect: 0, baselineFails: false, code: 0, timedOut: false, durationMs: 1 };
type Change = Result['changes'][number];
const huge: Result = {
  version: 2,
  run: '260101-0000-abcde',
  title: 'T'.repeat(500),
  spec: { digest: 'd', path: '/p' },
  outcome: 'succeeded',
  base: 'b'.repeat(40),
  branch: 'kimi/x',
  worktree: '/w',
  startedAt: '2026-01-01T00:00:00Z',
  endedAt: '2026-01-01T00:00:00Z',
  rounds: 0,
  flags: [],
  sandbox: 'off',
  changes: Array.from({ length: 500 }, (_, index) => ({
    status: 'M' as const,
    path: `src/${'deep/'.repeat(30)}${index}.ts`,
    added: index,
    removed: 1,
    binary: false,
  })),
  scope: {
    violations: [{ path: 'src/evil\n\u001b[31m.ts', why: 'declared by no task' }],
    untouched: ['x'.repeat(900)],
  },
  verification: Array.from({ length: 50 }, () => ({
    command: 'npm test '.repeat(50),
    verdict: 'passing' as const,
    after: check,
    newlyFailing: [],
  })),
  manual: ['look'],
  contradictions: ['c'.repeat(900)],
  notes: ['n'.repeat(900)],
  next: ['kimi-dispatch merge x'],
  report: { status: 'done', result: { summary: 's'.repeat(2000), files_modified: [] } },
  files: { folder: '/f', patch: '/f/changes.patch', report: '/f/report.md' },
}; // prettier-ignore

describe('the result as Claude reads it', () => {
  it('stays within 40 lines and 1,200 tokens, and keeps the patch and the next command', () => {
    const text = presentResult(huge, 'diff\n'.repeat(900));
    expect(text.split('\n').length).toBeLessThanOrEqual(MAX_LINES);
    expect(text.length).toBeLessThanOrEqual(MAX_CHARACTERS);
    expect(text).toContain('changes.patch');
    expect(text).toContain('kimi-dispatch merge x');
    expect(text).not.toContain('\u001b');
  });
  it('shows the diff when it fits', () => {
    const small = { ...huge, changes: huge.changes.slice(0, 1), verification: [] };
    expect(presentResult(small, '+one line')).toContain('Diff:\n  | +one line');
  });
  it.each([
    ['.github/workflows/ci.yml', 'a CI definition'],
    ['sub/CLAUDE.md', 'agent configuration'],
    ['.husky/pre-commit', 'a git hook'],
    ['.envrc', 'a shell environment'],
    ['CODEOWNERS', 'the list of code owners'],
    ['package-lock.json', 'a lock file'],
    ['pytest.ini', 'what decides a verification'],
  ])('names %s (%s) before tests, and tests before large changes of code', (path) => {
    const change = (name: string, added: number) => ({ ...(huge.changes[0] as Change), path: name, added });
    const changes = [change('src/large.ts', 900), change('test/a.test.ts', 2), change(path, 1)];
    const text = presentResult({ ...huge, changes, verification: [], scope: { violations: [], untouched: [] } });
    const order = [path, 'test/a.test.ts', 'src/large.ts'].map((name) => text.indexOf(` ${name} `));
    expect(order).toEqual([...order].sort((left, right) => left - right));
    expect(order.every((at) => at >= 0)).toBe(true);
  });
  it('has no diff where a file holds a secret', () => {
    const scope = { violations: [{ path: 'a.ts', why: 'a secret, line 1: private key' }], untouched: [] };
    expect(presentResult({ ...huge, changes: [], verification: [], scope }, '+secret')).not.toContain('+secret');
  });
  it('has a published schema that is up to date', () => {
    const published = readFileSync(new URL('../../schema/result.schema.json', import.meta.url), 'utf8');
    expect(JSON.parse(published)).toEqual(
      JSON.parse(JSON.stringify(z.toJSONSchema(resultSchema, { io: 'input', unrepresentable: 'any' }))),
    );
  });
});

describe('what success does not hide', () => {
  const small: Result = { ...huge, title: 'T', changes: [], verification: [], contradictions: [], notes: [] };
  const head = (result: Result): string => presentResult(result).split('\n').slice(0, 5).join('\n');
  it('a worker that reports failure, a gap, notes, and declared files that were not changed', () => {
    const said = { summary: 's', files_modified: [], notes: 'half of it' };
    const report = { status: 'failed' as const, result: said, purpose_gap: 'the API is missing' };
    const text = head({ ...small, report, scope: { violations: [], untouched: ['src/a.ts'] } });
    expect(text).toContain('FAILED');
    expect(text).toContain('the API is missing');
    expect(text).toContain('half of it');
    expect(text).toContain('src/a.ts');
  });
  it('the findings of a review', () => {
    const text = presentResult(resultSchema.parse({ ...small, review: 'src/a.ts:3 \u001b[31moff by one' }));
    expect(text).toContain('src/a.ts:3 off by one');
  });
  it('why a command is red, before the commands that are not', () => {
    const red = { ...check, code: 1, message: 'AssertionError: expected 3 to be 4' };
    const rows: Result['verification'] = [
      { command: 'npm test', verdict: 'passing', after: check, newlyFailing: [] },
      { command: 'npm run lint', verdict: 'newly-failing', after: red, newlyFailing: ['a.test.ts > x'] },
    ];
    const text = presentResult({ ...small, verification: rows });
    expect(text).toMatch(/NEW RED npm run lint: .*a\.test\.ts > x.*\n.*expected 3 to be 4\n.*pass {4}npm test/);
  });
  it('a flaky command, by its own word', () => {
    const rows: Result['verification'] = [
      { command: 'npm test', verdict: 'flaky', after: check, newlyFailing: [], why: 'failed once' },
    ];
    expect(presentResult({ ...small, verification: rows })).toMatch(/FLAKY {3}npm test.*\n.*failed once/);
  });
});

it('a report between hostile fences is found, without reading them over and over', () => {
  expect(readReport(`${'```a\nb\n'.repeat(2000)}\`\`\`\n\n\`\`\`json\n${json}\n\`\`\``)).toMatchObject({
    status: 'done',
  });
});

it('a result of version 1 is still read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'result-'));
  writeFileSync(join(folder, 'result.json'), JSON.stringify({ ...huge, version: 1 }));
  expect(readResult(folder)).toMatchObject({ version: 2, run: huge.run });
  rmSync(folder, { recursive: true });
});

it('an unverified run is an error for JUnit, not a failure', () => {
  const folder = mkdtempSync(join(tmpdir(), 'junit-'));
  const result: Result = { ...huge, outcome: 'unverified', reason: 'no command', verification: [], changes: [] };
  const [out, err, now] = [() => {}, () => {}, () => new Date(0)];
  const signal = new AbortController().signal;
  const world = { argv: [], cwd: folder, env: {}, root: folder, now, out, err, control: err, lively: false, signal };
  tellCi(world, { ...result, scope: { violations: [], untouched: [] } }, { junit: 'junit.xml' });
  const xml = readFileSync(join(folder, 'junit.xml'), 'utf8');
  expect(xml).toContain('<error message="unverified">no command</error>');
  expect(xml).toMatch(/errors="1" tests="2" failures="0"/);
  rmSync(folder, { recursive: true });
});

it.each([
  ['refers to itself again and again', `status: done\n${'&a [*a,*a]\n'.repeat(1000)}`],
  ['is longer than any report', `status: done\nresult:\n  summary: ${'x '.repeat(10_000)}`],
])('a report in YAML that %s is none', (_name, words) => {
  expect(readReport(words)).toBeUndefined();
});
