import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { Lab, ROOT, spec } from '../helpers/repo.ts';
import { until } from '../helpers/until.ts';

let lab: Lab;
afterEach(() => lab.remove());

const canUnshare = spawnSync('unshare', ['-pf', '--mount-proc', 'true']).status === 0;

it.skipIf(!canUnshare)(
  'a run in another pid namespace is neither lost nor ended from here (needs unshare)',
  async () => {
    lab = new Lab({ 'greet.txt': 'hello\n' });
    writeFileSync(join(lab.folder, 'spec.md'), spec('slow 6'));
    const program = join(ROOT, 'bin', 'kimi-dispatch.js');
    const child = spawn(
      'unshare',
      ['-pf', '--mount-proc', process.execPath, program, 'run', '../spec.md', '--no-baseline'],
      { cwd: lab.repo, env: lab.env, stdio: 'ignore' },
    );
    const ended = once(child, 'exit');
    const status = async () => (await lab.run(['status'])).stdout;
    await until('the run is at work', async () => (await status()).includes('running'));
    expect(await status()).toContain('in a container that cannot be seen from here');
    const recovered = await lab.run(['recover']);
    expect(recovered.stdout).toBe('Nothing was lost.\n');
    expect(recovered.stderr).toContain('If that is gone: kimi-dispatch recover');
    const cancelled = await lab.run(['cancel', '@last']);
    expect([cancelled.code, cancelled.stderr]).toEqual([2, expect.stringContaining('another container')]);
    await ended;
    expect(await status()).toContain('succeeded');
  },
  60_000,
);
