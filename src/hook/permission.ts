import { COMMANDS, parseWords } from './commands.ts';

/** What a Bash command that starts our program may do without a question. */
export type Permission = 'allow' | 'ask' | undefined;

/** One plain word, or one quoted text without anything that a shell would expand. */
const WORD = /^(?:[\w@%+:,./-][\w@%+=:,./-]*|"[^"$`\\!\n\r]*"|'[^'\n\r]*')$/;

/** Splits a command into plain words; undefined when a shell would read more into it. */
export function plainWords(command: string): string[] | undefined {
  if (command.length > 2000) return undefined;
  const words = command.trim().match(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g) ?? [];
  if (words.join(' ').length !== command.trim().replace(/ +/g, ' ').length) return undefined;
  if (/[\n\r\t]/.test(command)) return undefined;
  return words.every((word) => WORD.test(word)) ? words.map((word) => word.replace(/^["']|["']$/g, '')) : undefined;
}

export interface Circumstances {
  /** The permission mode of the session. In plan mode nothing is allowed. */
  readonly mode: string | undefined;
  /** True when a probe showed that runs are sandboxed on this machine. */
  readonly proven: boolean;
  /** A kept plan, or a spec or plan of the checkout; undefined for every other file. */
  readonly read: (name: string) => string | undefined;
}

/** Decides on one Bash command. What works is allowed in a proven sandbox, and only when it requires one itself. */
export function permit(command: string, { mode, proven, read }: Circumstances): Permission {
  const [program, name = '', ...rest] = plainWords(command) ?? [];
  if (program !== 'kimi-dispatch') return undefined;
  const off = rest.some(
    (word, index) => word === '--sandbox=off' || (word === '--sandbox' && rest[index + 1] === 'off'),
  );
  const keeps = Object.hasOwn(COMMANDS, name) && COMMANDS[name]?.is === 'keep';
  if (keeps || off || rest.includes('--force')) return 'ask';
  const parsed = parseWords([name, ...rest]);
  if (mode === 'plan' || parsed === undefined) return undefined;
  const { verb, operands, flags } = parsed;
  const further = (verb.further ?? '').split(' ');
  if ([...flags.keys()].some((flag) => further.includes(flag) || further.includes(`${flag}=`))) return undefined;
  if (verb.files === true && !operands.every((file) => fromHere(read(file)))) return undefined;
  if (verb.is === 'look') return 'allow';
  return verb.is === 'work' && proven && flags.get('--sandbox') === 'required' ? 'allow' : undefined;
}

/** False for what cannot be read, and for a spec that starts at another commit than the one that is checked out. */
const fromHere = (text: string | undefined): boolean =>
  text !== undefined &&
  [...text.matchAll(/\bbase[ *]*:(.{0,200})/gi)].every(([, value = '']) => /^[ *]*(?:HEAD)?[ *\r]*$/.test(value));
