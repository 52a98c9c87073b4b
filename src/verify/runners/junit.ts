import { names, type Summary, unique } from './model.ts';

const ENTITIES: Record<string, string> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };
const plainText = (text: string): string =>
  text.replace(/&(lt|gt|quot|apos|amp);/g, (_, name: string) => ENTITIES[name] ?? '');
const attribute = (tag: string, name: string): string =>
  plainText(new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1] ?? '');

/** JUnit XML on standard output: test cases are counted one by one, because the totals differ between writers. */
export function junit(text: string): Summary[] {
  if (!/<testsuites?[\s>]/.test(text) || !text.includes('</testsuite')) return [];
  const [passes, failures, skips]: [string[], string[], string[]] = [[], [], []];
  for (const part of text.split(/<testcase(?=\s)/).slice(1)) {
    const end = part.indexOf('>');
    const tag = part.slice(0, end);
    const name = `${attribute(tag, 'classname')} > ${attribute(tag, 'name')}`;
    const close = part.indexOf('</testcase>');
    const body = tag.endsWith('/') ? '' : part.slice(end, close < 0 ? undefined : close);
    if (/<(failure|error)[\s>/]/.test(body)) failures.push(name);
    else if (/<skipped[\s>/]/.test(body)) skips.push(name);
    else passes.push(name);
  }
  const counts = { passed: passes.length, failed: failures.length, skipped: skips.length };
  return [{ runner: 'junit', ...counts, failures: unique(failures), ...names(passes, skips) }];
}
