import { createInterface } from 'node:readline/promises';
import { refusalOf } from '../errors.ts';
import { leaving } from '../quote.ts';
import { AGREED } from '../run/agreement.ts';
import type { World } from '../world.ts';

/** Asks the person at the terminal; anything but a yes is a no. */
export async function ask(question: string, signal: AbortSignal): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const closed = new Promise<string>((done) => terminal.once('close', () => done('')));
  const said = terminal.question(leaving(question, { json: false, runner: false }), { signal });
  const answer = await Promise.race([said.catch(() => ''), closed]);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

/**
 * Carries a command out. Where it is refused because nobody has reviewed what it would run, the person at the terminal
 * is asked, and a yes starts it again: a refused command left everything as it was.
 */
export async function withAgreement(world: World, start: (world: World) => Promise<number>): Promise<number> {
  try {
    return await start(world);
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal?.code !== 'unreviewed' || !(await world.confirm?.(`${refusal.message}\nRun it? [y/N] `))) throw error;
    return start({ ...world, env: { ...world.env, ...AGREED } });
  }
}
