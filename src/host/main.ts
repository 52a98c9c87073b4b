import { spawn } from 'node:child_process';
import { appendFileSync, readFileSync } from 'node:fs';
import { SandboxManager } from '@anthropic-ai/sandbox-runtime';
import type { HostCall } from '../process/sandbox.ts';

/**
 * The sandbox host: one process for one policy, because the library keeps one network policy per process. It wraps
 * one command, gives it its own stdout and stderr, and ends as it ends. Its stdin is a lifeline: when the dispatcher
 * is gone, so is the command.
 */
async function main(): Promise<void> {
  const call = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as HostCall;
  const refused = new Set<string>();
  await SandboxManager.initialize(call.config, async ({ host, port }) => {
    const name = port === undefined ? host : `${host}:${port}`;
    if (!refused.has(name)) appendFileSync(call.denials, `${name}\n`);
    refused.add(name);
    return false;
  });
  const wrapped = await SandboxManager.wrapWithSandbox(call.command, '/bin/bash');
  const child = spawn(wrapped, { shell: '/bin/sh', stdio: ['ignore', 'inherit', 'inherit'] });
  const end = (): void => void child.kill('SIGKILL');
  process.stdin.on('end', end).on('close', end).on('error', end).resume();
  // The group was signalled, so the command heard it too: this process only waits for its end.
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => child.kill(name));
  const code = await new Promise<number>((done) => {
    child.once('error', () => done(126));
    child.once('exit', (exit, signal) => done(exit ?? (signal === null ? 1 : 137)));
  });
  process.stdin.destroy();
  await SandboxManager.reset();
  process.exitCode = code;
}

main().catch((error: unknown) => {
  process.stderr.write(`kimi-dispatch sandbox: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 125;
});
