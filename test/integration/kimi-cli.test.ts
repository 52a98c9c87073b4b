import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { Lab, ROOT, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab.remove());

/** The older client cannot be installed any more: it is shown by a fixture that follows what was seen of 1.49. */
async function run(scenario: string, ...more: string[]) {
  lab = new Lab({ 'greet.txt': 'hello\n' });
  mkdirSync(join(lab.home, '.kimi'));
  writeFileSync(
    join(lab.home, '.kimi', 'config.toml'),
    'default_model = "m"\n[providers.p]\ntype = "kimi"\nbase_url = "http://127.0.0.1:9/v1"\napi_key = "made-up"\n[models.m]\nprovider = "p"\nmodel = "m"\nmax_context_size = 1000\n',
  );
  writeFileSync(join(lab.folder, 'spec.md'), spec(scenario));
  const env = { KIMI_BIN: join(ROOT, 'test', 'helpers', 'fake-kimi-cli.mjs') };
  const ended = await lab.run(['run', '../spec.md', '--no-baseline', ...more], { env });
  const result = await lab.result();
  const home = join(lab.home, '.local', 'state', 'kimi-dispatch');
  return { ...ended, result, home };
}

it('runs the older client: its flags, the prompt on stdin, its report', async () => {
  const { code, result } = await run('success');
  expect([code, result.outcome, result.kimi?.version]).toEqual([0, 'succeeded', '1.49.0']);
  expect(result.report?.result.summary).toBe('Polite now.');
  expect(result.kimi).toMatchObject({ steps: 3, session: result.run, unreadableLines: 0 });
  const seen = JSON.parse(readFileSync(join(lab.kimiHome(result.run), 'seen.json'), 'utf8'));
  expect(seen.args.join(' ')).toContain('--print --output-format stream-json --max-steps-per-turn 100');
  expect(seen.args.join(' ')).not.toContain('Read the file');
  expect(seen.length).toBeGreaterThan(500);
});

it.each([
  ['steps', 'step-limit', 6, undefined],
  ['rate', 'agent-failed', 7, /rate-limit: .*too many requests for this organisation/],
  ['login', 'agent-failed', 7, /auth: LLM not set/],
] as const)('%s → %s', async (scenario, outcome, code, reason) => {
  const ended = await run(scenario);
  expect([ended.result.outcome, ended.code]).toEqual([outcome, code]);
  if (reason !== undefined) expect(ended.result.reason).toMatch(reason);
});

it('is ended by SIGINT first', async () => {
  const ended = await run('hangs', '--timeout', '1');
  expect(ended.result.outcome).toBe('deadline');
  expect(ended.result.kimi?.durationMs).toBeLessThan(3000);
});
