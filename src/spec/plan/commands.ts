import { splitCommand } from '../../verify/words.ts';
import { readDocument } from '../blocks.ts';
import { looksLikeCommand } from '../lines.ts';
import type { Command, Place } from '../model.ts';

const SHELL = /^(sh|bash|shell|zsh|console|terminal|shellsession|fish)?$/i;
export const isShell = (lang: string): boolean => SHELL.test(lang.split(/\s/)[0] ?? '');

/** Commands that check something by themselves. */
const CHECKS =
  /\b(test|tests|vitest|jest|mocha|pytest|tox|nox|ctest|rspec|phpunit|typecheck|type-check|tsc|mypy|pyright|ruff|eslint|lint|biome|clippy|vet|check|build|verify|validate)\b/i;
/** Commands that wait for somebody, change the machine, or need a running service. */
const NOT_A_CHECK =
  /\b(npm|pnpm|yarn|bun)\s+(run\s+)?(dev|start|serve|preview|watch)\b|\b(npm|pnpm|yarn|bun)\s+(i|install|add)\b|\b(flask|uvicorn|rails|next|vite|astro|nuxt)\s+(run|server|dev|s)\b|\b(curl|wget|open|xdg-open|ssh|scp|kubectl|helm|terraform|psql|kill|pkill|nginx|systemctl|tail|watch)\b|\bdocker(-compose)?\s+(compose\s+)?(up|run|push|exec|start|down|logs|build)\b|\bgit\s+(?!diff\b|grep\b|status\b|log\b|ls-files\b)\w+|\b(pip3?|brew|apt(-get)?|cargo|go)\s+(install|get)\b|\b(rm|mv|cp|mkdir|touch|chmod|cd|export|source)\s|--watch\b|&\s*$/i;

/** The commands of a fenced block: one a logical line, comments and prompts left out. */
export function commandsInBlock(text: string, line: number): { text: string; line: number }[] {
  const found: { text: string; line: number }[] = [];
  let held = '';
  let heldAt = 0;
  let heredoc = '';
  for (const [index, raw] of text.split('\n').entries()) {
    if (heredoc !== '') {
      held += `\n${raw}`;
      if (raw.trim() === heredoc) {
        found.push({ text: held, line: heldAt });
        held = heredoc = '';
      }
      continue;
    }
    const plain = raw.trim().replace(/^[$>]\s+/, '');
    if (held === '' && (plain === '' || plain.startsWith('#') || plain.startsWith('//'))) continue;
    if (held === '') heldAt = line + index;
    const joined = held === '' ? plain : `${held} ${plain}`;
    heredoc = /<<-?\s*['"]?(\w+)/.exec(joined)?.[1] ?? '';
    if (heredoc !== '') held = joined;
    else if (joined.endsWith('\\')) held = joined.slice(0, -1).trimEnd();
    else {
      found.push({ text: joined.replace(/\s+#\s.*$/, ''), line: heldAt });
      held = '';
    }
  }
  if (held !== '') found.push({ text: held, line: heldAt });
  return found;
}

/** Makes a verification line of a plan's command; what cannot be run unattended is for the reviewer. */
export function toCommand(text: string, at: Place, created: readonly string[]): Command {
  const words = splitCommand(text);
  const runs = !NOT_A_CHECK.test(text) && !text.includes('\n');
  const baselineFails = created.some((path) => text.includes(path));
  return {
    kind: runs ? 'command' : 'manual',
    text: text.replace(/\n[\s\S]*/, ' …'),
    expect: 0,
    baselineFails: runs && baselineFails,
    shell: runs && 'needsShell' in words,
    detected: false,
    at,
  };
}

/** Inline code that is a command: `uv run pytest` in a sentence or a checkbox. */
export function commandsInText(text: string, always: boolean): string[] {
  const spans = [...text.slice(0, 20_000).matchAll(/`([^`\n]{3,300})`/g)].map((match) => (match[1] ?? '').trim());
  return spans.filter(
    (span) =>
      looksLikeCommand(span) &&
      /\s|^(pytest|make|tox|vitest|jest)$|^\.\//.test(span) &&
      (always || CHECKS.test(span)) &&
      !NOT_A_CHECK.test(span),
  );
}

/** True when the text is a spec already: it is passed through byte for byte. */
export function isSpec(source: string): boolean {
  const heading = readDocument(source).blocks.find((block) => block.kind === 'heading');
  return heading !== undefined && heading.depth === 1 && /^Spec\s*:?\s*#?\d+\s*(--|[–—:-])/.test(heading.text);
}
export const isCheck = (text: string): boolean => CHECKS.test(text) && !NOT_A_CHECK.test(text);
