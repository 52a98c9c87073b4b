import { type Parser, unique } from './model.ts';

/** go test: with -v every test is counted; without it go prints packages only, and those are what is counted. */
export const goTest: Parser = (output) => {
  const packages = [...output.matchAll(/^(ok {2}|FAIL|\? {1,2})\s+(\S+)(?:\s|$).*$/gm)].filter(
    (match) => /[./]/.test(match[2] ?? '') || match[1] === 'ok  ',
  );
  if (packages.length === 0) return undefined;
  const tests = [...output.matchAll(/^\s*--- (PASS|FAIL|SKIP): (\S+)/gm)].map((match) => ({
    verdict: match[1],
    name: match[2] ?? '',
  }));
  const broken = packages.filter((match) => match[1] === 'FAIL').map((match) => match[2] ?? '');
  const failedTests = leaves(tests.filter((test) => test.verdict === 'FAIL').map((test) => test.name));
  const verbose = tests.some((test) => test.verdict !== 'FAIL');
  const buildFailed = broken.filter(
    (name) => output.includes(`${name} [build failed]`) || output.includes(`${name} [setup failed]`),
  );
  const failures = unique([...failedTests, ...buildFailed]);
  const passed = verbose
    ? leaves(tests.filter((test) => test.verdict === 'PASS').map((test) => test.name)).length
    : packages.filter((match) => match[1]?.trim() === 'ok').length;
  const skipped = tests.filter((test) => test.verdict === 'SKIP').length;
  return {
    runner: 'go test',
    passed,
    failed: Math.max(failures.length, broken.length),
    skipped,
    failures: failures.length > 0 ? failures : broken,
  };
};

/** A parent test fails with its subtest: only the innermost names count. */
const leaves = (names: readonly string[]): string[] =>
  names.filter((name) => !names.some((other) => other.startsWith(`${name}/`)));
