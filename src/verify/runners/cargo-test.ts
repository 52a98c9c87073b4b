import { names, type Parser, runsIn, type Summary, unique } from './model.ts';

const RESULT = /^test result: \S+\. (\d+) passed; (\d+) failed; (\d+) ignored;/;

/** cargo test: for each binary `running 3 tests`, its tests, and one `test result:` line. */
export const cargoTest: Parser = (lines) =>
  runsIn(lines, (index) => RESULT.test(lines[index] ?? ''))
    .filter((run) => run.some((line) => /^running \d+ tests?$/.test(line)))
    .map(read);

function read(lines: readonly string[]): Summary {
  const [, passed = '0', failed = '0', ignored = '0'] = RESULT.exec(lines.at(-1) ?? '') ?? [];
  const ending = (end: RegExp): string[] =>
    lines.flatMap((line) => {
      const name = /^(?:test )?(\S.*?)(?= (?:\.\.\.|---) )/.exec(line)?.[1];
      return name !== undefined && end.test(line) ? [name] : [];
    });
  return {
    runner: 'cargo test',
    passed: Number(passed),
    failed: Number(failed),
    skipped: Number(ignored),
    failures: unique(ending(/ (?:\.\.\.|---) FAILED$/)),
    ...names(ending(/ \.\.\. ok$/), ending(/ \.\.\. ignored/)),
  };
}
