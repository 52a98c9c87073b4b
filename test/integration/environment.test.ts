import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Lab, shell, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab.remove());

/** A lab whose default profile has these lines, and a spec in it with these commands. */
function prepare(files: Record<string, string>, verify: string[], profile = ''): void {
  lab = new Lab({ 'greet.txt': 'hello\n', ...files });
  const config = join(lab.home, '.config', 'kimi-dispatch');
  mkdirSync(config, { recursive: true });
  writeFileSync(join(config, 'profiles.toml'), `[default]\n${profile}\n`);
  writeFileSync(join(lab.folder, 'spec.md'), spec('success', { verify }));
}

const logOf = async (name: string): Promise<string> => {
  const { run } = await lab.result();
  return readFileSync(join(lab.record(run), 'attempt-1', name), 'utf8');
};

describe('checks at the same time', () => {
  // Each says that it began, and passes when the other one has begun as well; what outlives it is ended with it.
  const meet = 'touch "$1"; sleep 60 & for i in $(seq 40); do test -f "$2" && exit 0; sleep 0.1; done; exit 1\n';
  const commands = (at: string): string[] => [`\`sh meet.sh ${at}/a ${at}/b\``, `\`sh meet.sh ${at}/b ${at}/a\``];

  it('are those of a profile that says so', async () => {
    prepare({ 'meet.sh': meet }, [], 'parallel = 2');
    writeFileSync(join(lab.folder, 'spec.md'), spec('success', { verify: commands(lab.folder) }));
    const ended = await lab.run(['run', '../spec.md', '--no-baseline', '--sandbox', 'off']);
    expect(ended.code, ended.stdout).toBe(0);
    expect((await lab.result()).verification.map(({ command }) => command.at(-1))).toEqual(['b', 'a']);
  });

  it('are none otherwise', async () => {
    prepare({ 'meet.sh': meet }, []);
    writeFileSync(join(lab.folder, 'spec.md'), spec('success', { verify: commands(lab.folder) }));
    expect((await lab.run(['run', '../spec.md', '--no-baseline', '--sandbox', 'off'])).code).toBe(3);
  });
});

describe('the environment of the verification', () => {
  it('is the user’s, with what the profile passes and sets, and without CI, NO_COLOR and secrets', async () => {
    prepare({ 'show.sh': 'env\n' }, ['`sh show.sh`'], 'env = ["MY_FLAG", "MODE=test"]');
    const env = { MY_FLAG: '1', NPM_TOKEN: 'made-up', TERM: 'xterm-256color' };
    await lab.run(['run', '../spec.md'], { env });
    const seen = await logOf('verify-1.log');
    expect(seen).toMatch(/^MY_FLAG=1$/m);
    expect(seen).toMatch(/^MODE=test$/m);
    expect(seen).toMatch(/^TERM=xterm-256color$/m);
    expect(seen).not.toMatch(/^(CI|NO_COLOR|NPM_TOKEN)=/m);
  });

  it('has the version of Node that the repository asks for, where a version manager keeps it; Kimi has its own', async () => {
    prepare({ '.nvmrc': '20.9.0\n' }, ['`node --version`']);
    const bin = join(lab.home, '.nvm', 'versions', 'node', 'v20.9.0', 'bin');
    mkdirSync(bin, { recursive: true });
    writeFileSync(join(bin, 'node'), '#!/bin/sh\necho v20.9.0\n', { mode: 0o755 });
    const ended = await lab.run(['run', '../spec.md']);
    expect([ended.code, await logOf('verify-1.log')]).toEqual([0, 'v20.9.0\n']);
  });

  it('is told before Kimi starts, where it has not the version that the repository asks for', async () => {
    prepare({ '.nvmrc': '4.2\n' }, ['`test -f greet.txt`']);
    const ended = await lab.run(['run', '../spec.md']);
    expect(ended.stderr).toMatch(/\.nvmrc asks for node 4\.2[\s\S]*Kimi implements/);
    expect((await lab.result()).notes.join()).toContain('.nvmrc asks for node 4.2');
  });

  it('has CI only for a runner that would watch files, and the result says so', async () => {
    prepare({ 'bin/vitest': '#!/bin/sh\necho "CI is $CI"\n' }, ['`vitest`']);
    chmodSync(join(lab.repo, 'bin', 'vitest'), 0o755);
    lab.git('commit', '-q', '-a', '-m', 'A runner');
    await lab.run(['run', '../spec.md'], { env: { PATH: `${lab.repo}/bin:${lab.env.PATH}` } });
    expect(await logOf('verify-1.log')).toBe('CI is true\n');
    expect((await lab.result()).notes.join()).toContain('CI=true was set for vitest');
  });

  it('lies in a folder that has no dot folder above it', async () => {
    prepare({ 'show.sh': 'pwd\n' }, ['`sh show.sh`']);
    await lab.run(['run', '../spec.md']);
    expect(await logOf('verify-1.log')).not.toMatch(/\/\./);
  });
});

describe('the verification of the base', () => {
  const events = (): string[] => {
    return readFileSync(join(lab.record(), 'events.ndjson'), 'utf8').split('\n');
  };
  const place = (text: string): number => events().findIndex((line) => line.includes(text));

  it('goes on while Kimi works', async () => {
    // It ends only once Kimi was started.
    const wait = 'for i in $(seq 200); do ls $RUNS/*/attempt-1 >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1\n';
    prepare({ 'wait.sh': wait }, ['`sh wait.sh`'], 'env = ["RUNS"]');
    const ended = await lab.run(['run', '../spec.md'], { env: { RUNS: join(lab.repo, '.git/kimi-dispatch/runs') } });
    expect(ended.code).toBe(0);
    expect(place('"attempt-started"')).toBeLessThan(place('"phase":"baseline"'));
  });

  it('that shows that nothing can be verified ends Kimi, and its work is kept', async () => {
    prepare({ 'late.sh': 'sleep 2\nexit 127\n' }, ['`sh late.sh`']);
    writeFileSync(
      join(lab.folder, 'spec.md'),
      spec(shell('echo please > greet.txt; sleep 600'), { verify: ['`sh late.sh`'] }),
    );
    const ended = await lab.run(['run', '../spec.md']);
    expect(ended.code).toBe(11);
    const result = await lab.result();
    expect(result.outcome).toBe('unverified');
    expect(result.reason).toContain('No verification command can be started on the base: sh late.sh');
    expect(lab.git('show', `${result.branch}:greet.txt`)).toBe('please');
  });

  it('that is red while Kimi works is run again alone before it counts', async () => {
    // Red on the first look only, as a test that met a busy machine.
    const once = 'sleep 1\ntest -e $SEEN && exit 0\ntouch $SEEN\nexit 1\n';
    prepare({ 'once.sh': once }, ['`sh once.sh`'], 'env = ["SEEN"]');
    await lab.run(['run', '../spec.md'], { env: { SEEN: join(lab.folder, 'seen') } });
    expect((await lab.result()).verification[0]).toMatchObject({ verdict: 'passing', before: { code: 0 } });
    expect(place('"attempt-ended"')).toBeLessThan(place('"step-ended","step":"baseline"'));
  });
});
