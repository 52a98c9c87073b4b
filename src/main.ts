import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { refusalJson, refusalText, wantsJson } from './cli/refusal.ts';
import { statusCommand, summaryCommand } from './cli/status.ts';
import { exitOfError, type Refusal } from './errors.ts';
import { leaving } from './quote.ts';
import { refusalFrom } from './system-error.ts';
import { type World, withHome } from './world.ts';

/** The one place that reads the environment and sets the exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => abort.abort());
  const env = withHome(process.env);
  const runner = env.GITHUB_ACTIONS === 'true' || env.TF_BUILD !== undefined;
  const json = wantsJson(argv) || argv.includes('--ndjson');
  const world: World = {
    argv,
    cwd: process.cwd(),
    env,
    root: programRoot(dirname(fileURLToPath(import.meta.url))),
    now: () => new Date(),
    out: (text) => void process.stdout.write(leaving(text, { json, runner })),
    err: (text) => void process.stderr.write(leaving(text, { json: false, runner })),
    control: (text) => void process.stderr.write(text),
    lively: process.stderr.isTTY === true && env.CI === undefined && env.NO_COLOR === undefined && env.TERM !== 'dumb',
    signal: abort.signal,
    ...(atTerminal(env)
      ? { confirm: async (question) => (await import('./cli/confirm.ts')).ask(question, abort.signal) }
      : {}),
  };
  process.stderr.on('error', () => {});
  // A reader that has seen enough is no failure; a full disk under a redirect is.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.exitCode = explain(error, { ...world, out: () => {} });
  });
  // Thrown where nobody waits, by a stream or a child: told like any other failure.
  process.on('uncaughtException', (error) => process.exit(explain(error, world)));
  try {
    // Not over a failure of stdout that was told meanwhile.
    const code = await run(argv, world);
    process.exitCode ??= code;
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
  const [{ runCli }, { withAgreement }] = await Promise.all([import('./cli/cli.ts'), import('./cli/confirm.ts')]);
  return withAgreement(world, (agreed) => runCli(argv, agreed));
}

/** A person reads and answers here: no runner, no model. */
const atTerminal = (env: World['env']): boolean =>
  process.stdin.isTTY === true && process.stderr.isTTY === true && env.CI === undefined && env.CLAUDECODE === undefined;

function explain(error: unknown, world: World): number {
  const refusal = refusalFrom(error) ?? defect(error);
  world.err(refusalText(refusal));
  if (wantsJson(world.argv)) world.out(refusalJson(refusal));
  return exitOfError(refusal.code);
}

const defect = (error: unknown): Refusal => ({
  code: 'internal',
  message: `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\nThis is a defect of kimi-dispatch. Nothing of your checkout was changed by it.`,
});

/** The folder that holds templates/, whether we run from dist/ or from src/. */
function programRoot(from: string): string {
  return existsSync(join(from, 'templates')) || dirname(from) === from ? from : programRoot(dirname(from));
}
