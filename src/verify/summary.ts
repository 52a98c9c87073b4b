import { plainLines } from './plain.ts';
import { cargoTest } from './runners/cargo-test.ts';
import { goTest } from './runners/go-test.ts';
import { jest } from './runners/jest.ts';
import { junit } from './runners/junit.ts';
import { mocha } from './runners/mocha.ts';
import { type Parser, type Summary, unique } from './runners/model.ts';
import { nodeTest } from './runners/node-test.ts';
import { pytest } from './runners/pytest.ts';
import { vitest } from './runners/vitest.ts';

export type { Summary } from './runners/model.ts';

/** Each reads lines without trailing blanks, and no two empty ones after each other. */
const PARSERS: readonly Parser[] = [vitest, jest, nodeTest, cargoTest, pytest, mocha, goTest];
/** Characters of an output that are read, from its end. */
const TEXT_CAP = 4 * 1024 * 1024;

/** The test summary in a command's output, or undefined: then its exit code is all that is known. */
export function summarise(output: string): Summary | undefined {
  const text = output.slice(-TEXT_CAP);
  const lines = plainLines(text).filter((line, index, all) => line !== '' || all[index - 1] !== '');
  const found = [...junit(text), ...apart(lines).flatMap((group) => PARSERS.flatMap((parse) => parse(group)))];
  return found.length < 2 ? found[0] : sum(found);
}

/** `packages/a test: `, `web:test: ` or `[web]: `, which pnpm, turbo and yarn put before the lines of a package. */
const PREFIX = /^(?:[@\w./-]+ test(?::[\w-]+)?: ?|[@\w./-]+:test(?::[\w-]+)?: ?|\[[@\w./-]+\]: ?)/;

/** The lines of each package apart, because packages that run at the same time print in between each other. */
function apart(lines: readonly string[]): string[][] {
  const groups = new Map<string, string[]>([['', []]]);
  for (const line of lines) {
    const prefix = PREFIX.exec(line)?.[0] ?? '';
    const group = groups.get(prefix) ?? [];
    group.push(line.slice(prefix.length));
    groups.set(prefix, group);
  }
  return [...groups.values()];
}

/** Several runs in one output, as one. Names are kept when every run that passed tests named them. */
function sum(found: readonly Summary[]): Summary {
  const total = (of: (summary: Summary) => number): number => found.reduce((all, summary) => all + of(summary), 0);
  const files = new Map<string, number>();
  for (const summary of found)
    for (const [file, tests] of Object.entries(summary.files ?? {})) files.set(file, (files.get(file) ?? 0) + tests);
  const passes = found.flatMap((summary) => summary.passes ?? []);
  const skips = found.flatMap((summary) => summary.skips ?? []);
  return {
    runner: unique(found.map((summary) => summary.runner)).join(', '),
    passed: total((summary) => summary.passed),
    failed: total((summary) => summary.failed),
    skipped: total((summary) => summary.skipped),
    failures: unique(found.flatMap((summary) => summary.failures)),
    ...(passes.length === 0 ? {} : { passes }),
    ...(skips.length === 0 ? {} : { skips }),
    ...(files.size === 0 ? {} : { files: Object.fromEntries(files) }),
  };
}
