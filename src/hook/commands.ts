/** What a hook does with a command of ours: `look` and `work` may be allowed, `keep` is always asked. */
export interface Verb {
  readonly is: 'look' | 'work' | 'keep' | 'other';
  /** True when the operands are specs or plans. */
  readonly files?: true;
  /** Flags that are allowed with it; one with `=` takes a value. */
  readonly flags?: string;
  /** Flags that it has too, and that leave the decision to the client: they write, read or reach further. */
  readonly further?: string;
}

const ATTEMPT = '--max-steps= --timeout= --sandbox= --background --json';

/** Every command. The parser of the command line has the same ones with the same flags; a test compares them. */
export const COMMANDS: Readonly<Record<string, Verb>> = {
  spec: { is: 'look', files: true, flags: '--json --explain', further: '-o= --output= --force --header=' },
  check: { is: 'look', files: true, flags: '--json --strict' },
  status: { is: 'look', flags: '--json' },
  summary: { is: 'look', flags: '--json' },
  show: { is: 'look', flags: '--json --full --html' },
  diff: { is: 'look', flags: '--since-review' },
  logs: { is: 'look', flags: '-f --follow' },
  wait: { is: 'look', flags: '--json' },
  inbox: { is: 'look', flags: '--json --as=' },
  stats: { is: 'look', flags: '--json' },
  quota: { is: 'look', flags: '--json --live' },
  doctor: { is: 'look', flags: '--json --live' },
  run: {
    is: 'work',
    files: true,
    flags: `${ATTEMPT} --profile= --model= --thinking= --idle= --no-baseline --task= --review --waves --concurrency= --verify-each --no-queue --dry-run --ndjson`,
    further: '--base= --header= --artifacts= --junit=',
  },
  revise: { is: 'work', flags: `${ATTEMPT} --finding=`, further: '--findings=' },
  answer: { is: 'work', flags: ATTEMPT },
  refresh: { is: 'work', flags: ATTEMPT },
  ...named('keep', 'merge undo allow pr discard prune install uninstall upgrade'),
  ...named(
    'other',
    'import accept watch agent msg escalate resolve task quick dashboard update-template worker relay init mcp profile completion manual hook resume cancel recover',
  ),
};

function named(is: Verb['is'], names: string): Record<string, Verb> {
  return Object.fromEntries(names.split(' ').map((name) => [name, { is }]));
}

export interface Parsed {
  readonly verb: Verb;
  readonly operands: readonly string[];
  /** By flag; the last one counts. */
  readonly flags: ReadonlyMap<string, string | true>;
}

/** Reads the words after the program's name as the command line's own parser does; undefined when in doubt. */
export function parseWords([name = '', ...words]: readonly string[]): Parsed | undefined {
  const verb = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (verb === undefined) return undefined;
  const known = new Set(`${verb.flags ?? ''} ${verb.further ?? ''}`.split(' '));
  const operands: string[] = [];
  const flags = new Map<string, string | true>();
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    if (!word.startsWith('-') || word === '-') {
      operands.push(word);
      continue;
    }
    const [, flag, value] = /^(--[a-z-]+|-[a-z])(?:=(.*))?$/.exec(word) ?? [];
    if (flag === undefined) return undefined;
    if (known.has(flag) && value === undefined) flags.set(flag, true);
    else if (known.has(`${flag}=`) && flag.startsWith('--')) {
      const taken = value ?? words[++index];
      if (taken === undefined) return undefined;
      flags.set(flag, taken);
    } else return undefined;
  }
  return { verb, operands, flags };
}
