import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type ProcessCall, runProcess } from '../../src/process/run.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kd-reader-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const start = (script: string, more: Partial<ProcessCall> = {}) =>
  runProcess({
    file: '/bin/sh',
    args: ['-c', script],
    cwd: folder,
    env: { PATH: process.env.PATH ?? '' },
    marker: `${folder}-${script.length}`,
    wallMs: 60_000,
    stdoutFile: join(folder, 'out'),
    stderrFile: join(folder, 'err'),
    ...more,
  });

it.each([
  [
    'what reads its output',
    {
      onStdout: () => {
        throw new Error('a defect');
      },
    },
  ],
  [
    'what watches it from the start',
    {
      onStart: () => {
        throw new Error('a defect');
      },
    },
  ],
  [
    'a timer of the watch',
    { onStart: (stop: Parameters<NonNullable<ProcessCall['onStart']>>[0]) => stop('failed', new Error('a defect')) },
  ],
])('a defect in %s ends that program and rejects that call; another one goes on', async (_name, callbacks) => {
  const other = start('sleep 1; echo well');
  await expect(start('echo begun; sleep 50', callbacks)).rejects.toThrow('a defect');
  expect(await other).toMatchObject({ ending: { kind: 'exited', code: 0 }, stdoutTail: 'well\n' });
});
