import { hiddenAt } from '../quote.ts';
import { type Finding, finding } from './model.ts';

const PLACEHOLDER =
  /\b(TBD|TODO|FIXME|XXX)\b|\b(as needed|if needed|as appropriate|and so on|similar to task \d+)\b|\betc\.|^\s*(?:[-*]\s*)?(\.\.\.|…)\s*$/i;
const SECRET =
  /\b(sk-[A-Za-z0-9_-]{20,}|ghp_[A-Za-z0-9]{36}|github_pat_\w{40,}|AKIA[0-9A-Z]{16}|xox[baprs]-[A-Za-z0-9-]{20,}|AIza[0-9A-Za-z_-]{35}|glpat-[\w-]{20,})|-----BEGIN [A-Z ]*PRIVATE KEY-----/;
const LONG = 2000;

/**
 * Checks of the text itself: placeholders, secrets, and what a person cannot see. From the line `quoted` (from 0) on the
 * text is a plan that was approved as it is: only secrets and hidden characters count there.
 */
export function checkText(lines: readonly string[], quoted = lines.length): Finding[] {
  const found: Finding[] = [];
  let fence = '';
  for (const [index, full] of lines.entries()) {
    const line = full.slice(0, LONG);
    const at = (match: RegExpExecArray) => ({ line: index + 1, column: match.index + 1 });
    const mark = /^\s*(`{3,}|~{3,})/.exec(line)?.[1] ?? '';
    if (mark !== '') fence = fence === '' ? mark : mark.startsWith(fence) ? '' : fence;
    const placeholder =
      fence === '' && mark === '' && quoted === lines.length
        ? PLACEHOLDER.exec(line.replace(/`[^`]*`/g, (span) => ' '.repeat(span.length)))
        : null;
    if (placeholder !== null)
      found.push(
        finding(
          'spec/placeholder',
          'error',
          at(placeholder),
          `"${placeholder[0].trim()}" leaves open what to do.`,
          'Say what is to be done.',
        ),
      );
    const secret = SECRET.exec(line);
    if (secret !== null)
      found.push(
        finding(
          'spec/secret',
          'error',
          at(secret),
          'This looks like a secret key.',
          'Take it out, and replace the key: it may be known now.',
        ),
      );
    // A byte order mark at the beginning of a file is how some editors save.
    const hidden = hiddenAt(index === 0 ? line.replace(/^\ufeff/, ' ') : line);
    if (hidden >= 0)
      found.push(
        finding(
          'spec/hidden',
          'error',
          { line: index + 1, column: hidden + 1 },
          'There is an invisible character here (zero width or text direction).',
          'Delete it.',
        ),
      );
    const comment = /<!--/.exec(line);
    if (comment !== null && fence === '' && index < quoted)
      found.push(
        finding(
          'spec/comment',
          'warning',
          at(comment),
          'A reader of the rendered page does not see this comment, and Kimi does.',
          'Write it as text, or remove it.',
        ),
      );
  }
  return found;
}
