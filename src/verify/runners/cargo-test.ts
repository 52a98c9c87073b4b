import { type Parser, unique } from './model.ts';

/** cargo test: one `test result:` line for each binary; they are added up. */
export const cargoTest: Parser = (output) => {
  const rows = [...output.matchAll(/^test result: \S+\. (\d+) passed; (\d+) failed; (\d+) ignored;/gm)];
  if (rows.length === 0) return undefined;
  const sum = (index: number): number => rows.reduce((total, row) => total + Number(row[index]), 0);
  const failures = [...output.matchAll(/^(?:test )?(\S+)(?: \.\.\.| ---) FAILED$/gm)].map((match) => match[1] ?? '');
  return { runner: 'cargo test', passed: sum(1), failed: sum(2), skipped: sum(3), failures: unique(failures) };
};
