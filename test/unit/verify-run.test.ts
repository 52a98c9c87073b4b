import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runProcess } from '../../src/process/run.ts';
import { readCommand } from '../../src/spec/lines.ts';
import { verify } from '../../src/verify/verify.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'verify-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const run = (text: string, label = 'verify') => {
  const command = readCommand(text, { line: 1, column: 1 });
  const env = { PATH: process.env.PATH ?? '' };
  return verify([command], { dir: folder, env, marker: 'test', logs: folder, label, run: runProcess });
};

it('a second verification of the same label replaces the log of the first', async () => {
  await run('`echo one; echo also one >&2` (shell)');
  await run('`echo two` (shell)');
  expect(readFileSync(join(folder, 'verify-1.log'), 'utf8')).toBe('two\n');
});

it('a red command says what its output says of the first failure', async () => {
  const [check] = await run('`echo start; echo "TypeError: x is not a function"; echo end; exit 1` (shell)');
  expect(check?.message).toBe('TypeError: x is not a function');
});

it('a time limit of more than 24 days does not end a command at once', async () => {
  const [check] = await run('`sleep 0.2` (timeout 9999h)');
  expect(check).toMatchObject({ code: 0, timedOut: false });
});
