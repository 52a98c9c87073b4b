/** What a Bash command that starts our program may do without a question (ruling 2). */
export type Permission = 'allow' | 'ask' | undefined;

const LOOK = new Set([
  'spec',
  'check',
  'status',
  'summary',
  'show',
  'diff',
  'logs',
  'wait',
  'inbox',
  'stats',
  'quota',
  'doctor',
]);
const SANDBOXED = new Set(['run', 'revise', 'answer', 'refresh']);
const KEEP = new Set(['merge', 'undo', 'allow', 'pr', 'discard', 'prune', 'install', 'uninstall', 'upgrade']);
/** One plain word, or one quoted text without anything that a shell would expand. */
const WORD = /^(?:[\w@%+=:,./-]+|"[^"$`\\!\n\r]*"|'[^'\n\r]*')$/;

/** Splits a command into plain words; undefined when a shell would read more into it. */
export function plainWords(command: string): string[] | undefined {
  if (command.length > 2000) return undefined;
  const words = command.trim().match(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g) ?? [];
  if (words.join(' ').length !== command.trim().replace(/ +/g, ' ').length) return undefined;
  if (/[\n\r\t]/.test(command)) return undefined;
  return words.every((word) => WORD.test(word)) ? words.map((word) => word.replace(/^["']|["']$/g, '')) : undefined;
}

/** `proven`: a probe showed that runs are sandboxed on this machine. In plan mode nothing is decided. */
export function permit(command: string, mode: string | undefined, proven: boolean): Permission {
  const words = plainWords(command);
  if (words === undefined || words[0] !== 'kimi-dispatch') return undefined;
  const verb = words[1] ?? '';
  const off = words.some(
    (word, index) => word === '--sandbox=off' || (word === '--sandbox' && words[index + 1] === 'off'),
  );
  if (KEEP.has(verb) || words.includes('--force') || off) return 'ask';
  if (mode === 'plan') return undefined;
  // A file outside the drafts folder is the permission system's to decide.
  const writes = words.some((word) => word === '-o' || word.startsWith('--output') || /^-o./.test(word));
  if (LOOK.has(verb)) return writes ? undefined : 'allow';
  return SANDBOXED.has(verb) && proven ? 'allow' : undefined;
}
