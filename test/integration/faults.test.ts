import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { damage, killAt, runsOf, seeded } from '../helpers/faults.ts';
import { Lab, shell, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab.remove());

const make = (scenario = 'slow 1'): void => {
  lab = new Lab({ 'greet.txt': 'hello\n' });
  writeFileSync(join(lab.folder, 'spec.md'), spec(scenario));
};

describe('a dispatcher killed with SIGKILL', () => {
  const steps = ['worktree', 'baseline', 'kimi', 'collect', 'verify'].flatMap((step) => [
    `"step-started","step":"${step}"`,
    `"step-ended","step":"${step}"`,
  ]);
  it.each(['"run-started"', ...steps])('at %s', async (text) => {
    make();
    const before = lab.snapshot();
    await killAt(lab, { text });
    expect(await damage(lab, before)).toEqual([]);
  });

  it('what Kimi wrote beside the change is named when it is recovered', async () => {
    lab = new Lab({ 'greet.txt': 'hello\n', '.gitignore': '*.log\n' });
    const script = shell('echo please > greet.txt; mkdir .GIT; echo x > .GIT/x; echo x > debug.log');
    writeFileSync(join(lab.folder, 'spec.md'), spec(script));
    await killAt(lab, { text: '"step-started","step":"verify"' });
    await lab.run(['recover']);
    const { outcome, changes, notes } = await lab.result();
    expect([outcome, changes.map(({ path }) => path)]).toEqual(['lost', ['greet.txt']]);
    expect(notes.join('\n')).toMatch(/not in the change: \.GIT\/x/);
    expect(notes.join('\n')).toMatch(/ignored by git, so not in the change: debug\.log/);
  });

  it('at random moments', async () => {
    make('success');
    const before = lab.snapshot();
    const random = seeded(20260101);
    for (let round = 0; round < 12; round++) await killAt(lab, { ms: 100 + random() * 700 });
    expect(await damage(lab, before)).toEqual([]);
  }, 60_000);
});

describe('a ledger that is not as it was written', () => {
  const cases: [string, string][] = [
    ['a torn last line', '{"t":"2026-01-01T00:00:00Z","type":"merg'],
    ['a line of zeros', `${'\0'.repeat(4096)}\n`],
    ['foreign lines', 'null\n42\n[]\n{"type":7}\n"text"\n'],
    ['an event of the future', '{"t":"2099-01-01T00:00:00Z","type":"teleported","v":9}\n'],
  ];
  it.each(cases)('%s loses that line and nothing else', async (_name, text) => {
    make('success');
    await lab.run(['run', '../spec.md']);
    const { run } = await lab.result();
    appendFileSync(join(runsOf(lab), run, 'events.ndjson'), text);
    expect((await lab.run(['status'])).stdout).toContain('succeeded');
    expect((await lab.run(['merge', run])).code).toBe(0);
    expect((await lab.run(['status'])).stdout).toContain('merged');
  });

  it('a run of another version is not guessed at', async () => {
    make('success');
    await lab.run(['run', '../spec.md']);
    const { run } = await lab.result();
    const file = join(runsOf(lab), run, 'events.ndjson');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"v":1', '"v":2'));
    rmSync(join(runsOf(lab), '..', 'index.json'), { force: true });
    expect((await lab.run(['status'])).stdout).toContain('No runs');
    expect((await lab.run(['merge', run])).code).toBe(2);
  });
});

describe('a crowd', () => {
  it('sixty runs at once, while somebody holds the locks of git for a second', async () => {
    make('success');
    const before = lab.snapshot();
    const git = join(lab.repo, '.git');
    for (const name of ['config.lock', 'packed-refs.lock']) writeFileSync(join(git, name), '');
    setTimeout(() => {
      for (const name of ['config.lock', 'packed-refs.lock']) rmSync(join(git, name));
    }, 1000);
    const ends = await Promise.all(Array.from({ length: 60 }, () => lab.run(['run', '../spec.md', '--no-baseline'])));
    expect(ends.map((end) => `${end.code} ${end.code === 0 ? '' : end.stderr}`)).toEqual(Array(60).fill('0 '));
    expect(await damage(lab, before)).toEqual([]);
    expect(JSON.parse((await lab.run(['status', '--json'])).stdout).runs).toHaveLength(60);
  }, 120_000);
});

describe.skipIf(process.getuid?.() !== 0)('a full disk (needs mount)', () => {
  it('while Kimi works: an ending with a name, and nothing of the checkout is touched', async () => {
    make('fills');
    const before = lab.snapshot();
    const small = join(lab.folder, 'state');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', small]);
    try {
      const ended = await lab.run(['run', '../spec.md', '--timeout', '3'], { env: { XDG_STATE_HOME: small } });
      expect(ended.code).toBe(6);
      expect(existsSync((await lab.result()).files.report)).toBe(true);
      expect(lab.snapshot()).toEqual(before);
    } finally {
      execFileSync('umount', ['-l', small]);
    }
  }, 30_000);

  it.each([2, 6, 12, 20, 28, 36, 44])(
    'where the ledger lies, with %i KB left: ended with a name, the checkout untouched',
    async (left) => {
      make('success');
      const before = lab.snapshot();
      const small = join(lab.repo, '.git', 'kimi-dispatch');
      mkdirSync(small);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small]);
      try {
        writeFileSync(join(small, 'filler'), Buffer.alloc((60 - left) * 1024));
        const ended = await lab.run(['run', '../spec.md']);
        if (ended.code !== 0) expect(ended.stderr + ended.stdout).toMatch(/ENOSPC|disk is full|no space/i);
        rmSync(join(small, 'filler'));
        expect((await lab.run(['recover'])).code).toBe(0);
        expect(lab.snapshot()).toEqual(before);
      } finally {
        execFileSync('umount', ['-l', small]);
      }
    },
    30_000,
  );
});

it('a clock that jumps back changes no order and no limit', async () => {
  make('success');
  await lab.run(['run', '../spec.md']);
  const file = join(runsOf(lab), (await lab.result()).run, 'events.ndjson');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/"t":"20\d\d/g, '"t":"1999'));
  expect((await lab.run(['status'])).stdout).toContain('succeeded');
});
