import { parse } from 'shell-quote';

/**
 * What the exit code of a shell text says: `speaks` of the work, is `mute` (a program such as `cat` that ends well
 * whatever the others did), or `never` fails.
 */
type Says = 'speaks' | 'mute' | 'never';

interface Status {
  readonly says: Says;
  /** True when something in it speaks, heard or not. */
  readonly has: boolean;
  /** What hides what it says. */
  readonly hidden?: 'pipe' | 'forced' | undefined;
  /** True for `exit` and `exit $?`: the code is that of what ran before. */
  readonly passes?: boolean;
}

const NEVER = new Set(['true', ':', 'echo', 'printf']);
const MUTE = new Set(
  [
    'cat',
    'head',
    'tail',
    'sort',
    'uniq',
    'tee',
    'less',
    'more',
    'wc',
    'cut',
    'tr',
    'sed',
    'awk',
    'nl',
    'fold',
    'tac',
  ].concat(['rev', 'paste', 'column', 'strings', 'ts', 'date', 'sleep', 'pwd', 'jq']),
);
const NEUTRAL: Status = { says: 'never', has: false };
const SPEAKS: Status = { says: 'speaks', has: true };

/** How a command hides what it should say: it cannot fail at all, ends well whatever happens, or a pipe hides it. */
export function hiddenStatus(text: string): 'no-op' | 'forced' | 'pipe' | undefined {
  const reader = new Reader(tokensOf(text));
  const status = reader.list();
  if (!reader.whole || status.says === 'speaks') return undefined;
  if (status.has) return status.hidden ?? 'forced';
  return status.says === 'never' ? 'no-op' : undefined;
}

type Token = string | { readonly op: string };

/** Words as text, operators as `{ op }`; an unreadable text has none. */
function tokensOf(text: string): Token[] {
  try {
    return parse(text, (name) => `$${name}`).flatMap((part): Token[] => {
      if (typeof part === 'string') return [part];
      if ('comment' in part) return [];
      return part.op === 'glob' ? [part.pattern] : [{ op: part.op }];
    });
  } catch {
    return [];
  }
}

/** Reads a list of commands as a shell would, as far as exit codes go. Loops and conditions speak as their last word. */
class Reader {
  readonly #tokens: readonly Token[];
  #at = 0;
  #pipefail = false;
  #errexit = false;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  /** True when there was something, and all of it was read. */
  get whole(): boolean {
    return this.#tokens.length > 0 && this.#at >= this.#tokens.length;
  }

  /** Commands with `;`, `&`, `&&` and `||` between them, up to a closing bracket or the end. */
  list(): Status {
    let status: Status = NEUTRAL;
    for (;;) {
      while (this.#takes(';')) {}
      if (this.#closed()) return status;
      status = this.#after(status, this.#chain());
      if (this.#takes('&')) status = { says: 'never', has: status.has, hidden: 'forced' };
    }
  }

  /** What two commands say of which the second runs whatever the first did. */
  #after(first: Status, second: Status): Status {
    if (second.passes === true) return first;
    const has = first.has || second.has;
    if (second.says === 'speaks' || (this.#errexit && first.says === 'speaks')) return { says: 'speaks', has };
    return { says: second.says, has, hidden: second.hidden ?? 'forced' };
  }

  #chain(): Status {
    let status = this.#pipeline();
    for (;;) {
      if (this.#takes('&&')) {
        const next = this.#pipeline();
        const has = status.has || next.has;
        if (status.says === 'speaks' || next.says === 'speaks') status = { says: 'speaks', has };
        else status = { says: next.says, has, hidden: next.hidden ?? status.hidden };
      } else if (this.#takes('||')) {
        const next = this.#pipeline();
        const has = status.has || next.has;
        const heard = status.says !== 'never' && (next.says === 'speaks' || next.passes === true);
        status = heard ? { says: 'speaks', has } : { says: 'never', has, hidden: 'forced' };
      } else return status;
    }
  }

  #pipeline(): Status {
    const parts = [this.#command()];
    while (this.#takes('|') || this.#takes('|&')) parts.push(this.#command());
    const last = parts.at(-1) ?? NEUTRAL;
    if (parts.length === 1 || last.says === 'speaks') return last;
    const has = parts.some((part) => part.has);
    if (this.#pipefail && parts.some((part) => part.says === 'speaks')) return { says: 'speaks', has };
    return { says: last.says, has, hidden: 'pipe' };
  }

  #command(): Status {
    if (this.#takes('(')) return this.#group(() => this.#takes(')'));
    if (this.#tokens[this.#at] === '{') {
      this.#at += 1;
      return this.#group(() => this.#takes('}'));
    }
    return this.#simple(this.#words());
  }

  #group(close: () => boolean): Status {
    const status = this.list();
    close();
    this.#words();
    return status;
  }

  /** The words up to the next operator, without redirections and without what is substituted. */
  #words(): string[] {
    const words: string[] = [];
    for (;;) {
      const token = this.#tokens[this.#at];
      if (token === undefined) return words;
      if (typeof token === 'string') {
        words.push(token);
        this.#at += 1;
      } else if (/^(?:[<>]|&>)/.test(token.op) && token.op !== '<(') this.#at += 2;
      else if (token.op === '<(' || (token.op === '(' && words.at(-1)?.endsWith('$') === true)) {
        this.#at += 1;
        this.list();
        this.#takes(')');
      } else return words;
    }
  }

  #simple(all: readonly string[]): Status {
    let words = [...all];
    // `x=$(command)` ends as the command does.
    if (/^\w+=.*\$$/.test(words[0] ?? '')) return SPEAKS;
    while (/^(?:\w+=.*|command|exec|time|env|builtin|nohup|then|do|else)$/.test(words[0] ?? '')) words = words.slice(1);
    const [first = '', ...rest] = words;
    const name = first.slice(first.lastIndexOf('/') + 1);
    if (name === 'set') return this.#set(rest);
    if (name === '' || name === 'cd' || name === 'export') return NEUTRAL;
    if (name === 'exit' || name === 'return') return exitStatus(rest[0]);
    if (/^(?:ba|da|z|k)?sh$/.test(name)) return shellStatus(rest);
    if (NEVER.has(name)) return NEUTRAL;
    return MUTE.has(name) && !answers(name, rest) ? { says: 'mute', has: false } : SPEAKS;
  }

  /** `set -e` and `set -o pipefail` make the rest of the text speak. */
  #set(options: readonly string[]): Status {
    if (options.includes('pipefail')) this.#pipefail = true;
    if (options.some((option) => /^-\w*e/.test(option)) || options.includes('errexit')) this.#errexit = true;
    return NEUTRAL;
  }

  #takes(op: string): boolean {
    const token = this.#tokens[this.#at];
    if (op === '}' ? token !== op : !isOp(token, op)) return false;
    this.#at += 1;
    return true;
  }

  #closed(): boolean {
    const token = this.#tokens[this.#at];
    return token === undefined || token === '}' || (typeof token === 'object' && !/^(?:[(<>]|&>)/.test(token.op));
  }
}

const isOp = (token: Token | undefined, op: string): boolean => typeof token === 'object' && token.op === op;

/** Options with which a program that is mute else says yes or no. */
const answers = (name: string, options: readonly string[]): boolean =>
  (name === 'jq' && options.some((option) => /^(?:-\w*e|--exit-status)/.test(option))) ||
  (name === 'sort' && options.some((option) => /^(?:-[cC]$|--check)/.test(option))) ||
  ((name === 'awk' || name === 'sed') && options.some((option) => /\bexit\b|q\d/.test(option)));

function exitStatus(code: string | undefined): Status {
  if (code === undefined || code === '$?') return { ...NEUTRAL, passes: true };
  return /^0+$/.test(code) ? NEUTRAL : SPEAKS;
}

/** `sh -c TEXT` says what its text says. */
function shellStatus(options: readonly string[]): Status {
  const at = options.findIndex((option) => /^-\w*c$/.test(option));
  const inner = options[at + 1];
  if (at < 0 || inner === undefined) return SPEAKS;
  const pipefail = options.slice(0, at + 1).some((option) => option === 'pipefail' || /^-\w*o/.test(option));
  const hidden = hiddenStatus(pipefail ? `set -o pipefail; ${inner}` : inner);
  if (hidden === undefined) return SPEAKS;
  return hidden === 'no-op' ? NEUTRAL : { says: 'never', has: true, hidden };
}
