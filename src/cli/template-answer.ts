import Handlebars from 'handlebars';
import { parseSpec } from '../spec/parse.ts';

/** Every `{{...}}` of a template, as written but for spaces. */
const placeholders = (text: string): string[] => [
  ...new Set(
    [...text.matchAll(/\{\{\{?[^{}]+\}?\}\}/g)].map(([found]) =>
      found.replace(/\s+/g, ' ').replace(/([{#/~]) | ([}~])/g, '$1$2'),
    ),
  ),
];

/** The headings and labels that other programs read: `## Tasks`, `Files:`. Those of one task only are its own. */
const labels = (text: string): string[] =>
  [...text.matchAll(/^(?:#{1,2} [^\n:]+|[A-Z][A-Za-z ]{1,30}:(?=[ \n]|$))/gm)].map(([found]) => found.trim());

/** What is wrong with the answer that would replace a template; undefined when nothing is. */
export function faultOf(template: string, answer: string): string | undefined {
  if (answer.trim() === '') return 'it is empty';
  if (/^\s*(?:```|~~~)/.test(answer)) return 'it stands in a fence';
  const wanted = placeholders(template);
  const missing = wanted.filter((one) => !placeholders(answer).includes(one));
  if (missing.length > 0) return `it lost ${missing.join(', ')}`;
  const added = placeholders(answer).filter((one) => !wanted.includes(one));
  if (added.length > 0) return `nothing fills ${added.join(', ')}`;
  const lost = labels(template).filter((one) => !labels(answer).includes(one));
  if (lost.length > 0) return `it lost ${[...new Set(lost)].join(', ')}`;
  return wanted.length === 0 ? specFault(answer) : rendered(answer, wanted);
}

/** A template for specs is a spec itself. */
const specFault = (answer: string): string | undefined =>
  parseSpec(answer).findings.find((finding) => finding.severity === 'error')?.message;

/** Compiles it and fills every placeholder with a mark of its own: each mark must come out. */
function rendered(answer: string, wanted: readonly string[]): string | undefined {
  const names = wanted.flatMap((one) => /^\{\{\{?~?([\w.]+)~?\}?\}\}$/.exec(one)?.[1] ?? []);
  const marks = Object.fromEntries(names.map((name, at) => [name, `mark-${at}-of-the-answer`]));
  try {
    const text = Handlebars.compile(answer, { noEscape: true, strict: true })(marks);
    const unseen = names.filter((name) => !text.includes(marks[name] ?? ''));
    return unseen.length === 0 ? undefined : `it does not show ${unseen.join(', ')}`;
  } catch (error) {
    return `it does not compile: ${String(error instanceof Error ? error.message : error).split('\n')[0]}`;
  }
}
