import { count, type Parser, unique } from './model.ts';

/** pytest: `=== 1 failed, 3 passed in 0.01s ===`, with or without the rule; failures as `FAILED file::test`. */
export const pytest: Parser = (output) => {
  const lines = [...output.matchAll(/^(?:=+ )?((?:\d+ [a-z]+(?:, )?)+|no tests ran) in [\d.]+s.*$/gm)];
  const line = lines.at(-1)?.[1];
  if (line === undefined) return undefined;
  const failures = [...output.matchAll(/^(?:FAILED|ERROR) (\S+?)(?: - .*)?$/gm)].map((match) => match[1] ?? '');
  return {
    runner: 'pytest',
    passed: count(line, /(\d+) passed/) + count(line, /(\d+) xpassed/),
    failed: count(line, /(\d+) failed/) + count(line, /(\d+) errors?/),
    skipped: count(line, /(\d+) skipped/) + count(line, /(\d+) xfailed/),
    failures: unique(failures),
  };
};
