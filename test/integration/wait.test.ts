import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Sessions } from '../../src/session/store.ts';
import { Lab, spec } from '../helpers/repo.ts';
import { pause, until } from '../helpers/until.ts';

let lab: Lab;
afterEach(() => lab.remove());

const withSpec = (text: string): void => {
  lab = new Lab({ 'greet.txt': 'hello\n' });
  writeFileSync(join(lab.folder, 'spec.md'), text);
};
const claude = { CLAUDECODE: '1', CLAUDE_CODE_SESSION_ID: 'session-1' };
const newest = async () => JSON.parse((await lab.run(['status', '--json'])).stdout).runs[0];
const isRunning = async (): Promise<boolean> => /^Kimi /.test((await newest())?.step ?? '');
const pidOf = async (): Promise<number> => (await newest())?.pid;

describe('a run that outlives its starter', () => {
  it('inside Claude Code: ending the waiter does not end the run, and the session knows it', async () => {
    withSpec(spec('slow 4'));
    const waiter = await lab.run(['run', '../spec.md'], {
      env: claude,
      after: (pid) => void until('the run is at work', isRunning).then(() => process.kill(pid, 'SIGTERM')),
    });
    expect([waiter.code, waiter.stderr]).toEqual([130, expect.stringContaining('The run goes on')]);
    const waited = await lab.run(['wait', '@last']);
    expect([waited.code, waited.stdout]).toEqual([0, expect.stringContaining('SUCCEEDED')]);
    const known = new Sessions(lab.env, () => new Date()).runsOf('session-1');
    expect(known).toHaveLength(1);
    expect((await lab.result()).outcome).toBe('succeeded');
  });

  it('inside Claude Code the waiter shows the steps and the result, and ends with its code', async () => {
    withSpec(spec('wrong'));
    const ended = await lab.run(['run', '../spec.md', '--no-baseline'], { env: claude });
    expect(ended.code).toBe(3);
    expect(ended.stdout).toContain('VERIFICATION-FAILED');
    expect(ended.stderr).toContain('Kimi implements the spec');
    expect(ended.stdout.trimEnd().split('\n').length).toBeLessThanOrEqual(40);
  });

  it('--background prints the id at once; many may wait', async () => {
    withSpec(spec('slow 1'));
    const started = await lab.run(['run', '../spec.md', '--background']);
    expect(started.stdout).toMatch(/^\d{6}-\d{4}-\w+\n$/);
    expect((await lab.run(['status'])).stdout).toContain('running');
    const ends = await Promise.all([1, 2, 3].map(() => lab.run(['wait', started.stdout.trim(), '--json'])));
    expect(ends.map((end) => [end.code, JSON.parse(end.stdout).outcome])).toEqual(Array(3).fill([0, 'succeeded']));
  });

  it('waiting ends with 10 when the supervisor dies', async () => {
    withSpec(spec('slow 8'));
    await lab.run(['run', '../spec.md', '--background']);
    const waiting = lab.run(['wait', '@last']);
    await pause(300);
    process.kill(await pidOf(), 'SIGKILL');
    const ended = await waiting;
    expect([ended.code, ended.stderr]).toEqual([10, expect.stringContaining('kimi-dispatch recover')]);
    await lab.run(['recover']);
  });

  it('a refusal is told at once, with exit 2', async () => {
    withSpec('# Spec: 001 -- Nothing\n\n## Tasks\n');
    const ended = await lab.run(['run', '../spec.md', '--background']);
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining('Nothing was started')]);
    expect((await lab.run(['run', 'gone.md'], { env: claude })).code).toBe(2);
    const kept = await lab.run(['run', 'plan:0123456789ab'], { env: claude });
    expect([kept.code, kept.stderr]).toEqual([2, expect.stringContaining('No approved plan is kept')]);
  });
});
