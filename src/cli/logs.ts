import type { RunEvent } from '../ledger/events.ts';
import { follow } from '../ledger/follow.ts';
import { needOf } from '../ledger/state.ts';
import { listRuns, readEvents } from '../ledger/store.ts';
import { quote } from '../quote.ts';
import { wordsFor } from '../text.ts';
import type { World } from '../world.ts';
import { runNamed } from './look.ts';
import { commonDirOf, languageOf, mailText, summaryText } from './status.ts';

type Options = Record<string, unknown>;

/** `logs <run>`: what happened, a line for each event; `-f` goes on until the run ends. */
export async function logsCommand(world: World, args: readonly string[], options: Options): Promise<number> {
  const { folder } = await runNamed(world, args[0]);
  if (options.follow !== true) {
    for (const event of readEvents(folder)) world.out(`${lineOf(event)}\n`);
    return 0;
  }
  await follow({ folder, each: (event) => world.out(`${lineOf(event)}\n`), signal: world.signal });
  return 0;
}

/** One event as one line; what Kimi said is quoted, and inert in a terminal. */
export function lineOf(event: RunEvent): string {
  return `${event.t.slice(11, 19)}  ${quote(wordsOf(event), 160)}`;
}

function wordsOf(event: RunEvent): string {
  switch (event.type) {
    case 'run-started':
      return `run ${event.id}: ${event.title}`;
    case 'run-reopened':
      return `the run goes on: ${event.why}`;
    case 'step-started':
      return event.title;
    case 'step-ended':
      return `${event.step}: ${event.ms} ms`;
    case 'attempt-started':
      return `attempt ${event.attempt} (${event.why})`;
    case 'attempt-ended':
      return `attempt ${event.attempt}: ${event.steps} steps${event.outcome === undefined ? '' : `, ${event.outcome}`}`;
    case 'agent':
      return agentWords(event.event);
    case 'check':
      return `${event.phase}: ${event.command} → ${event.code ?? 'no exit code'}`;
    case 'run-ended':
      return `ended: ${event.outcome}`;
    case 'task':
      return `task ${event.task} ${event.run}: ${event.state}`;
    case 'reviewed':
      return `sent back, round ${event.round}`;
    case 'merged':
      return `merged into ${event.target.replace('refs/heads/', '')}`;
    default:
      return event.type;
  }
}

function agentWords(event: Readonly<Record<string, unknown>>): string {
  if (event.kind === 'tool-call') return `Kimi: ${String(event.tool)} ${String(event.detail ?? '')}`;
  if (event.kind === 'retry')
    return `Kimi tries again in ${Math.round(Number(event.delayMs) / 1000)} s: ${String(event.reason)}`;
  return `Kimi: ${String(event.kind)}`;
}

/** `watch`: all runs, live. On a terminal until Ctrl-C; piped, a block for each change until nothing is at work. */
export async function watchCommand(world: World): Promise<number> {
  const words = wordsFor(languageOf(world.env));
  const commonDir = await commonDirOf(world);
  let shown = '';
  while (!world.signal.aborted) {
    const runs = listRuns(commonDir);
    const text = (await mailText(world)) + summaryText(runs.slice(-50), words);
    if (text !== shown && world.lively) world.control('\u001b[H\u001b[2J');
    if (text !== shown) world.out(world.lively ? `${text}\n${words.watching}\n` : `${text}\n`);
    shown = text;
    if (!world.lively && !runs.some((run) => needOf(run) === 'work')) break;
    await pause(500, world.signal);
  }
  return 0;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    const end = (): void => {
      clearTimeout(timer);
      done();
    };
    signal.addEventListener('abort', end, { once: true });
  });
}
