import { describe, expect, it } from 'vitest';
import { hiddenStatus } from '../../src/spec/exit-status.ts';

describe('what hides the exit code of a command', () => {
  it.each(['true', ':', '/bin/true', 'exit 0', 'echo a && echo b', 'sh -c "exit 0"'])('%s cannot fail', (text) => {
    expect(hiddenStatus(text)).toBe('no-op');
  });

  it.each([
    'npm test || true',
    'npm test ||:',
    'npm test || exit 0',
    'npm test || /bin/true',
    'npm test || echo x',
    'npm test || (true)',
    'npm test || { true; }',
    'npm test; true',
    'npm test; cat x',
    'npm test; exit 0',
    'npm test; echo $?',
    'npm test &',
    'npm test &> log; true',
    'npm test && true || true',
    "bash -c 'npm test || true'",
  ])('%s always succeeds', (text) => {
    expect(hiddenStatus(text)).toBe('forced');
  });

  it.each([
    'npm test | tee log',
    'npm test 2>&1 | tail -5',
    'npm test | sort | head',
    'npm test |& cat',
    '(cd a; npm test) | wc -l',
  ])('%s ends with a program that says nothing', (text) => {
    expect(hiddenStatus(text)).toBe('pipe');
  });

  it.each([
    'npm test',
    'cat x',
    'npm test | grep -q ok',
    'curl x | jq -e .a',
    'cat a | diff - b',
    'echo x; test y',
    'npm test || exit 1',
    'npm test || { echo bad; exit 1; }',
    'npm test; exit $?',
    'npm test; rc=$?; cat log; exit $rc',
    'set -e; npm test; cat x',
    "bash -o pipefail -c 'npm test | tee log'",
    'server & npm test',
    'test "$(cat x | wc -l)" = 3',
    'test $(cat x | wc -l) -eq 3',
    'diff <(sort a) <(sort b)',
    'if npm test; then echo ok; else exit 1; fi',
    'grep "a || true" f',
    'npm test # || true',
    '${',
  ])('%s is heard', (text) => {
    expect(hiddenStatus(text)).toBeUndefined();
  });
});
