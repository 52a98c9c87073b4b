import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { statusCommand, summaryCommand } from './cli/status.ts';
import { exitOfError, refusalOf } from './errors.ts';
import { type World, withHome } from './world.ts';

/** The one place that reads the environment and sets the exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => abort.abort());
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
  const env = withHome(process.env);
  const world: World = {
    argv,
    cwd: process.cwd(),
    env,
    root: programRoot(dirname(fileURLToPath(import.meta.url))),
    now: () => new Date(),
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    lively: process.stderr.isTTY === true && env.CI === undefined && env.NO_COLOR === undefined && env.TERM !== 'dumb',
    signal: abort.signal,
  };
  try {
    process.exitCode = await run(argv, world);
  } catch (error) {
    process.exitCode = explain(error, world);
  }
}

/** `status`, `summary` and `inbox` are asked for all the time: they do without the parser of the other commands. */
async function run(argv: readonly string[], world: World): Promise<number> {
  const [command, ...flags] = argv;
  const list = command === 'status' ? statusCommand : command === 'summary' ? summaryCommand : undefined;
  if (list !== undefined && flags.every((flag) => flag === '--json'))
    return list(world, [], { json: flags.length > 0 });
  if (command === 'inbox' && flags.every((flag) => flag === '--json'))
    return (await import('./cli/inbox.ts')).inboxCommand(world, [], { json: flags.length > 0 });
  return (await import('./cli/cli.ts')).runCli(argv, world);
}

function explain(error: unknown, world: World): number {
  const refusal = refusalOf(error);
  if (refusal === undefined) {
    world.err(
      `kimi-dispatch: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n  This is a defect of kimi-dispatch. Nothing of your checkout was changed by it.\n`,
    );
    return exitOfError('internal');
  }
  world.err(`kimi-dispatch: ${refusal.message}\n${refusal.fix === undefined ? '' : `  To mend it: ${refusal.fix}\n`}`);
  return exitOfError(refusal.code);
}

/** The folder that holds templates/, whether we run from dist/ or from src/. */
function programRoot(from: string): string {
  return existsSync(join(from, 'templates')) || dirname(from) === from ? from : programRoot(dirname(from));
}
