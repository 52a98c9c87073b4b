import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
const page = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8');
const section = (title: string): string => page.split(`\n## ${title}`)[1]?.split('\n## ')[0] ?? '';

/** Each link to a test, with the titles that stand behind it. */
const links = [...page.matchAll(/\[[\w/.-]+\]\((test\/[\w/.-]+)\)((?:, "[^"]+")*)/g)].map(
  ([, file = '', titles = '']) => ({
    file,
    titles: [...titles.matchAll(/"([^"]+)"/g)].map(([, title = '']) => title),
  }),
);

describe('SECURITY.md', () => {
  it.each(links)('$file shows $titles', ({ file, titles }) => {
    expect(existsSync(join(ROOT, file))).toBe(true);
    const text = readFileSync(join(ROOT, file), 'utf8');
    for (const title of titles) expect(text).toContain(title);
  });

  it('names a test for each guarantee', () => {
    const rows = section('With the sandbox')
      .split('\n')
      .filter((line) => /^\| (?!guarantee|-)/.test(line));
    const points = ['Always', 'With a queue'].flatMap((title) => section(title).split(/\n- /).slice(1));
    expect(rows.length).toBeGreaterThan(15);
    expect(points.length).toBeGreaterThan(5);
    expect([...rows, ...points].filter((text) => !text.includes('](test/'))).toEqual([]);
  });
});
