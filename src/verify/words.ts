import { parse } from 'shell-quote';

/** The words of a command without a shell, or the reason why it needs one. */
export function splitCommand(text: string): { env: Record<string, string>; argv: string[] } | { needsShell: string } {
  let variable: string | undefined;
  const parts = parse(text, (name) => {
    variable ??= name;
    return '';
  });
  if (variable !== undefined) return { needsShell: `$${variable}` };
  if (/[`~]|\n/.test(text.replace(/'[^']*'|"[^"]*"/g, ''))) return { needsShell: 'a shell expansion' };
  const words: string[] = [];
  for (const part of parts) {
    if (typeof part === 'string') words.push(part);
    else if ('op' in part && part.op === 'glob') return { needsShell: `the pattern ${part.pattern}` };
    else return { needsShell: 'op' in part ? part.op : 'a comment' };
  }
  const env: Record<string, string> = {};
  while (/^[A-Za-z_]\w*=/.test(words[0] ?? '')) {
    const word = words.shift() ?? '';
    env[word.slice(0, word.indexOf('='))] = word.slice(word.indexOf('=') + 1);
  }
  return words.length === 0 ? { needsShell: 'no program' } : { env, argv: words };
}
