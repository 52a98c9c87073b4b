import { splitCommand } from '../../verify/words.ts';
import type { Block } from '../blocks.ts';
import { checkCommand } from '../check-command.ts';
import { plainText, spans } from '../inline.ts';
import { looksLikeCommand } from '../lines.ts';
import type { Command } from '../model.ts';
import type { Outline, Section } from './outline.ts';

/** A line of a plan that says how to check the work: a command, or what a person looks at. */
export interface Stated {
  readonly text: string;
  readonly line: number;
  readonly kind: 'command' | 'manual';
  readonly expect: number;
  readonly why: string;
}

const SHELL = /^(sh|bash|shell|zsh|console|terminal|shellsession|fish|)$/i;
/** Lines that only a script has: such a block is code to be written. */
const SCRIPT =
  /^\s*(local |fi\b|done\b|esac\b|;;|function |[\w-]+\(\)\s*\{|set -\w|#!|if \[|for \w+ in|export \w+=|[\w-]+\)\s*$|\})/m;
const RUNNER =
  /^(?:[A-Z_]+=\S+\s+|(?:npx|bunx|time|env)\s+(?:--?[\w-]+\s+)*|(?:pnpm|yarn|npm|bun|deno)(?:\s+(?:run|exec|dlx|task|-s|-r|--silent|-C\s+\S+|(?:-w|-F|--filter|--prefix|--cwd|--workspace|workspace)[ =]\S+))*\s+|(?:uv|poetry|pdm|hatch|rye)\s+run\s+|bundle exec\s+|(?:\S*\/)?python3?\s+-m\s+|dotenv\s+\S+\s+|\.{0,2}\/(?:\S+\/)*|(?:bin|scripts?|node_modules\/\.bin)\/)*/;
/** Programs and scripts that check something by themselves. */
const CHECKS =
  /^(?:[\w-]*:?(?:test|tests|lint|typecheck|type-check|tsc|check|checks|build|verify|validate|vitest|jest|e2e)\b[\w:-]*|mocha|pytest|tox|nox|mypy|pyright|ruff|black --check|flake8|pylint|eslint|biome|prettier --check|stylelint|svelte-check|vue-tsc|cargo (?:\+\S+ )?(?:test|check|build|clippy|fmt|nextest)|go (?:test|build|vet)|dart (?:test|analyze|format)|flutter (?:test|analyze|build)|swift (?:test|build)|swiftlint|xcodebuild|gradlew?\b|mvnw?\b|make (?!help|run|dev|start|install|clean|up|down|deploy|format|setup)\S|make$|just |ctest|cmake|dotnet (?:test|build|format)|mix (?:test|compile|format|credo)|rspec|rubocop|rails test|rake|phpunit|phpstan|pint|php artisan test|php -l|composer test|terraform (?:validate|fmt)|tofu (?:validate|fmt)|ansible-lint|ansible-playbook .*--syntax-check|node --(?:check|test)|deno (?:test|check|lint)|bun test|playwright test|shellcheck|bash -n|sh -n|hadolint|actionlint|yamllint|markdownlint|nix (?:flake check|build)|nixos-rebuild (?:dry-build|build)|docker compose config|docker-compose config|helm (?:lint|template)|prek run|pre-commit run|zig (?:build|test)|stack (?:test|build)|cabal (?:test|build)|sbt |idf\.py build|python3? -m (?:pytest|unittest|mypy|py_compile)|test -)/i;
/** Commands that wait for somebody, look around, change the machine or the history, or need a service. */
const NEVER =
  /\b(dev|start|serve|preview|watch|deploy|publish|release|login|install|migrate|seed|reset|open|up)\b(?=\s|$|:)(?<!--\S*)|^(npm|pnpm|yarn|bun|pip3?|brew|apt(-get)?|cargo|go|gem|uv|poetry)\s+(i|ci|add|get|sync|list|ls|create|init|info|view|why|update|upgrade|link)\b|^(curl|wget|ssh|scp|rsync|kubectl|psql|mysql|sqlite3|redis-cli|aws|gcloud|az|firebase|vercel|heroku|fly|cdk|supabase|gh|kill|pkill|killall|nginx|systemctl|service|journalctl|tail|head|cat|less|sed|awk|ls|tree|find|wc|echo|printf|history|cd|export|source|\.|rm|mv|cp|mkdir|touch|chmod|ln|tar|unzip|sudo|sleep|which|whoami|code|vim?|nano|docker|podman|adb|xcrun|simctl|qemu|tmux|screen|time|node|deno|bun|tsx|ts-node|python3?|ruby|php|java|swift|perl|cargo run|go run|dotnet run|flutter run|git)\b|&\s*$|--watch\b/i;
const LOOKS =
  /^(grep|rg|git (diff|grep|ls-files|status)|diff|test|\[|!|node (--check|--test|-e|scripts?\/)|node \S*(test|check|verif|valid|lint)|python3? (-m|-c|\S*(test|check|verif|valid|lint))|docker(-compose)? (compose )?(-f \S+ )?config|ruby -c|php -l|jq|xmllint|plutil|ls \S)/;
const OPEN = /<[^<>|&\s][^<>|&]*>|\.\.\.|…|\bYOUR_|\bpath\/to\b|\bxxx?\b|\{\{/i;
const FAILS =
  /\b(should|must|will|expect\w*)\b[^.]{0,20}\b(fail|error|not exist|reject)|\berror handling\b|\bnonexist|usage error/i;
const EMPTY =
  /\b(no (output|match(es)?|results?|hits|lines)|nothing|empty|zero (hits|matches|results)|0 (hits|matches|results))\b/i;

/** The checks that a plan states, each once, in order. Pure. */
export function statedChecks(plan: Outline): Stated[] {
  const found = plan.sections.flatMap((section) =>
    section.blocks.flatMap((block, at) => inBlock(section, block, section.blocks[at - 1])),
  );
  const seen = new Set<string>();
  return found.filter(({ text }) => !seen.has(text) && seen.add(text) !== undefined);
}

function inBlock(section: Section, block: Block, before: Block | undefined): Stated[] {
  const checking =
    section.role === 'check' ||
    /\b(verif\w*|run|check|test|validat\w*|confirm)\b[^.]{0,40}[:：]\W*$/i.test(before?.text ?? '');
  if (section.role === 'context' && !checking) return [];
  if (block.kind === 'code') return inCode(block, checking);
  const whole = plainText(block.text);
  const codes = spans(block.text).flatMap((run) =>
    run.kind === 'code' ? [{ text: run.text.trim(), line: block.line + run.offset }] : [],
  );
  const about =
    section.role === 'check' || /\b(verif\w*|run|expect\w*|pass\w*|green|check|ensure|confirm)\b/i.test(whole);
  const stated = (about ? codes : []).flatMap(({ text, line }) =>
    command(text, {
      line,
      note: whole.slice(whole.indexOf(text) + text.length, whole.indexOf(text) + text.length + 80),
      checking: section.role === 'check',
    }),
  );
  if (
    stated.length > 0 ||
    section.role !== 'check' ||
    block.kind === 'rule' ||
    /[:：]$/.test(whole) ||
    whole.length < 8
  )
    return stated;
  return [
    {
      text: whole.split('\n').join(' ').slice(0, 300),
      line: block.line,
      kind: 'manual',
      expect: 0,
      why: 'a person looks',
    },
  ];
}

/** The commands of a fenced block: a line each, continued lines joined, `cd` kept before what follows it. */
function inCode(block: Block, checking: boolean): Stated[] {
  if (!SHELL.test((block.lang ?? '').split(/\s/)[0] ?? '') || SCRIPT.test(block.text)) return [];
  if (
    (block.lang ?? '') === '' &&
    !block.text.split('\n').some((line) => looksLikeCommand(line.trim().replace(/^\$\s+/, '')))
  )
    return [];
  const found: Stated[] = [];
  let folder = '';
  let held = '';
  let comment = '';
  const lines = block.text.split('\n');
  for (const [index, raw] of lines.entries()) {
    const line = `${held}${raw.trim().replace(/^[$>]\s+/, '')}`;
    held = line.endsWith('\\') ? `${line.slice(0, -1).trimEnd()} ` : '';
    if (held !== '') continue;
    if (line === '' || line.startsWith('#') || line.startsWith('//')) {
      comment = line === '' ? '' : line;
      continue;
    }
    if (/<<-?\s*['"]?\w/.test(line))
      return [
        ...found,
        {
          text: `${line.slice(0, 200)} …`,
          line: block.line + 1 + index,
          kind: 'manual',
          expect: 0,
          why: 'its input follows on more lines',
        },
      ];
    const [text = '', note = ''] = line.split(/\s+#\s+(.*)$/);
    const next = lines[index + 1]?.trim() ?? '';
    if (/^cd\s+[^&|;]+$/.test(text)) folder = /^cd\s+(-|\.\.|~|\/)/.test(text) ? '' : `${text} && `;
    else
      found.push(
        ...command(`${folder}${text}`, {
          line: block.line + 1 + index,
          note: `${note} ${comment} ${/^#.*(expect|→|=>|should|must)/i.test(next) ? next : ''}`,
          checking,
        }),
      );
    comment = '';
  }
  return found;
}

const bare = (text: string): string =>
  text
    .replace(/^(cd\s+\S+\s*&&\s*)+/, '')
    .replace(/^\(\s*/, '')
    .trim();

/** True when a command checks by itself, whatever stands around it. */
const isCheck = (text: string): boolean => {
  const parts = bare(text).split(/\s*(?:&&|;|\|)\s*/);
  return parts.some((part) => CHECKS.test(part.replace(RUNNER, '')) || CHECKS.test(part));
};

function command(text: string, how: { line: number; note: string; checking: boolean }): Stated[] {
  const plain = bare(text);
  const first = plain.split(/\s/)[0] ?? '';
  const known = looksLikeCommand(plain) || isCheck(text);
  if (
    !known ||
    (!/\s/.test(plain) &&
      !(how.checking && /^(\.\/\S+|pytest|make|tox|vitest|jest|mypy|tsc|rspec|ctest)$/.test(plain))) ||
    OPEN.test(text) ||
    first === ''
  )
    return [];
  const check = isCheck(text);
  const runs = check
    ? !/--watch\b|&\s*$|\bgit (add|commit|push)\b/.test(text) &&
      !NEVER.test(plain.replace(RUNNER, '').split(/\s/)[0] ?? '')
    : how.checking && (LOOKS.test(plain) || !NEVER.test(plain));
  if (!runs && !how.checking) return [];
  const manual = !runs || FAILS.test(how.note) || problem(text);
  const expect = /^(grep|rg|git grep)\b/.test(plain) && EMPTY.test(how.note) ? 1 : 0;
  if (manual && /^(cat|sed|ls|git|cd|echo|head|tail)\b/.test(plain)) return [];
  return [
    {
      text,
      line: how.line,
      kind: manual ? 'manual' : 'command',
      expect,
      why: check ? 'a command that checks' : 'a command where the plan checks',
    },
  ];
}

/** True when a check of the spec would refuse the command. */
function problem(text: string): boolean {
  let bad = false;
  const words = splitCommand(text);
  checkCommand(
    asCommand({ text, line: 1, expect: 0 }),
    'needsShell' in words ? [] : words.argv,
    { facts: undefined, created: new Set(), scripts: undefined },
    (_code, severity) => {
      bad ||= severity === 'error';
    },
  );
  return bad;
}

/** A stated check as a line of the spec. */
export const asCommand = (
  { text, line, expect }: Pick<Stated, 'text' | 'line' | 'expect'>,
  detected = false,
): Command => ({
  kind: 'command',
  text,
  expect,
  baselineFails: false,
  shell: 'needsShell' in splitCommand(text),
  detected,
  at: { line, column: 1 },
});
