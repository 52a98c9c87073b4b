import type { Ora } from 'ora';
import { toolLine } from '../hook/band.ts';
import type { RunEvent } from '../ledger/events.ts';
import { counted, quote } from '../quote.ts';
import type { RunPlan } from '../run/plan.ts';
import type { World } from '../world.ts';

export interface Progress {
  take(event: RunEvent): void;
  stop(): void;
}

/** On a terminal one live line; otherwise one plain line for each step; nothing beside `--ndjson`. */
export async function makeProgress(world: World, plan: RunPlan, quiet: boolean): Promise<Progress> {
  if (quiet) return { take: () => {}, stop: () => {} };
  if (!world.lively) return plainProgress(world);
  const { default: ora } = await import('ora');
  return lively(plan, ora({ stream: process.stderr, discardStdin: false }).start('starting'));
}

export function plainProgress(world: World): Progress {
  let tools = 0;
  let limit: number | undefined;
  return {
    take: (event) => {
      if (event.type === 'run-started') world.err(`run ${event.id}\n`);
      if (event.type === 'step-started') world.err(`${event.title}\n`);
      if (event.type === 'task') world.err(`task ${event.task} ${event.run}: ${event.state}\n`);
      if (event.type === 'check')
        world.err(`  ${quote(event.command, 100)}: ${event.code === null ? 'no exit code' : `exit ${event.code}`}\n`);
      if (event.type === 'attempt-started') limit = event.limit;
      if (event.type === 'agent' && event.event.kind === 'tool-call') {
        tools += 1;
        world.err(`  ${toolLine(event.event, limit)}\n`);
      }
      if (event.type === 'agent' && event.event.kind === 'retry')
        world.err(`  Kimi tries again: ${quote(String(event.event.reason), 120)}\n`);
      if (event.type === 'step-ended' && event.step === 'kimi')
        world.err(`  ${counted(tools, 'tool call')}, ${Math.round(event.ms / 1000)} s\n`);
    },
    stop: () => {},
  };
}

function lively(plan: RunPlan, spinner: Ora): Progress {
  const started = performance.now();
  let title = '';
  let detail = '';
  const draw = (): void => {
    const elapsed = Math.round((performance.now() - started) / 1000);
    spinner.text = `${title}${detail === '' ? '' : ` · ${detail}`} · ${elapsed} s of ${plan.limits.wallSeconds} s`;
  };
  const timer = setInterval(draw, 1000);
  return {
    take: (event) => {
      if (event.type === 'step-started') [title, detail] = [quote(event.title, 80), ''];
      if (event.type === 'check') detail = quote(event.command, 40);
      if (event.type === 'agent' && event.event.kind === 'tool-call')
        detail = `step ${String(event.event.step)} of ${plan.limits.steps} · ${quote(String(event.event.tool), 20)}`;
      draw();
    },
    stop: () => {
      clearInterval(timer);
      spinner.stop();
    },
  };
}
