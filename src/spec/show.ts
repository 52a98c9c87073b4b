import { counted } from '../quote.ts';
import type { Finding } from './model.ts';

/** Findings like a compiler's: file:line:column, the line, a caret, the fix. */
export function showFindings(name: string, lines: readonly string[], findings: readonly Finding[]): string {
  // A name that holds a line end is still one line.
  const file = name.replace(/[\r\n]/g, '?');
  const blocks = findings.map((item) => {
    const source = (lines[item.line - 1] ?? '').slice(0, 160).replaceAll('\t', ' ');
    const caret = `${' '.repeat(Math.min(item.column, 160) - 1)}^`;
    return `${file}:${item.line}:${item.column}: ${item.severity}: ${item.message} [${item.code}]\n    ${source}\n    ${caret}\n  fix: ${item.fix}\n`;
  });
  const count = (severity: string): number => findings.filter((item) => item.severity === severity).length;
  const total = `${counted(count('error'), 'error')}, ${counted(count('warning'), 'warning')}\n`;
  return findings.length === 0 ? '' : `${blocks.join('')}${total}`;
}

/** What only somebody who knows the work can answer, as one message and one edit; '' when nothing is open. */
export function showQuestions(name: string, findings: readonly Finding[]): string {
  const open = findings.filter((item) => item.message.includes('?') && item.severity !== 'info');
  if (open.length === 0) return '';
  const lines = open.map((item, index) => `${index + 1}. ${item.message} ${item.fix}\n`);
  return `Open questions. To answer all of them, edit only the header of ${name}, above "## Plan":\n${lines.join('')}`;
}

/** The one envelope of `--json`. */
export const findingsEnvelope = (file: string, findings: readonly Finding[]): string =>
  `${JSON.stringify({ version: 1, file, ok: !findings.some((item) => item.severity === 'error'), findings }, null, 2)}\n`;
