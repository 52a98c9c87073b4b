import { plainLines } from './plain.ts';

/** Characters at the end of an output in which the first error is looked for, and the longest line that is kept. */
const TAIL = 64 * 1024;
const LONGEST = 300;

const ERROR =
  /^E {3,}\S|^\s*(?:fatal|error)\b|\b[A-Z]\w*(?:Error|Exception)\b.*:|\berror(?:\[\w+\]| TS\d+)?:|\bpanicked at\b|\bnot found$/;
const GREEN = /^\s*(?:[✓✔√]|ok\b|PASS)/;

/** What an output says of its first failure: its first error line, else its last line; undefined when it is empty. */
export function errorLine(output: string): string | undefined {
  const lines = plainLines(output.slice(-TAIL)).map((line) => line.slice(0, LONGEST));
  const found = lines.find((line) => ERROR.test(line) && !GREEN.test(line)) ?? lines.findLast((line) => line !== '');
  return found?.trim();
}
