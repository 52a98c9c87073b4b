import { count, type Parser, unique } from './model.ts';

/** vitest 3 to 5: ` Tests  1 failed | 3 passed | 1 skipped (5)`; failures as ` FAIL  file > suite > test`. */
export const vitest: Parser = (output) => {
  const line = /^\s*Tests\s{2}(.*\(\d+\))\s*$/m.exec(output)?.[1];
  if (line === undefined) return undefined;
  const failures = [...output.matchAll(/^\s*FAIL\s{2}(\S.* > .*)$/gm)].map((match) => (match[1] ?? '').trim());
  return {
    runner: 'vitest',
    passed: count(line, /(\d+) passed/),
    failed: count(line, /(\d+) failed/),
    skipped: count(line, /(\d+) skipped/) + count(line, /(\d+) todo/),
    failures: unique(failures),
  };
};
