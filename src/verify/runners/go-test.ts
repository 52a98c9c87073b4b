import { names, type Parser, type Summary, unique } from './model.ts';

const PACKAGE =
  /^(?:(ok) {2}\t(\S+)\t(?:[\d.]+s|\(cached\)).*|(FAIL)\t(\S+)(?:\t[\d.]+s| \[\w+ failed\])|\? {3}\t(\S+)\t\[no test files\])$/;

/** go test: with -v every test is counted; without it go prints packages only, and those are what is counted. */
export const goTest: Parser = (lines) => {
  const packages = lines.flatMap((line) => PACKAGE.exec(line) ?? []);
  return packages.length === 0 ? [] : [read(lines)];
};

function read(lines: readonly string[]): Summary {
  const packages = lines.map((line) => PACKAGE.exec(line)).filter((match) => match !== null);
  const green = packages.flatMap((match) => (match[1] === undefined ? [] : [match[2] ?? '']));
  const broken = packages.flatMap((match) => (match[3] === undefined ? [] : [match[4] ?? '']));
  const tests = lines.map((line) => /^ *--- (PASS|FAIL|SKIP): (\S+)/.exec(line)).filter((match) => match !== null);
  const named = (verdict: string): string[] =>
    tests.filter((match) => match[1] === verdict).map((match) => match[2] ?? '');
  const verbose = tests.some((match) => match[1] !== 'FAIL');
  const unbuilt = lines.flatMap((line) => /^FAIL\t(\S+) \[\w+ failed\]$/.exec(line)?.[1] ?? []);
  const failures = unique([...leaves(named('FAIL')), ...unbuilt]);
  const passes = leaves(named('PASS'));
  return {
    runner: 'go test',
    passed: verbose ? passes.length : green.length,
    failed: Math.max(failures.length, broken.length),
    skipped: named('SKIP').length,
    failures: failures.length > 0 ? failures : broken,
    ...(verbose ? names(passes, named('SKIP')) : { files: Object.fromEntries(green.map((name) => [name, 1])) }),
  };
}

/** A parent test fails with its subtest: only the innermost names count. */
function leaves(found: readonly string[]): string[] {
  const parents = new Set<string>();
  for (const name of found)
    for (let cut = name.lastIndexOf('/'); cut > 0; cut = name.lastIndexOf('/', cut - 1)) {
      const parent = name.slice(0, cut);
      if (parents.has(parent)) break;
      parents.add(parent);
    }
  return found.filter((name) => !parents.has(name));
}
