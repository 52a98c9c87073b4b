import { count, type Parser } from './model.ts';

/** mocha's spec reporter: `  3 passing (4ms)`; a failure's name is spread over indented lines that end with `:`. */
export const mocha: Parser = (output) => {
  if (!/^\s+\d+ passing \(/m.test(output)) return undefined;
  const details = output.slice(output.search(/^\s+\d+ passing \(/m));
  const failures = [...details.matchAll(/^ {2}\d+\) (.*(?:\n {3,}.*?)*?):\n/gm)].map((match) =>
    (match[1] ?? '')
      .split('\n')
      .map((part) => part.trim())
      .join(' > '),
  );
  return {
    runner: 'mocha',
    passed: count(output, /^\s+(\d+) passing \(/m),
    failed: count(output, /^\s+(\d+) failing$/m),
    skipped: count(output, /^\s+(\d+) pending$/m),
    failures,
  };
};
