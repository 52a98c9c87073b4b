import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Lab, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab.remove());

const withSpec = (text: string): void => {
  lab = new Lab({ 'greet.txt': 'hello\n' });
  writeFileSync(join(lab.folder, 'spec.md'), text);
};
const run = (...more: string[]) => lab.run(['run', '../spec.md', ...more]);
const findings = (text: string): string => {
  writeFileSync(join(lab.folder, 'findings.md'), text);
  return '../findings.md';
};
const started = async (): Promise<string> => {
  const id = (await run('--background')).stdout.trim();
  const events = join(lab.repo, '.git', 'kimi-dispatch', 'runs', id, 'events.ndjson');
  while (!readFileSync(events, 'utf8').includes('"tool-call"')) await new Promise((done) => setTimeout(done, 30));
  return id;
};

describe('revise', () => {
  it('sends findings to the same session, verifies again, and shows what changed since the review', async () => {
    withSpec(spec('wrong'));
    expect((await run('--no-baseline')).code).toBe(3);
    const text = '- greet.txt:1 say please (SCENARIO success)\n';
    const ended = await lab.run(['revise', '@last', '--findings', findings(text)]);
    expect([ended.code, ended.stdout]).toEqual([0, expect.stringContaining('SUCCEEDED')]);
    const result = await lab.result();
    expect(result).toMatchObject({ outcome: 'succeeded', rounds: 1 });
    const prompt = readFileSync(join(result.files.folder, 'attempt-2', 'prompt.md'), 'utf8');
    expect(prompt).toContain('round 1');
    expect(prompt).toContain('say please');
    expect(prompt).not.toContain('# The spec');
    expect((await lab.run(['diff', '@last', '--since-review'])).stdout).toMatch(/-rude\n\+hello please/);
    expect((await lab.run(['diff', '@last'])).stdout).toMatch(/-hello\n\+hello please/);
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    expect(readFileSync(join(lab.repo, 'greet.txt'), 'utf8')).toBe('hello please\n');
  });

  it('takes findings on the command line, also about a declared file that was forgotten', async () => {
    withSpec(spec('wrong', { files: ['MODIFY greet.txt', 'CREATE forgotten.txt'] }));
    await run('--no-baseline');
    const said = ['--finding', 'greet.txt:1 say please (SCENARIO success)', '--finding', 'forgotten.txt:1 write it'];
    expect((await lab.run(['revise', '@last', ...said])).code).toBe(0);
    const prompt = readFileSync(join((await lab.result()).files.folder, 'attempt-2', 'prompt.md'), 'utf8');
    expect(prompt).toContain('- greet.txt:1 say please (SCENARIO success)\n- forgotten.txt:1 write it\n');
  });

  it('three rounds, then the commands for taking over', async () => {
    withSpec(spec('wrong'));
    await run('--no-baseline');
    for (let round = 1; round <= 3; round++)
      expect((await lab.run(['revise', '@last', '--findings', findings('greet.txt:1 be polite')])).code).toBe(3);
    const fourth = await lab.run(['revise', '@last', '--findings', findings('greet.txt:1 be polite')]);
    expect([fourth.code, fourth.stderr]).toEqual([2, expect.stringMatching(/sent back 3 times[\s\S]*git apply/)]);
    const shown = (await lab.run(['show', '@last'])).stdout;
    const [, branch = ''] = /git merge --squash (\S+) {2}\(sent back 3 times: take over\)/.exec(shown) ?? [];
    lab.git('merge', '--squash', branch);
    expect(lab.git('diff', '--cached', '--name-only')).toContain('greet.txt');
  });

  it.each([
    ['unknown files', 'src/gone.ts:3 change it', /src\/gone\.ts/],
    ['nothing', '  \n', /findings are empty/],
  ])('refuses findings that name %s', async (_name, text, message) => {
    withSpec(spec('wrong'));
    await run('--no-baseline');
    const ended = await lab.run(['revise', '@last', '--findings', findings(text)]);
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringMatching(message)]);
    expect((await lab.result()).rounds).toBe(0);
  });

  it('begins afresh with the diff when the session is gone, also in a worktree deleted by hand', async () => {
    withSpec(spec('wrong'));
    await run('--no-baseline');
    const before = await lab.result();
    const { home } = JSON.parse((await lab.run(['status', '--json'])).stdout).runs[0];
    rmSync(home, { recursive: true });
    rmSync(before.worktree, { recursive: true });
    const ended = await lab.run(['revise', '@last', '--findings', findings('greet.txt:1 SCENARIO success')]);
    expect(ended.stderr + ended.stdout).toContain('SUCCEEDED');
    const prompt = readFileSync(join(before.files.folder, 'attempt-2', 'prompt.md'), 'utf8');
    expect(prompt).toContain('# The spec');
    expect(prompt).toContain('+rude');
  });
});

describe('answer, resume, cancel', () => {
  it('an answer resumes a blocked worker', async () => {
    withSpec(spec('blocked'));
    const blocked = await run();
    expect([blocked.code, blocked.stdout]).toEqual([8, expect.stringContaining('Which language?')]);
    expect(blocked.stdout).toContain('kimi-dispatch answer');
    const ended = await lab.run(['answer', '@last', 'English, please. SCENARIO success']);
    expect([ended.code, ended.stdout]).toEqual([0, expect.stringContaining('SUCCEEDED')]);
    const prompt = readFileSync(join((await lab.result()).files.folder, 'attempt-2', 'prompt.md'), 'utf8');
    expect(prompt).toMatch(/Which language\?[\s\S]*English, please/);
    const late = await lab.run(['answer', '@last', 'more']);
    expect([late.code, late.stderr]).toEqual([2, expect.stringContaining('asked nothing')]);
  });

  it('cancel ends a run that would take ten minutes, with the work saved; resume goes on', async () => {
    withSpec(spec('stubborn').replace('SCENARIO stubborn', 'SCENARIO slow 600'));
    const id = await started();
    const began = performance.now();
    const cancelled = await lab.run(['cancel', id]);
    expect(performance.now() - began).toBeLessThan(60_000);
    expect([cancelled.code, cancelled.stdout]).toEqual([0, expect.stringContaining('cancelled')]);
    const again = await lab.run(['cancel', id]);
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('has ended')]);
    writeFileSync(join((await lab.result()).worktree, 'greet.txt'), 'hello please\n');
    const resumed = await lab.run(['resume', id, '--timeout', '1']);
    expect(resumed.code).toBe(6);
    expect((await lab.result()).changes.map((change) => change.path)).toEqual(['greet.txt']);
  });

  it('refuses what a run cannot do, and says what it can', async () => {
    withSpec(spec('success'));
    await run();
    const resume = await lab.run(['resume', '@last']);
    expect([resume.code, resume.stderr]).toEqual([2, expect.stringContaining('kimi-dispatch merge')]);
    await lab.run(['discard', '@last']);
    const revise = await lab.run(['revise', '@last', '--findings', findings('x')]);
    expect([revise.code, revise.stderr]).toEqual([2, expect.stringContaining('was discarded')]);
    const unknown = await lab.run(['revise', 'nope', '--findings', findings('x')]);
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('Choose one of')]);
  });
});

describe('recovery', () => {
  it('a dispatcher killed at work: processes ended, work saved, outcome lost, and it can go on', async () => {
    withSpec(spec('slow 600'));
    const id = await started();
    const { pid, dir } = JSON.parse((await lab.run(['status', '--json'])).stdout).runs[0];
    writeFileSync(join(dir, 'greet.txt'), 'hello please\n');
    process.kill(pid, 'SIGKILL');
    while (!(await lab.run(['status'])).stdout.includes('lost')) await new Promise((done) => setTimeout(done, 50));
    writeFileSync(
      join(lab.repo, '.git', 'kimi-dispatch', 'runs', id, 'events.ndjson'),
      `${readFileSync(join(lab.repo, '.git', 'kimi-dispatch', 'runs', id, 'events.ndjson'), 'utf8')}{"t":"torn`,
    );
    const recovered = await lab.run(['recover']);
    expect(recovered.stdout).toContain('1 changed files saved');
    expect((await lab.run(['recover'])).stdout).toContain('Nothing was lost');
    const result = await lab.result();
    expect(result.outcome).toBe('lost');
    expect(lab.git('show', `${result.branch}:greet.txt`)).toBe('hello please');
    expect(existsSync(result.files.patch)).toBe(true);
    expect((await lab.run(['wait', id])).code).toBe(10);
    lab.git('fsck', '--strict');
    const resumed = await lab.run(['resume', id, '--timeout', '1']);
    expect(resumed.code).toBe(6);
  });
});
