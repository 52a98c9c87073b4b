import { count, names, type Parser, runsIn, type Summary, unique } from './model.ts';

const TOTAL = /^(={3,} )?((?:\d+ [a-z]+(?:, )?)+|no tests ran) in [\d.]+s(?: \([\d:]+\))?( ={3,})?$/;
const OUTCOME = /^(\S.*?::.*?) (PASSED|XPASS|FAILED|ERROR|SKIPPED|XFAIL)\b/;
const XDIST = /^\[gw\d+\] \[ *\d+%\] (PASSED|XPASS|FAILED|ERROR|SKIPPED|XFAIL) (\S.*)$/;

/**
 * pytest: `=== 1 failed, 3 passed in 0.01s ===`, and with -q the same without the rule, after a progress line or the
 * list of what failed.
 */
export const pytest: Parser = (lines) =>
  runsIn(lines, (index) => TOTAL.test(lines[index] ?? ''))
    .filter((run) => {
      const [, rule, words, close] = TOTAL.exec(run.at(-1) ?? '') ?? [];
      if (rule !== undefined || close !== undefined) return rule !== undefined && close !== undefined;
      return words === 'no tests ran' || run.some((line) => /\[ *\d+%\]$|^=+ short test summary info =+$/.test(line));
    })
    .map(read);

function read(lines: readonly string[]): Summary {
  const total = TOTAL.exec(lines.at(-1) ?? '')?.[2] ?? '';
  const tests = lines.flatMap((line) => {
    const plain = OUTCOME.exec(line);
    if (plain !== null) return [{ name: plain[1] ?? '', word: plain[2] ?? '' }];
    const spread = XDIST.exec(line);
    return spread === null ? [] : [{ name: spread[2] ?? '', word: spread[1] ?? '' }];
  });
  const named = (pattern: RegExp): string[] => tests.filter(({ word }) => pattern.test(word)).map(({ name }) => name);
  const listed = lines.flatMap((line) => /^(?:FAILED|ERROR) (\S.*)$/.exec(line)?.[1] ?? []).map(idOf);
  return {
    runner: 'pytest',
    passed: count(total, /(\d+) passed/) + count(total, /(\d+) xpassed/),
    failed: count(total, /(\d+) failed/) + count(total, /(\d+) errors?/),
    skipped: count(total, /(\d+) skipped/) + count(total, /(\d+) xfailed/),
    failures: unique(listed),
    ...names(named(/^X?PASS/), named(/^SKIPPED|^XFAIL/)),
  };
}

/** `file::test[a - b] - message`: the parameters of a test may hold blanks and the dash that begins the message. */
function idOf(text: string): string {
  const bracket = text.indexOf('[');
  const dash = text.indexOf(' - ');
  if (bracket < 0 || (dash >= 0 && dash < bracket)) return dash < 0 ? text : text.slice(0, dash);
  const close = text.indexOf('] - ', bracket);
  return close < 0 ? text : text.slice(0, close + 1);
}
