import type { Finding } from './model.ts';

/** Findings like a compiler's: file:line:column, the line, a caret, the fix. */
export function showFindings(file: string, lines: readonly string[], findings: readonly Finding[]): string {
  const blocks = findings.map((item) => {
    const source = (lines[item.line - 1] ?? '').slice(0, 160).replaceAll('\t', ' ');
    const caret = `${' '.repeat(Math.min(item.column, 160) - 1)}^`;
    return `${file}:${item.line}:${item.column}: ${item.severity}: ${item.message} [${item.code}]\n    ${source}\n    ${caret}\n  fix: ${item.fix}\n`;
  });
  const count = (severity: string): number => findings.filter((item) => item.severity === severity).length;
  const total = `${count('error')} errors, ${count('warning')} warnings\n`;
  return findings.length === 0 ? '' : `${blocks.join('')}${total}`;
}

/** The one envelope of `--json`. */
export const findingsEnvelope = (file: string, findings: readonly Finding[]): string =>
  `${JSON.stringify({ version: 1, file, ok: !findings.some((item) => item.severity === 'error'), findings }, null, 2)}\n`;
