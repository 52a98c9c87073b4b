import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import handlebars from 'handlebars';

/** Fills a template from templates/. Text goes in as it is, and a missing value is an error. */
export function fill(root: string, name: string, values: Readonly<Record<string, string>>): string {
  const source = readFileSync(join(root, 'templates', name), 'utf8');
  return handlebars.compile(source, { noEscape: true, strict: true })(values);
}
