import { type Parser, unique } from './model.ts';

const ENTITIES: Record<string, string> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };
const plainText = (text: string): string =>
  text.replace(/&(lt|gt|quot|apos|amp);/g, (_, name: string) => ENTITIES[name] ?? '');
const attribute = (tag: string, name: string): string =>
  plainText(new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1] ?? '');

/** JUnit XML on standard output: test cases are counted one by one, because the totals differ between writers. */
export const junit: Parser = (output) => {
  if (!/<testsuites?[\s>]/.test(output)) return undefined;
  const failures: string[] = [];
  let passed = 0;
  let skipped = 0;
  for (const match of output.matchAll(/<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
    const body = match[2] ?? '';
    if (/<(failure|error)[\s>/]/.test(body))
      failures.push(`${attribute(match[1] ?? '', 'classname')} > ${attribute(match[1] ?? '', 'name')}`);
    else if (/<skipped[\s>/]/.test(body)) skipped += 1;
    else passed += 1;
  }
  return { runner: 'junit', passed, failed: failures.length, skipped, failures: unique(failures) };
};
