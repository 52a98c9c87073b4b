import { count, type Parser, unique } from './model.ts';

/** jest: `Tests:       1 failed, 1 skipped, 3 passed, 5 total`; failures as `  ● suite › test`. */
export const jest: Parser = (output) => {
  const line = /^Tests:\s+(.*\d+ total)\s*$/m.exec(output)?.[1];
  if (line === undefined) return undefined;
  const failures = [...output.matchAll(/^ {2}● (.*\S)\s*$/gm)].map((match) => match[1] ?? '');
  return {
    runner: 'jest',
    passed: count(line, /(\d+) passed/),
    failed: count(line, /(\d+) failed/),
    skipped: count(line, /(\d+) skipped/) + count(line, /(\d+) todo/),
    failures: unique(failures),
  };
};
