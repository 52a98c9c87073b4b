import type { Command } from 'commander';
import { refuse } from '../errors.ts';

interface Row {
  readonly name: string;
  readonly text: string;
  readonly flags: readonly { readonly flag: string; readonly text: string }[];
}

/** The table of commands, from the one place where they are declared. */
const tableOf = (program: Command): Row[] =>
  program.commands.map((command) => ({
    name: command.name(),
    text: command.description(),
    flags: command.options.map((option) => ({ flag: option.long ?? option.short ?? '', text: option.description })),
  }));

/** A completion script for a shell. */
export function completionScript(program: Command, shell: string): string {
  const table = tableOf(program);
  const names = table.map((row) => row.name).join(' ');
  if (shell === 'bash') {
    const cases = table.map((row) => `    ${row.name}) words="${row.flags.map((flag) => flag.flag).join(' ')}" ;;`);
    return `_kimi_dispatch() {\n  local words="${names}"\n  if [ "$COMP_CWORD" -gt 1 ]; then\n    case "\${COMP_WORDS[1]}" in\n${cases.join('\n')}\n    esac\n  fi\n  COMPREPLY=($(compgen -W "$words" -f -- "\${COMP_WORDS[COMP_CWORD]}"))\n}\ncomplete -F _kimi_dispatch kimi-dispatch\n`;
  }
  if (shell === 'zsh') {
    const rows = table.map((row) => `    '${row.name}:${row.text.replaceAll("'", '').replaceAll(':', ' ')}'`);
    const cases = table.map(
      (row) => `      ${row.name}) compadd -- ${row.flags.map((flag) => flag.flag).join(' ')}; _files ;;`,
    );
    return `#compdef kimi-dispatch\n_kimi_dispatch() {\n  local -a commands\n  commands=(\n${rows.join('\n')}\n  )\n  if (( CURRENT == 2 )); then\n    _describe command commands\n  else\n    case $words[2] in\n${cases.join('\n')}\n    esac\n  fi\n}\ncompdef _kimi_dispatch kimi-dispatch\n`;
  }
  if (shell !== 'fish') throw refuse('usage', `There is no completion for "${shell}".`, 'completion bash, zsh or fish');
  const quoted = (text: string): string => `'${text.replaceAll("'", '')}'`;
  return `${table
    .flatMap((row) => [
      `complete -c kimi-dispatch -n __fish_use_subcommand -a ${row.name} -d ${quoted(row.text)}`,
      ...row.flags
        .filter((flag) => flag.flag.startsWith('--'))
        .map(
          (flag) =>
            `complete -c kimi-dispatch -n '__fish_seen_subcommand_from ${row.name}' -l ${flag.flag.slice(2)} -d ${quoted(flag.text)}`,
        ),
    ])
    .join('\n')}\n`;
}

/** The manual page, from the same table. */
export function manualPage(program: Command, version: string): string {
  const inert = (text: string): string => text.replaceAll('\\', '\\e').replaceAll('-', '\\-');
  const rows = tableOf(program).flatMap((row) => [
    '.TP',
    `.B ${inert(row.name)}`,
    inert(row.text),
    ...row.flags.flatMap((flag) => ['.RS', '.TP', `.B ${inert(flag.flag)}`, inert(flag.text), '.RE']),
  ]);
  return [
    `.TH KIMI\\-DISPATCH 1 "" "kimi-dispatch ${version}"`,
    '.SH NAME',
    'kimi\\-dispatch \\- Claude Code designs and reviews, Kimi types',
    '.SH SYNOPSIS',
    '.B kimi\\-dispatch',
    'COMMAND [ARGUMENTS]',
    '.SH COMMANDS',
    ...rows,
    '.SH EXIT STATUS',
    '0 succeeded, 1 internal error, 2 usage or refused start, 3 verification failed, 4 gate, 5 no changes, 6 limit, 7 Kimi failed or quota, 8 blocked, 9 conflict, 10 lost, 130 cancelled.',
    '',
  ].join('\n');
}
