import type { Say } from './check.ts';
import { hiddenStatus } from './exit-status.ts';
import type { RepoFacts } from './facts.ts';
import { fromTop } from './from-top.ts';
import { isWrongOption } from './lines.ts';
import type { Command } from './model.ts';

interface Around {
  readonly facts: RepoFacts | undefined;
  /** Paths that the spec creates. */
  readonly created: ReadonlySet<string>;
  /** True when an earlier command builds: what it makes is not there at the base. */
  readonly built?: boolean;
  readonly scripts: { readonly names: Readonly<Record<string, string>>; readonly changes: boolean } | undefined;
}

const NO_OPTIONS: Command = {
  kind: 'command',
  text: '',
  expect: 0,
  baselineFails: false,
  shell: true,
  detected: false,
  at: { line: 1, column: 1 },
};

const DESTRUCTIVE =
  /\brm\s+-\w*[rf]\w*\b|\bgit\s+(push|reset|checkout|clean|rebase|stash|commit|merge|switch|restore)\b|\b(mkfs|dd|shutdown|reboot|sudo)\b|>\s*\/dev\/sd/;
const INSTALL =
  /\b(npm|pnpm|yarn|bun)\s+(i|install|add|ci)\b|\bpip3?\s+install\b|\bapt(-get)?\s+install\b|\bbrew\s+install\b|\bcargo\s+install\b|\bgo\s+(install|get)\b|\b(curl|wget)\b.*\|\s*(ba)?sh\b/;

/** Checks one verification command: it must be able to fail, and able to start. */
export function checkCommand(command: Command, argv: readonly string[], around: Around, say: Say): void {
  const { text, at } = command;
  const hidden = hiddenStatus(text);
  if (hidden === 'no-op')
    say(
      'spec/no-op',
      'error',
      at,
      `\`${text}\` cannot fail, so it shows nothing.`,
      'Name a command that fails when the work is not done.',
    );
  if (hidden === 'forced')
    say(
      'spec/forced',
      'error',
      at,
      'This command succeeds whatever happens.',
      'Remove what stands after the last ||, ; or &.',
    );
  if (hidden === 'pipe')
    say(
      'spec/pipe',
      'error',
      at,
      'The pipe hides the exit code: only its last program counts, and that one always succeeds.',
      'Remove the pipe, or end it with a program that says no, such as `grep -q`.',
    );
  if (DESTRUCTIVE.test(text))
    say(
      'spec/destructive',
      'error',
      at,
      'A verification must not destroy or move anything.',
      'Name a command that only looks.',
    );
  if (INSTALL.test(text))
    say(
      'spec/install',
      'warning',
      at,
      'This installs from the network; a run provides dependencies itself.',
      'Remove it, or name it as `setup` in your profile.',
    );
  // A path in another home may lie in a container.
  const relative = fromTop(text, { root: around.facts?.root ?? '', name: '' });
  if (relative !== text)
    say(
      'spec/checkout',
      'error',
      at,
      'This names the checkout itself: it would check that, and not the work in its worktree.',
      `Write it from the top of the repository: ${relative}`,
    );
  resolvable(command, argv, around, say);
}

/** Checks a line that is not run: it may be a command with a number that does not fit. */
export function checkRemark({ text, at }: Command, say: Say): void {
  const options = /`\s*\(([^()]*)\)\s*$/.exec(text)?.[1]?.split(',') ?? [];
  const wrong = options.map((word) => word.trim()).find(isWrongOption);
  if (wrong === undefined) return;
  say(
    'spec/option',
    'error',
    at,
    `"${wrong}" is not an option of a command, so the command would not be run.`,
    'Write, for example: (timeout 10m, expect 1)',
  );
}

/** True when a spec with this command would have an error, whatever the repository holds. */
export function hasCommandError(text: string): boolean {
  let bad = false;
  const command = { ...NO_OPTIONS, text };
  checkCommand(command, [], { facts: undefined, created: new Set(), scripts: undefined }, (_code, severity) => {
    bad ||= severity === 'error';
  });
  return bad;
}

function resolvable(
  command: Command,
  argv: readonly string[],
  { facts, created, scripts, built = false }: Around,
  say: Say,
): void {
  const [first = '', second = '', third = ''] = argv;
  if (facts === undefined || scripts === undefined) return;
  const script = /^(npm|pnpm|yarn|bun)$/.test(first)
    ? second === 'run' || second === 'run-script'
      ? third
      : second === 'test' || second === 't'
        ? 'test'
        : undefined
    : undefined;
  if (
    script !== undefined &&
    script !== '' &&
    !(script in scripts.names) &&
    !(first === 'bun' && script === 'test') &&
    facts.files.has('package.json')
  ) {
    const names = Object.keys(scripts.names);
    say(
      'spec/script',
      'warning',
      command.at,
      `package.json has no script "${script}"${scripts.changes ? ' yet' : ''}.`,
      names.length === 0 ? 'Add the script in a task.' : `It has: ${names.slice(0, 8).join(', ')}`,
    );
  }
  const path = first.replace(/^\.\//, '');
  if (
    first.includes('/') &&
    !built &&
    !first.startsWith('/') &&
    !facts.files.has(path) &&
    !created.has(path) &&
    !path.startsWith('node_modules/')
  )
    say(
      'spec/program',
      'warning',
      command.at,
      `${first} does not exist at the base, and no task creates it.`,
      'Correct the path.',
    );
}
