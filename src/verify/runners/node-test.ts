import { count, type Parser, unique } from './model.ts';

/** node --test: TAP (`# pass 3`) or spec (`ℹ pass 3`). Suites that only hold a failed test are not counted. */
export const nodeTest: Parser = (output) => {
  const number = (name: string): number => count(output, new RegExp(`^(?:#|ℹ) ${name} (\\d+)\\s*$`, 'm'));
  if (!/^(?:#|ℹ) tests \d+\s*$/m.test(output) || !/^(?:#|ℹ) pass \d+\s*$/m.test(output)) return undefined;
  return {
    runner: 'node:test',
    passed: number('pass'),
    failed: number('fail') + number('cancelled'),
    skipped: number('skipped') + number('todo'),
    failures: unique([...tapFailures(output), ...specFailures(output)]),
  };
};

function tapFailures(output: string): string[] {
  const blocks = output.matchAll(/^\s*not ok \d+ - (.*)\n\s*---\n([\s\S]*?)\n\s*\.\.\.$/gm);
  return [...blocks]
    .filter((match) => !/failureType: 'subtestsFailed'/.test(match[2] ?? ''))
    .map((match) => (match[1] ?? '').trim());
}

function specFailures(output: string): string[] {
  const from = output.indexOf('✖ failing tests:');
  if (from < 0) return [];
  return [...output.slice(from).matchAll(/^✖ (.*?) \([\d.]+ms\)$/gm)].map((match) => match[1] ?? '');
}
