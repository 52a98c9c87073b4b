import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kimiConfig, startModel } from '../../scripts/model-server.mjs';
import { probeSandbox } from '../../src/process/sandbox.ts';
import { Lab, ROOT, spec } from '../helpers/repo.ts';

const sandbox = await probeSandbox(ROOT, { PATH: process.env.PATH, HOME: tmpdir() });

describe('init', () => {
  let lab: Lab;
  beforeEach(() => {
    lab = new Lab({ 'greet.txt': 'hello\n', 'AGENTS.md': '# Ours\n\nKeep this.\n' });
    writeFileSync(join(lab.folder, 'spec.md'), spec('success'));
  });
  afterEach(() => lab.remove());

  it('extends existing files inside markers, twice the same, and refuses a second time without --force', async () => {
    expect((await lab.run(['init', '--project', 'shop'])).stdout).toContain(
      'shop: claude is the principal, mode hierarchical',
    );
    const guide = readFileSync(join(lab.repo, 'AGENTS.md'), 'utf8');
    expect(guide).toMatch(/^# Ours\n\nKeep this\.\n\n<!-- kimi-dispatch: begin -->/);
    expect(existsSync(join(lab.repo, '.kimi-dispatch', 'context.md'))).toBe(true);
    expect((await lab.run(['init'])).code).toBe(2);
    await lab.run(['init', '--mode', 'peer', '--force']);
    expect(readFileSync(join(lab.repo, 'AGENTS.md'), 'utf8')).toBe(guide);
  });

  it('hierarchical: only the principal dispatches and merges; peer: anybody; a person always may', async () => {
    await lab.run(['init']);
    const kimi = { KIMI_DISPATCH_AGENT: 'kimi' };
    const refused = await lab.run(['run', '../spec.md'], { env: kimi });
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('belongs to claude')]);
    expect((await lab.run(['run', '../spec.md'], { env: { KIMI_DISPATCH_AGENT: 'claude' } })).code).toBe(0);
    expect((await lab.run(['merge', '@last'], { env: kimi })).code).toBe(2);
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    await lab.run(['init', '--mode', 'peer', '--force']);
    writeFileSync(join(lab.folder, 'spec.md'), spec('file a', { files: ['CREATE a.txt'] }));
    expect((await lab.run(['run', '../spec.md'], { env: kimi })).code).toBe(0);
  });

  it.skipIf(!sandbox.works)('review: Kimi reads and reports, and cannot write (needs the sandbox)', async () => {
    await lab.run(['init', '--mode', 'review']);
    const none = await lab.run(['run', '../spec.md']);
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('read-only by the sandbox')]);
    const env = { KIMI_DISPATCH_SANDBOX: 'required' };
    const wrote = await lab.run(['run', '../spec.md'], { env });
    expect((await lab.result()).changes).toEqual([]);
    expect(wrote.code).toBe(7);
    writeFileSync(join(lab.folder, 'spec.md'), spec('nothing'));
    const read = await lab.run(['run', '../spec.md'], { env });
    expect([read.code, read.stdout]).toEqual([0, expect.stringContaining('Worker says')]);
  });

  it.skipIf(!sandbox.works)(
    'the findings of a review are its result, and nothing merges it (needs the sandbox)',
    async () => {
      writeFileSync(join(lab.folder, 'spec.md'), spec('finds'));
      const read = await lab.run(['run', '../spec.md', '--review'], { env: { KIMI_DISPATCH_SANDBOX: 'required' } });
      const [, second, third] = read.stdout.split('\n');
      expect([read.code, second, third]).toEqual([
        0,
        'Findings (of the worker, not verified):',
        '  > greet.txt:1 says no please',
      ]);
      const result = await lab.result();
      expect(result.review).toContain('greet.txt:1 says no please');
      expect(`${read.stdout}${result.next.join()}${(await lab.run(['status'])).stdout}`).not.toContain('merge');
      for (const force of [[], ['--force'], ['--unverified']]) {
        const merged = await lab.run(['merge', '@last', ...force]);
        expect([merged.code, merged.stderr]).toEqual([
          2,
          expect.stringContaining('is a review: it has nothing to merge'),
        ]);
      }
    },
  );
});

describe('the real Kimi reaches the mailbox by MCP', () => {
  it('escalates from inside a run; the dispatcher files it under its name', async () => {
    let tool = '';
    const model = await startModel((request: { turn: number; tools?: { function: { name: string } }[] }) => {
      tool = request.tools?.map((item) => item.function.name).find((name) => name.includes('escalate')) ?? tool;
      if (request.turn === 0)
        return { calls: [{ name: tool, arguments: { subject: 'Two formats', reason: 'Which one is meant?' } }] };
      if (request.turn === 1)
        return { calls: [{ name: 'Write', arguments: { path: 'greet.txt', content: 'hello please\n' } }] };
      return { text: 'Done.' };
    });
    const lab = new Lab({ 'greet.txt': 'hello\n' }, { kimi: 'real', config: kimiConfig(model.url) });
    try {
      writeFileSync(join(lab.folder, 'spec.md'), spec('none'));
      await lab.run(['init']);
      const env = { KIMI_DISPATCH_SANDBOX: sandbox.works ? 'required' : 'off' };
      expect((await lab.run(['run', '../spec.md'], { env })).code).toBe(0);
      expect(tool).toContain('escalate');
      const inbox = (await lab.run(['inbox'])).stdout;
      expect(inbox).toMatch(/kimi: \[\d{6}-\d{4}-\w+\] Two formats ESCALATED \(high\): Which one is meant\?/);
    } finally {
      await model.close();
      lab.remove();
    }
  }, 60_000);
});
