/** What a test file asks for, counted in its text: rough, the same way before and after. */
interface Counts {
  readonly cases: number;
  readonly skipped: number;
  readonly assertions: number;
}

const CASES =
  /\b(?:it|test)(?:\.\w+)*\s*\(|^\s*(?:async\s+)?def test_\w+|^func Test\w+|#\[(?:tokio::)?test\]|@Test\b/gm;
const SKIPPED =
  /\b(?:it|test|describe|context)\.(?:skip|only|todo)\b|\bx(?:it|describe|test)\s*\(|\bf(?:it|describe)\s*\(|@(?:pytest\.mark\.(?:skip|xfail)\w*|unittest\.skip\w*|Ignore|Disabled)\b|\bt\.Skip(?:f|Now)?\(|#\[ignore/g;
const ASSERTIONS =
  /\bexpect\s*\(|\bassert\w*[\s.(!]|\.should\b|\brequire\.\w+\(|\bt\.(?:Error|Fatal|Fail)\w*\(|\bis\(|\bok\(/g;

const count = (text: string): Counts => ({
  cases: text.match(CASES)?.length ?? 0,
  skipped: text.match(SKIPPED)?.length ?? 0,
  assertions: text.match(ASSERTIONS)?.length ?? 0,
});

/** How a test file became weaker, in words; empty when it did not. */
export function weakened(before: string | undefined, after: string | undefined): string[] {
  if (before === undefined)
    return after !== undefined && count(after).skipped > 0 ? ['a new test is skipped or focused'] : [];
  if (after === undefined) return ['a test file was removed'];
  const [was, is] = [count(before), count(after)];
  const said: string[] = [];
  if (is.skipped > was.skipped) said.push(`${is.skipped - was.skipped} tests were skipped or focused`);
  if (is.cases < was.cases) said.push(`${was.cases - is.cases} tests were removed`);
  if (is.assertions < was.assertions) said.push(`${was.assertions - is.assertions} assertions fewer`);
  return said;
}
