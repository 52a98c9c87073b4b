import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask } from '../process/ask.ts';
import { quote } from '../quote.ts';
import type { Result } from '../review/result.ts';
import { wordsFor } from '../text.ts';
import type { World } from '../world.ts';
import { languageOf } from './status.ts';

/**
 * Tells the person that a run has ended: the command that they set (`notify = "..."` in the settings file, with the run in
 * its environment), else the desktop where there is one, and the bell of a terminal. Never fails a run.
 */
export async function notify(world: World, result: Result): Promise<void> {
  const words = wordsFor(languageOf(world.env));
  const text = quote(`${result.title} ${words.ended}`, 120);
  await tell(world, { title: `kimi-dispatch: ${result.outcome}`, text, run: result.run, outcome: result.outcome });
}

/** An escalation reaches the person by the same ways. */
export async function notifyEscalation(world: World, subject: string): Promise<void> {
  const words = wordsFor(languageOf(world.env));
  await tell(world, {
    title: `kimi-dispatch: ${words.escalated}`,
    text: quote(subject, 120),
    run: '',
    outcome: 'escalated',
  });
}

interface Note {
  readonly title: string;
  readonly text: string;
  readonly run: string;
  readonly outcome: string;
}

async function tell(world: World, { title, text, run, outcome }: Note): Promise<void> {
  if (world.lively) world.err('\u0007');
  const own = notifyCommand(world.env);
  const env = { PATH: world.env.PATH ?? '', HOME: world.env.HOME ?? '/' };
  if (own !== undefined) {
    const facts = { KIMI_DISPATCH_RUN: run, KIMI_DISPATCH_OUTCOME: outcome, KIMI_DISPATCH_TITLE: text };
    await ask('/bin/sh', ['-c', own], { ...env, ...facts }, 10_000).catch(() => undefined);
    return;
  }
  const display = world.env.DISPLAY ?? world.env.WAYLAND_DISPLAY;
  if (display === undefined || world.env.CI !== undefined) return;
  const bus = world.env.DBUS_SESSION_BUS_ADDRESS ?? '';
  await ask('notify-send', [title, text], { ...env, DISPLAY: display, DBUS_SESSION_BUS_ADDRESS: bus }, 5000).catch(
    () => undefined,
  );
}

function notifyCommand(env: World['env']): string | undefined {
  const file = join(env.XDG_CONFIG_HOME ?? join(env.HOME ?? '/', '.config'), 'kimi-dispatch', 'config.toml');
  const line = existsSync(file)
    ? /^notify\s*=\s*("(?:[^"\\]|\\.)*")/m.exec(readFileSync(file, 'utf8'))?.[1]
    : undefined;
  try {
    return line === undefined ? undefined : (JSON.parse(line) as string);
  } catch {
    return undefined;
  }
}
