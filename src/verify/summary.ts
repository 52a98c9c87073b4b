import { stripVTControlCharacters } from 'node:util';
import { cargoTest } from './runners/cargo-test.ts';
import { goTest } from './runners/go-test.ts';
import { jest } from './runners/jest.ts';
import { junit } from './runners/junit.ts';
import { mocha } from './runners/mocha.ts';
import type { Parser, Summary } from './runners/model.ts';
import { nodeTest } from './runners/node-test.ts';
import { pytest } from './runners/pytest.ts';
import { vitest } from './runners/vitest.ts';

export type { Summary } from './runners/model.ts';

const PARSERS: readonly Parser[] = [vitest, jest, junit, nodeTest, cargoTest, pytest, mocha, goTest];

/** The test summary in a command's output, or undefined: then its exit code is all that is known. */
export function summarise(output: string): Summary | undefined {
  const plain = stripVTControlCharacters(output).replaceAll('\r', '');
  for (const parse of PARSERS) {
    const summary = parse(plain);
    if (summary !== undefined) return summary;
  }
  return undefined;
}
