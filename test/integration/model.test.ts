import fc from 'fast-check';
import { expect, it } from 'vitest';
import { scripts } from '../helpers/model/script.ts';
import { playScript, shorten } from '../helpers/model.ts';

const SEQUENCES = 40;
const LANES = 2;

it('nothing of the user is lost, and what is merged is what ran, in random sequences of acts and commands', async () => {
  const left = fc.sample(scripts, { numRuns: SEQUENCES, seed: 20261124 });
  const failed = new Map<string, string>();
  const lane = async (): Promise<void> => {
    for (let script = left.shift(); script !== undefined; script = left.shift()) {
      const { violations } = await playScript(script);
      const kind = violations.find((violation) => !failed.has(violation.kind))?.kind;
      if (kind === undefined) continue;
      failed.set(kind, '');
      // `shorten` plays it again and again without one of its parts, as long as the same law is broken.
      const short = await shorten(script, (violation) => violation.kind === kind, 10_000);
      failed.set(kind, `${short.story.lines.join('\n')}\n${JSON.stringify(short.script)}`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  expect([...failed].map(([kind, story]) => `${kind}\n${story}`).join('\n\n')).toBe('');
}, 300_000);
