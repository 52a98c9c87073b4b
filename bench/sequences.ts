// Random sequences of acts and commands (test/helpers/model.ts), counted and printed.
import fc from 'fast-check';
import type { Violation } from '../test/helpers/model/laws.ts';
import { type Script, scripts } from '../test/helpers/model/script.ts';
import { playScript, type Story } from '../test/helpers/model.ts';

export interface Sequences {
  readonly played: number;
  readonly steps: number;
  /** How often each command ended with each exit code, as `merge 0`. */
  readonly ends: Readonly<Record<string, number>>;
  readonly wrong: readonly { readonly violation: Violation; readonly story: Story; readonly script: Script }[];
}

/** Plays so many random sequences, two at a time; the same seed gives the same ones. */
export async function playSequences(count: number, seed: number): Promise<Sequences> {
  const left = fc.sample(scripts, { numRuns: count, seed });
  const ends: Record<string, number> = {};
  const wrong: Sequences['wrong'][number][] = [];
  let steps = 0;
  let done = 0;
  const lane = async (): Promise<void> => {
    for (let script = left.shift(); script !== undefined; script = left.shift()) {
      const story = await playScript(script);
      steps += story.steps;
      for (const [end, times] of Object.entries(story.ends)) ends[end] = (ends[end] ?? 0) + times;
      for (const violation of story.violations) wrong.push({ violation, story, script });
      done += 1;
      if (done % 50 === 0) process.stderr.write(`${done} of ${count} sequences, ${wrong.length} violations\n`);
    }
  };
  await Promise.all([lane(), lane()]);
  return { played: count, steps, ends, wrong };
}
