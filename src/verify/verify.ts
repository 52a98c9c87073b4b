import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Runner } from '../process/run.ts';
import type { Command } from '../spec/model.ts';
import { type Check, ok } from './compare.ts';
import { errorLine } from './message.ts';
import { summarise } from './summary.ts';
import { watches } from './watcher.ts';
import { splitCommand } from './words.ts';

export interface VerifyPlace {
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly marker: string;
  /** Where the logs go, and what their names begin with. */
  readonly logs: string;
  readonly label: string;
  readonly signal?: AbortSignal;
  readonly run: Runner;
  /** The scripts of the tree's package.json. */
  readonly scripts?: Readonly<Record<string, string>>;
}

const DEFAULT_SECONDS = 600;
const LOG_CAP = 32 * 1024 * 1024;
const READ_CAP = 4 * 1024 * 1024;

/**
 * Runs the commands one after another; each has its own time limit and log, which takes the place of an earlier one of
 * the same label. `manual` ones are not run.
 */
export async function verify(
  commands: readonly Command[],
  place: VerifyPlace,
  each?: (check: Check) => void,
): Promise<Check[]> {
  const checks: Check[] = [];
  for (const index of runnable(commands).keys()) {
    const check = await verifyOne(commands, index, place);
    if (check === undefined) break;
    checks.push(check);
    each?.(check);
  }
  return checks;
}

/** Runs one of the commands that `verify` runs, by its place among them; undefined once the signal is given. */
export async function verifyOne(
  commands: readonly Command[],
  index: number,
  place: VerifyPlace,
): Promise<Check | undefined> {
  const command = runnable(commands)[index];
  if (command === undefined || place.signal?.aborted === true) return undefined;
  return runOne(command, place, `${place.label}-${index + 1}`);
}

const runnable = (commands: readonly Command[]): Command[] => commands.filter((item) => item.kind === 'command');

async function runOne(command: Command, place: VerifyPlace, name: string): Promise<Check> {
  const log = join(place.logs, `${name}.log`);
  const words = command.shell ? { env: {}, argv: ['/bin/sh', '-c', command.text] } : splitCommand(command.text);
  const ci = place.env.CI === undefined && watches(command.text, place.scripts ?? {});
  const { text, expect, baselineFails } = command;
  const facts = { command: text, expect, baselineFails, log, ...(ci ? { ciSet: true } : {}) };
  if ('needsShell' in words) return { ...facts, code: 126, timedOut: false, durationMs: 0 };
  rmSync(log, { force: true });
  const end = await place.run({
    file: words.argv[0] ?? '',
    args: words.argv.slice(1),
    cwd: place.dir,
    env: { ...place.env, ...(ci ? { CI: 'true' } : {}), ...words.env },
    // Of its own: what outlives one command is ended, and not what runs beside it.
    marker: `${place.marker}/${name}`,
    wallMs: (command.timeoutSeconds ?? DEFAULT_SECONDS) * 1000,
    stdoutFile: log,
    stderrFile: log,
    fileCap: LOG_CAP,
    ...(place.signal === undefined ? {} : { signal: place.signal }),
  });
  // A program that is not there has no exit code of its own; the shell's 127 says the same thing.
  const code = end.ending.kind === 'exited' ? end.ending.code : end.ending.kind === 'not-started' ? 127 : null;
  // Names of tests and messages are the same wherever the worktree lies.
  const output = readEnd(log).replaceAll(`${place.dir}/`, '');
  const check: Check = {
    ...facts,
    code,
    timedOut: end.cause === 'deadline',
    durationMs: end.durationMs,
    ...(end.denied === undefined || end.denied.length === 0 ? {} : { denied: [...end.denied] }),
    summary: summarise(output),
  };
  // Whatever it says of itself: what it was run on is gone.
  if (!existsSync(place.dir)) return { ...check, code: null, message: 'it removed the folder that it ran in' };
  const message = ok(check) ? undefined : errorLine(output);
  return message === undefined ? check : { ...check, message };
}

function readEnd(log: string): string {
  const text = statSync(log, { throwIfNoEntry: false }) === undefined ? Buffer.alloc(0) : readFileSync(log);
  return text.subarray(-READ_CAP).toString('utf8');
}
