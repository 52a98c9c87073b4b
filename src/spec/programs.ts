/** What comes before the program that really runs: variables, package managers, environments, folders. */
const RUNNER =
  /^(?:[A-Z_]+=\S+\s+|(?:npx|bunx|time|env)\s+(?:--?[\w-]+\s+)*|(?:pnpm|yarn|npm|bun|deno)(?:\s+(?:run|exec|dlx|task|-s|-r|--silent|-C\s+\S+|(?:-w|-F|--filter|--prefix|--cwd|--workspace|workspace)[ =]\S+))*\s+|(?:uv|poetry|pdm|hatch|rye)\s+run\s+|bundle exec\s+|(?:\S*\/)?python3?\s+-m\s+|\.{0,2}\/(?:\S+\/)*|(?:bin|scripts?|node_modules\/\.bin)\/)*/;
const CHECKS =
  /^(?:[\w-]*:?(?:test|tests|lint|typecheck|type-check|tsc|check|checks|build|verify|validate|vitest|jest|e2e)\b[\w:-]*|mocha|pytest|tox|nox|mypy|pyright|ruff|black --check|flake8|pylint|eslint|biome|prettier --check|stylelint|svelte-check|vue-tsc|cargo (?:\+\S+ )?(?:test|check|build|clippy|fmt|nextest)|go (?:test|build|vet)|dart (?:test|analyze|format)|flutter (?:test|analyze|build)|swift (?:test|build)|swiftlint|xcodebuild|gradlew?\b|mvnw?\b|make (?!help|run|dev|start|install|clean|up|down|deploy|format|setup)\S|make$|just |ctest|cmake|dotnet (?:test|build|format)|mix (?:test|compile|format|credo)|rspec|rubocop|rails test|rake|phpunit|phpstan|pint|php artisan test|php -l|composer test|(?:terraform|tofu) (?:validate|fmt)|ansible-lint|ansible-playbook .*--syntax-check|node --(?:check|test)|deno (?:test|check|lint)|playwright test|shellcheck|(?:ba)?sh -n|hadolint|actionlint|yamllint|markdownlint|nix (?:flake check|build)|docker[ -]compose config|helm (?:lint|template)|prek run|pre-commit run|zig (?:build|test)|(?:stack|cabal) (?:test|build)|sbt |idf\.py build|unittest|py_compile)/i;
/** Commands that wait for somebody, look around, change the machine or the history, or need a service. */
const NEVER =
  /\b(dev|start|serve|preview|watch|deploy|publish|release|login|install|migrate|seed|reset|open|up)\b(?=\s|$|:)(?<!--\S*)|^(npm|pnpm|yarn|bun|pip3?|brew|apt(-get)?|cargo|go|gem|uv|poetry)\s+(i|ci|add|get|sync|list|ls|create|init|info|view|why|update|upgrade|link)\b|^(curl|wget|ssh|scp|rsync|kubectl|psql|mysql|sqlite3|redis-cli|aws|gcloud|az|firebase|vercel|heroku|fly|cdk|supabase|gh|p?kill|killall|nginx|systemctl|service|journalctl|tail|head|cat|less|sed|awk|ls|tree|find|wc|echo|printf|cd|export|source|rm|mv|cp|mkdir|touch|chmod|ln|tar|unzip|sudo|sleep|which|code|vim?|docker|podman|adb|xcrun|qemu\S*|tmux|node|deno|bun|tsx|ts-node|python3?|ruby|php|java|perl|(cargo|go|dotnet|flutter|swift) run|git)\b|&\s*$|--watch\b|\bgit (add|commit|push)\b|\balembic (revision|upgrade|downgrade)|\bmanage\.py (?!test|check)|\bmakemigrations\b|\brails (g|generate|db:\S+|s|server|c|console)\b|\bprisma (migrate|db|generate|studio)/i;
/** What of those only looks, and says no with its exit code. */
const LOOKS =
  /^(grep|rg|git (diff|grep|ls-files|status)|diff|test|\[|!|(node|python3?) (-[emc]|--\w+|\S*(test|check|verif|valid|lint))|docker([ -]compose)? (-f \S+ )?config|ruby -c|jq|xmllint|plutil|ls \S)/;

/** A command without the folders that it changes to first. */
export const withoutFolder = (text: string): string => text.replace(/^\(?\s*(cd\s+\S+\s*&&\s*)*/, '').trim();

/** Whether a command checks something by itself, can be run where a plan says to check, or is for a person to run. */
export function judgeCommand(text: string): 'check' | 'look' | 'person' {
  const plain = withoutFolder(text);
  const check = plain
    .split(/\s*(?:&&|;|\|)\s*/)
    .some((part) => CHECKS.test(part.replace(RUNNER, '')) || CHECKS.test(part));
  if (check)
    return /--watch\b|&\s*$|\bgit (add|commit|push)\b/.test(text) ||
      NEVER.test(plain.replace(RUNNER, '').split(/\s/)[0] ?? '')
      ? 'person'
      : 'check';
  return LOOKS.test(plain) || !(NEVER.test(plain) || NEVER.test(plain.replace(RUNNER, ''))) ? 'look' : 'person';
}

export interface CommandLine {
  readonly text: string;
  /** The comments before, on and after the line. */
  readonly note: string;
  /** The line in the block, from 0. */
  readonly offset: number;
  /** False for a command whose input follows on more lines. */
  readonly whole: boolean;
}

/** Of a quote that is not closed: lines that may close it, and characters of one command. */
const MOST_LINES = 40;
const LONGEST = 4096;

/** The commands of a shell block: one a line, lines that go on joined, `cd` and `export` kept before what follows them. */
export function commandLines(source: string): CommandLine[] {
  const lines = source.split('\n').map((line) => line.trim().replace(/^[$>]\s+/, ''));
  const found: CommandLine[] = [];
  let [folder, variables, held, comment] = ['', '', '', ''];
  for (const [offset, raw] of lines.entries()) {
    const full = held + raw;
    const open = hasOpenQuote(full) && lines.slice(offset + 1, offset + MOST_LINES).some((line) => /["']/.test(line));
    const goesOn = (open || /\\$|(&&|\|)$/.test(full)) && offset < lines.length - 1 && full.length < LONGEST;
    held = goesOn ? full.replace(/\s*\\$/, '') + (open ? '\n' : ' ') : '';
    if (held !== '') continue;
    if (/^(#|\/\/|$)/.test(full)) {
      comment = full;
      continue;
    }
    if (/<<-?\s*['"]?\w/.test(full)) return [...found, { text: full, note: '', offset, whole: false }];
    const [text = '', said = ''] = full.split(/\s+#\s+(.*)$/);
    const next = /^#.*(expect|→|=>|should|must)/i.test(lines[offset + 1] ?? '') ? lines[offset + 1] : '';
    const variable = /^export\s+([A-Z_][A-Z0-9_]*=("[^"]*"|'[^']*'|\S+))$/.exec(text)?.[1];
    if (/^cd\s+[^&|;]+$/.test(text)) folder = /^cd\s+(-|\.)/.test(text) ? '' : `${text} && `;
    else if (variable !== undefined) variables += `${variable} `;
    else if (!/^set -\w/.test(text)) {
      // A variable stands before one program only; where that is not plain to see, a person runs the lines.
      const parts = variables === '' || !text.includes(' && ') ? [text] : text.split(' && ');
      const plain = variables === '' || !/["'`|;()]|\bcd\s/.test(text);
      found.push({
        text: folder + parts.map((part) => variables + part).join(' && '),
        note: `${said} ${comment} ${next}`,
        offset,
        whole: plain && !text.includes('\n'),
      });
    }
    comment = '';
  }
  return found;
}

/** True where a quote of a command is not closed; an apostrophe inside double quotes opens none. */
const hasOpenQuote = (text: string): boolean =>
  !text.startsWith('#') && /["']/.test(text.replace(/\\.|"(\\.|[^"\\])*"|'[^']*'|\s#.*$/g, ''));
