import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Lab, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab.remove());

/** A run of the fake with limits of its own; the profile is the user's file. */
async function run(scenario: string, profile: Record<string, number>, files = ['MODIFY greet.txt']) {
  lab = new Lab({ 'greet.txt': 'hello\n' });
  writeFileSync(join(lab.folder, 'spec.md'), spec(scenario, { files }));
  const lines = Object.entries(profile).map(([name, value]) => `${name} = ${value}`);
  lab.write({ '.config/kimi-dispatch/profiles.toml': `[tight]\n${lines.join('\n')}\n` }, lab.home);
  const ended = await lab.run(['run', '../spec.md', '--no-baseline', '--profile', 'tight']);
  return { ...ended, result: await lab.result() };
}
const attempts = (folder: string): string[] =>
  readFileSync(join(folder, 'events.ndjson'), 'utf8')
    .split('\n')
    .filter((line) => line.includes('"attempt-started"'))
    .map((line) => JSON.parse(line).why);

describe('each limit, shown by a real process', () => {
  const cases: [string, Record<string, number>, string, number, RegExp][] = [
    ['silent', { firstOutputSeconds: 1, nudges: 0 }, 'no-first-output', 6, /never said a word/],
    ['hushed', { idleSeconds: 1, nudges: 0 }, 'idle-timeout', 6, /no sign of life/],
    ['manysteps', { steps: 5 }, 'step-limit', 6, /--max-steps/],
    ['retries', {}, 'agent-failed', 7, /rate-limit: the service asked for a longer wait/],
    ['outofquota', {}, 'agent-failed', 7, /quota: 429 You exceeded your current quota/],
    ['flood 4', { outputMegabytes: 1 }, 'output-limit', 6, /outputMegabytes/],
    ['fills', { diskMegabytes: 5 }, 'output-limit', 6, /diskMegabytes/],
    ['stubborn', { wallSeconds: 1 }, 'deadline', 6, /--timeout 2/],
  ];
  it.each(cases)('%s → %s', async (scenario, profile, outcome, code, reason) => {
    const ended = await run(scenario, profile);
    expect([ended.result.outcome, ended.code]).toEqual([outcome, code]);
    expect(ended.result.reason).toMatch(reason);
  });

  it('what Kimi had done before a limit is on the branch', async () => {
    const { result } = await run('stubborn', { wallSeconds: 1 });
    expect(lab.git('show', `${result.branch}:greet.txt`)).toBe('hello please');
  });

  it('sub-agents are life, and a running tool has more time', async () => {
    const first = await run('subagents', { idleSeconds: 2 });
    expect(first.result.outcome).toBe('succeeded');
    lab.remove();
    const second = await run('longtool', { idleSeconds: 1, toolSeconds: 20, firstOutputSeconds: 1 });
    expect(second.result.outcome).toBe('succeeded');
  });

  it('done but still alive ends in seconds, and is no failure', async () => {
    const { result } = await run('lingers', {});
    expect(result.outcome).toBe('succeeded');
    expect(result.notes.join()).toContain('did not leave');
  });
});

describe('the ladder for a silent worker', () => {
  it('a nudge resumes the session and is enough', async () => {
    const { result } = await run('wakes', { idleSeconds: 1 });
    expect(result.outcome).toBe('succeeded');
    expect(attempts(result.files.folder)).toEqual(['first', 'nudge']);
  });

  it('nudge, stronger, fresh, and then an end', async () => {
    const { result } = await run('hushed', { idleSeconds: 1 });
    expect(result.outcome).toBe('idle-timeout');
    expect(attempts(result.files.folder)).toEqual(['first', 'nudge', 'stronger', 'fresh']);
    const prompts = [2, 3, 4].map((number) =>
      readFileSync(join(result.files.folder, `attempt-${number}`, 'prompt.md'), 'utf8'),
    );
    expect(prompts[0]).toContain('Nothing was heard');
    expect(prompts[1]).toContain('interrupted twice');
    expect(prompts[2]).toContain('# The spec');
  });
});

describe('numbers beyond all reason', () => {
  const start = (more: { head?: string; profile?: string } = {}): void => {
    lab = new Lab({ 'greet.txt': 'hello\n' });
    const how = { verify: ['`grep -q please greet.txt` (timeout 277777h)'] };
    writeFileSync(join(lab.folder, 'spec.md'), spec('success', { ...how, ...(more.head === undefined ? {} : more) }));
    lab.write({ '.config/kimi-dispatch/profiles.toml': `[default]\n${more.profile ?? ''}\n` }, lab.home);
  };
  const huge = ['steps', 'attempts', 'concurrency', 'pool', 'requestsPerWeek'].map(
    (name) => `${name} = 9007199254740991`,
  );
  const long = ['wall', 'firstOutput', 'idle', 'tool', 'retry'].map((name) => `${name}Seconds = 1e308`);
  const wide = ['output', 'disk'].map((name) => `${name}Megabytes = 1e308`);

  it.each<[string, { head?: string; profile?: string }, string[]]>([
    ['of the command line', {}, ['--timeout', '1e308', '--idle', '3000000000', '--max-steps', '1000000000000']],
    ['of a spec', { head: 'Limits: steps=999999 wall=277777h idle=277777h' }, []],
    ['of a profile', { profile: [...huge, ...long, ...wide].join('\n') }, []],
  ])('%s end no run early', async (_name, what, args) => {
    start(what);
    const ended = await lab.run(['run', '../spec.md', ...args]);
    expect(ended.code, ended.stderr).toBe(0);
  });

  it.each([
    ['--timeout', '9999h'],
    ['--timeout', '0'],
    ['--timeout', '-5'],
    ['--timeout', 'NaN'],
    ['--timeout', '1e309'],
    ['--idle', 'Infinity'],
    ['--max-steps', '1e308'],
    ['--max-steps', '0.5'],
  ])('%s %s is refused in one line', async (flag, value) => {
    start();
    const ended = await lab.run(['run', '../spec.md', flag, value]);
    expect([ended.code, ended.stdout]).toEqual([2, '']);
    expect(ended.stderr).toMatch(new RegExp(`^kimi-dispatch: ${flag} takes .*${value}.*\n$`));
  });

  it.each([
    'steps = 1e308',
    'steps = 0',
    'steps = 99999999999999999999',
    'wallSeconds = inf',
    'idleSeconds = nan',
    'pool = -1',
  ])('a profile with %s is refused in one line', async (profile) => {
    start({ profile });
    const ended = await lab.run(['run', '../spec.md']);
    expect([ended.code, ended.stdout]).toEqual([2, '']);
    expect(ended.stderr).toMatch(/^kimi-dispatch: .*profiles\.toml: .*\n {2}Fix: .*\n$/);
  });
});
