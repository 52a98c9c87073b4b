import type { Refusal } from '../errors.ts';
import { clean } from '../quote.ts';
import type { Finding } from '../spec/model.ts';

/** True when the command line asks for JSON: a refusal is told as JSON too. */
export const wantsJson = (argv: readonly string[]): boolean =>
  (argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv).includes('--json');

/** A refusal as `--json` prints it. `fix` is null where nothing mends it; `findings` are those of a spec with errors. */
export const refusalJson = ({ code, message, fix }: Refusal, findings?: readonly Finding[]): string =>
  `${JSON.stringify({ version: 1, error: { code, message, fix: fix ?? null }, ...(findings === undefined ? {} : { findings }) })}\n`;

/** A refusal for people. Further lines of a message are others' words: each is marked, so that none passes for a fix. */
export const refusalText = ({ message, fix }: Refusal): string =>
  `kimi-dispatch: ${plain(message)}\n${fix === undefined ? '' : `  Fix: ${plain(fix)}\n`}`;

const plain = (text: string): string => clean(text).trimEnd().replaceAll('\n', '\n  | ');
