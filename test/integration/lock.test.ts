import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { clearDead, withLock } from '../../src/process/lock.ts';
import { seeded } from '../helpers/faults.ts';
import { ROOT } from '../helpers/repo.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kd-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const holder = (file: string) => {
  const script = join(ROOT, 'test', 'helpers', 'lock-holder.ts');
  const flags = ['--experimental-transform-types', '--disable-warning=ExperimentalWarning'];
  return spawn(process.execPath, [...flags, script, file], { stdio: ['ignore', 'pipe', 'inherit'] });
};

it('a lock whose owner was killed at any moment is cleared or taken over at once, and nothing is left beside it', async () => {
  const file = join(folder, 'own.lock');
  const random = seeded(7);
  for (let round = 0; round < 40; round++) {
    const child = holder(file);
    await once(child.stdout, 'data');
    await new Promise((done) => setTimeout(done, random() * 10));
    child.kill('SIGKILL');
    await once(child, 'close');
    if (round % 2 === 0) clearDead(file);
    else await withLock({ file, what: 'The test', waitMs: 2_000 }, async () => undefined);
    expect(readdirSync(folder)).toEqual([]);
  }
}, 60_000);
