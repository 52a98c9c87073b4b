import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkSpec } from '../../src/spec/check.ts';
import type { RepoFacts } from '../../src/spec/facts.ts';
import { isSpec, parseSpec } from '../../src/spec/parse.ts';
import { fromPlan, readPlan, specOf } from '../../src/spec/plan/from-plan.ts';
import { outline } from '../../src/spec/plan/outline.ts';
import { renderSpec } from '../../src/spec/render.ts';

const facts = (files: string[], manifests: Record<string, string> = {}): RepoFacts => ({
  root: '/home/me/shop',
  name: 'shop',
  files: new Map([...files, ...Object.keys(manifests)].map((path) => [path, '100644'])),
  untracked: new Set(),
  manifests: new Map(Object.entries(manifests)),
});

const convert = (name: string, files: string[], manifests: Record<string, string> = {}) => {
  const source = readFileSync(new URL(`../fixtures/plans/${name}.md`, import.meta.url), 'utf8');
  const world = facts(files, manifests);
  const { spec, findings } = fromPlan(source, world, '001');
  const text = renderSpec(spec);
  const parsed = parseSpec(text);
  const problems = [
    ...parsed.findings,
    ...checkSpec({ spec: parsed.spec, source: text, lines: parsed.lines, facts: world }),
  ];
  return {
    tasks: parsed.spec.tasks.map(
      (task) =>
        `${task.title}${task.independent ? ' [I]' : ''}${task.dependsOn.length > 0 ? ` <${task.dependsOn.join()}>` : ''}: ${task.files.map((file) => `${file.verb} ${file.path}`).join(', ')}`,
    ),
    commands: [...parsed.spec.tasks.flatMap((task) => task.verification), ...parsed.spec.verification].map(
      (item) =>
        `${item.kind === 'manual' ? '? ' : ''}${item.text}${item.baselineFails ? ' (baseline fail)' : ''}${item.detected ? ' (detected)' : ''}`,
    ),
    findings: findings.map((item) => `${item.line} ${item.code} ${item.fix}`),
    errors: problems.filter((item) => item.severity === 'error').map((item) => `${item.code} ${item.message}`),
    review: parsed.spec.criteria.map((item) => `${item.text} <- ${item.targets.join()}`),
    kept: parsed.spec.plan === source,
  };
};

const NPM = { 'package.json': '{"scripts":{"test":"vitest","typecheck":"tsc","lint":"x"}}' };

describe('the shapes of real plans', () => {
  it('a table of files with actions', () => {
    const seen = convert('table', ['src/server.ts', 'src/old-throttle.ts', 'src/config.ts', 'docs/limits.md'], NPM);
    expect(seen.tasks).toEqual([
      'Rate limits for the API: MODIFY src/server.ts, CREATE src/limiter.ts, DELETE src/old-throttle.ts, MODIFY src/config.ts',
    ]);
    expect(seen.commands).toEqual(['npm run typecheck', 'npm test -- limiter']);
    expect(seen.review).toEqual([
      'npm run dev & <- review',
      'Open two windows and press reload. <- review',
      'Verify that the second gets a 429. <- review',
    ]);
    expect(seen.errors).toEqual([]);
    expect(seen.findings).toEqual([]);
  });

  it('sections of files, what is not touched, and inline commands', () => {
    const seen = convert('sections', [
      'app/settings/__init__.py',
      'app/main.py',
      'app/settings/legacy.py',
      'docs/style.md',
    ]);
    expect(seen.tasks).toEqual([
      'Split the settings screen: CREATE app/settings/theme.py, CREATE tests/test_theme.py, MODIFY app/settings/__init__.py, MODIFY app/main.py',
    ]);
    expect(seen.commands).toEqual(['uv run pytest', 'uv run pytest tests/test_theme.py']);
    expect(seen.errors).toEqual([]);
  });

  it('labels with several paths', () => {
    const seen = convert('labels', [
      'docker/proxy.conf',
      'docker/compose.yml',
      'docker/ports.env',
      'README.md',
      'Makefile',
    ]);
    expect(seen.tasks).toEqual([
      'Proxy for the docs site: MODIFY docker/proxy.conf, MODIFY docker/compose.yml, CREATE docker/docs.conf, MODIFY README.md',
    ]);
    expect(seen.commands).toEqual(['make check']);
    expect(seen.review).toEqual(['Translations look right <- review']);
  });

  it('phases that own their files are tasks in order, not independent because one says so; "remove section" is no deletion', () => {
    const seen = convert('phases', [
      'Cargo.toml',
      'crates/core/src/lib.rs',
      'crates/parser/src/lib.rs',
      'crates/parser/src/old.rs',
      'docs/grammar.md',
    ]);
    expect(seen.tasks).toEqual([
      'Phase 1: Types: CREATE crates/core/src/ast.rs, MODIFY crates/core/src/lib.rs',
      'Phase 2: Parser <1>: MODIFY crates/parser/src/lib.rs, MODIFY crates/parser/src/old.rs',
      'Phase 3 (in parallel): Docs <2>: MODIFY docs/grammar.md',
    ]);
    expect(seen.commands).toEqual(['cargo test --workspace', 'cargo clippy -- -D warnings']);
  });

  it('paths and commands inside code to be written are no work', () => {
    const seen = convert('steps-code', ['src/parse.ts', 'README.md', 'docs/guide.md', 'src/other.ts'], NPM);
    expect(seen.tasks).toEqual([
      'Step 1: Write the parser: CREATE src/header.ts',
      'Step 2: Use it <1>: MODIFY src/parse.ts',
      'Step 3: Docs <2>: MODIFY README.md',
    ]);
    expect(seen.commands).toEqual(['npx vitest run test/header.test.ts', 'npm run lint']);
    expect(seen.kept).toBe(true);
  });

  it('bare names: resolved, or one question with the candidates', () => {
    const seen = convert('swift', [
      'App/LoginView.swift',
      'App/SignupView.swift',
      'App.xcodeproj/project.pbxproj',
      'App/Helper.swift',
      'Kit/Helper.swift',
    ]);
    expect(seen.tasks).toEqual([
      'Sign-up flow: MODIFY App/LoginView.swift, MODIFY App/SignupView.swift, MODIFY App.xcodeproj/project.pbxproj',
    ]);
    expect(seen.findings).toEqual([
      '5 plan/which-file Write under Files: - MODIFY and one of: App/Helper.swift, Kit/Helper.swift',
    ]);
    expect(seen.errors).toEqual([]);
  });

  it('absolute paths: inside by the folder name, one finding for all outside', () => {
    const seen = convert('absolute', ['src/main/kotlin/Cache.kt', 'gradlew']);
    expect(seen.tasks).toEqual(['Kotlin fixes: MODIFY src/main/kotlin/Cache.kt']);
    expect(seen.findings.map((item) => item.slice(0, 14))).toEqual(['7 plan/outside']);
    expect(seen.commands).toEqual(['./gradlew test']);
  });

  it('a pattern is the few files it matches, else one question', () => {
    const pages = Array.from({ length: 15 }, (_, index) => `pages/${index}.html`);
    const seen = convert('folders', [
      'content/en/insights/a.md',
      'content/de/insights/a.md',
      'components/x.tsx',
      ...pages,
    ]);
    expect(seen.tasks).toEqual(['Rename insights: MODIFY content/en/insights/a.md, MODIFY content/de/insights/a.md']);
    expect(seen.findings.map((item) => item.slice(0, 18))).toEqual(['10 plan/which-file']);
  });

  it('a question about a row of a table is on its line', () => {
    const plan = '# T\n\n## Files\n\n| File | Action |\n|---|---|\n| `src/a.ts` | edit |\n| `b.ts` | edit |\n';
    const { findings } = fromPlan(plan, facts(['src/a.ts', 'x/b.ts', 'y/b.ts']), '001');
    expect(findings.map((item) => [item.line, item.message])).toEqual([[8, 'Which file is b.ts?']]);
  });

  it('names that nothing places are one question, where the first of them stands', () => {
    const plan = '# T\n\n## Files\n\n- `src/a.ts`\n- `One.cs`\n- `Two.razor`\n';
    const { findings } = fromPlan(plan, facts(['src/a.ts']), '001');
    expect(findings.map(({ line, message, fix }) => [line, message, fix])).toEqual([
      [
        6,
        'Which files are One.cs, Two.razor?',
        'Write under Files: - CREATE or MODIFY and the whole path of each, or nothing if it is no work',
      ],
    ]);
  });

  it('what the work will bring about is no work', () => {
    const plan = '# T\n\n- MODIFY `src/a.ts`\n\n## Expected impact\n\n- `b.ts`: 4 lines more\n';
    expect(fromPlan(plan, facts(['src/a.ts', 'x/b.ts', 'y/b.ts']), '001').findings).toEqual([]);
  });

  it('a long plan of one file is not called small', () => {
    const small = (plan: string): boolean => {
      const world = facts(['src/a.ts']);
      const source = renderSpec(fromPlan(plan, world, '001').spec);
      const { spec, lines } = parseSpec(source);
      return checkSpec({ spec, source, lines, facts: world }).some(({ code }) => code === 'spec/small');
    };
    expect(small('# T\n\n- MODIFY `src/a.ts`\n')).toBe(true);
    expect(small(`# T\n\n- MODIFY \`src/a.ts\`\n${'- say more\n'.repeat(60)}`)).toBe(false);
  });

  it('done items are no work', () => {
    const seen = convert('done', ['src/a.go', 'src/b.go', 'go.mod']);
    expect(seen.tasks).toEqual(['Remaining work: MODIFY src/b.go, CREATE src/c.go']);
    expect(seen.commands).toEqual(['go test ./... (detected)']);
  });

  it('Japanese, Chinese and Turkish', () => {
    const japanese = convert('japanese', ['src/index.ts', 'src/filter-old.ts'], NPM);
    expect(japanese.tasks).toEqual([
      'ステップ 1: 検索ロジック: CREATE src/search.ts, MODIFY src/index.ts',
      'ステップ 2: 不要なコード <1>: DELETE src/filter-old.ts',
    ]);
    expect(japanese.commands).toEqual(['pnpm test']);
    const chinese = convert('chinese', ['app/views.py']);
    expect(chinese.tasks.map((line) => line.replace(/^.*: /, ''))).toEqual([
      'CREATE app/cache.py',
      'MODIFY app/views.py',
    ]);
    expect(chinese.commands).toEqual(['pytest tests/test_cache.py']);
    const turkish = convert('turkish', ['lib/app.ex', 'mix.exs']);
    expect(turkish.tasks.map((line) => line.replace(/^.*: /, ''))).toEqual([
      'CREATE lib/cache.ex',
      'MODIFY lib/app.ex',
    ]);
    expect(turkish.commands).toEqual(['mix test']);
  });

  const refusals: [string, string, string][] = [
    ['done', 'done', '# P\n\n**Status:** ✅ all merged\n\n- `src/a.ts`\n'],
    ['ticked', 'done', '# P\n\n- [x] `src/a.ts`\n- [x] b\n- [x] c\n'],
    ['board', 'a status board', '# P\n\n| Task | Owner | Status |\n|---|---|---|\n| Pay | Ann | open |\n'],
    ['runbook', 'a runbook', '# P\n\n```sh\nkubectl apply -f x\n```\n\nThen:\n\n```sh\n./scripts/check all\n```\n'],
  ];
  it.each(refusals)('%s: refused as %s', (_name, what, plan) => {
    const { findings } = fromPlan(plan, facts(['src/a.ts']), '001');
    expect(findings.map((item) => [item.code, item.message])).toEqual([
      ['plan/refused', `This plan is ${what}: no work to hand over.`],
    ]);
  });

  it('a plan of which a part is done, or whose design is, is work', () => {
    const part = '# P\n\n## Step 1\n\nStatus: done\n\n## Step 2\n\nStatus: open\n\n- `src/a.ts`\n';
    const design = '# P\n\nStatus: design complete, ready to build\n\n- `src/a.ts`\n';
    for (const plan of [part, design]) expect(fromPlan(plan, facts(['src/a.ts']), '001').findings).toEqual([]);
  });

  it('a plan that names neither a file nor a check is refused', () => {
    expect(convert('none', ['src/a.ts']).findings.map((item) => item.slice(0, 14))).toEqual(['1 plan/refused']);
  });

  it('knows a spec', () => {
    expect(isSpec('# Spec: 001 -- T\n')).toBe(true);
    expect(isSpec('# Plan\n\n# Spec: 001 -- T\n')).toBe(false);
  });
});

describe('what a plan says of paths', () => {
  const read = (plan: string, files: string[]): string[] =>
    fromPlan(plan, facts(files), '001').spec.tasks.flatMap((task) =>
      task.files.map((file) => `${file.verb} ${file.path}`),
    );

  it('a folder for all new files holds the bare names below it', () => {
    const plan = '# P\n\n## New files\n\nAll of them go in `app/geo/`.\n\n### `Store.kt`\n\n### `Fence.kt`\n';
    expect(read(plan, ['app/Main.kt'])).toEqual(['CREATE app/geo/Store.kt', 'CREATE app/geo/Fence.kt']);
  });

  it('a drawn tree is new files, and tracked ones only where a remark marks them', () => {
    const plan =
      '# P\n\n```\nshop/\n├── src/\n│   ├── new.ts\n│   ├── old.ts\n│   └── main.ts   # modified\n└── README.md\n```\n';
    expect(read(plan, ['src/old.ts', 'src/main.ts', 'README.md'])).toEqual(['CREATE src/new.ts', 'MODIFY src/main.ts']);
  });

  it('what is reused, not touched or under test is no work', () => {
    const plan =
      '# P\n\n## Changes\n\n- `src/a.ts` - the new rule\n- `src/b.ts` (no changes)\n\n## Reuse\n\n- `src/c.ts`\n\n## Not touched\n\n- `src/d.ts`\n';
    expect(read(plan, ['src/a.ts', 'src/b.ts', 'src/c.ts', 'src/d.ts'])).toEqual(['MODIFY src/a.ts']);
  });

  it('a checkout of another person is this one', () => {
    const plan =
      '# P\n\n- `/Users/ann/code/shop/src/a.ts`\n- `C:\\\\work\\\\shop\\\\src\\\\b.ts`\n- `/home/bob/other/src/c.ts`\n';
    expect(read(plan.replaceAll('\\\\', '\\'), ['src/a.ts', 'src/b.ts', 'src/c.ts'])).toEqual([
      'MODIFY src/a.ts',
      'MODIFY src/b.ts',
      'MODIFY src/c.ts',
    ]);
  });

  it.each(['| # | File |\n|---|---|\n| 1 |', '| Action | File |\n|---|---|\n| Edit |'])(
    'a table whose files stand in its second column: %s',
    (head) => {
      expect(read(`# P\n\n${head} \`src/a.ts\` |\n`, ['src/a.ts'])).toEqual(['MODIFY src/a.ts']);
    },
  );

  it.each([
    'bin/deploy',
    'app/(auth)/page.tsx',
    'users.$id.tsx',
    '.nojekyll',
    'Vagrantfile',
    'README',
    'x.feature',
    'docs/My File.md',
  ])('a line in the words of the grammar names a path, whatever it looks like: %s', (path) => {
    const line = path.includes(' ') ? `\`${path}\`` : path;
    expect(read(`# P\n\n## Files\n\n- CREATE ${line} -- new\n`, ['src/a.ts'])).toEqual([`CREATE ${path}`]);
  });

  it.each(['the handler in `src/a.ts`', '`run()` in `src/a.ts`', 'src/a.ts: call it', '`src/a.ts:12`'])(
    'a sentence that begins with a verb of the grammar is none of its lines: MODIFY %s',
    (words) => {
      expect(read(`# P\n\n## Files\n\n- MODIFY ${words}\n`, ['src/a.ts'])).toEqual(['MODIFY src/a.ts']);
    },
  );

  it.each([
    '- `src/x.ts` (not touched)',
    '- `src/x.ts` – under test',
    '## Nicht anfassen\n- `src/x.ts`',
    '## Ne pas toucher\n- `src/x.ts`',
    '## Sin cambios\n- `src/x.ts`',
    '## Implementation notes\n- `src/x.ts` holds the types',
  ])('is no work: %j', (words) => {
    expect(read(`# P\n\n- \`src/a.ts\`\n${words}\n`, ['src/a.ts', 'src/x.ts'])).toEqual(['MODIFY src/a.ts']);
  });

  it.each([
    '- Remove the cache from `src/x.ts`',
    '## Existing code to change\n- Add a flag in `src/x.ts`',
    '## Recommended approach\n- Add a flag in `src/x.ts`',
    '## Implementation notes\n- Add a flag in `src/x.ts`',
  ])('is work: %j', (words) => {
    expect(read(`# P\n\n${words}\n`, ['src/x.ts'])).toEqual(['MODIFY src/x.ts']);
  });

  it('a deleted folder is its files', () => {
    expect(read('# P\n\n**Delete:**\n\n- `src/old/`\n', ['src/old/a.ts', 'src/old/b.ts', 'src/c.ts'])).toEqual([
      'DELETE src/old/a.ts',
      'DELETE src/old/b.ts',
    ]);
  });

  it('what is listed outranks what a sentence says', () => {
    const plan =
      '# P\n\n## Step 1\n\n**Files:**\n- Modify: `src/a.ts`\n\nThen change the caller in `src/b.ts` later.\n';
    expect(read(plan, ['src/a.ts', 'src/b.ts'])).toEqual(['MODIFY src/a.ts']);
    const { findings } = fromPlan(plan, facts(['src/a.ts', 'src/b.ts']), '001');
    expect(findings.map(({ code, severity, line }) => [code, severity, line])).toEqual([['plan/only-said', 'info', 8]]);
  });

  it('items of one list are equals', () => {
    const plan =
      '# P\n\n1. **Add the helper** in `src/new.ts`\n2. **Wire it** in `src/a.ts`\n3. `src/b.ts` — call it\n';
    expect(read(plan, ['src/a.ts', 'src/b.ts'])).toEqual(['CREATE src/new.ts', 'MODIFY src/a.ts', 'MODIFY src/b.ts']);
  });
});

describe('a header beside a plan', () => {
  const read = (plan: string, header: string) => {
    const world = facts(['src/a.ts', 'package.json']);
    const { spec } = specOf(readPlan(outline(plan, header), world), world, { source: plan, number: '001' });
    return [spec.title, spec.tasks[0]?.files.map(({ path }) => path), spec.verification.map(({ text }) => text)];
  };
  const headers = [
    '## Files\n- MODIFY src/a.ts\n\n## Verification\n- `npm test`',
    'Files:\n- MODIFY src/a.ts\nVerification:\n- `npm test`',
  ];
  const plans = [
    '# P\n\nSay it.\n\n# Risks\n\nNone.',
    '# P\n\nSay it.\n\n```ts\nconst a = 1;',
    '# P\n\n## Context\n\n- say it',
  ];

  it.each(plans.flatMap((plan) => headers.map((header) => [plan, header] as const)))(
    'is read as what it is: %j, %j',
    (plan, header) => {
      expect(read(plan, header)).toEqual(['P', ['src/a.ts'], ['npm test']]);
    },
  );

  it('gives no title to a plan without a heading', () => {
    expect(read('Say it.', '# Files\n- MODIFY src/a.ts')[1]).toEqual(['src/a.ts']);
  });
});

describe('what a plan says of order', () => {
  const read = (second: string, body = ''): string[] => {
    const plan = `# P\n\n## Task 1: Money (parallel)\n\n- CREATE \`src/a.ts\`\n\n## ${second}\n\n- CREATE \`src/b.ts\`\n\n${body}\n`;
    return fromPlan(plan, facts(['README.md']), '001').spec.tasks.map(
      ({ title, independent }) => `${title}${independent ? ' [I]' : ''}`,
    );
  };

  it.each(['Task 2: Rates (in parallel)', 'Task 2: Rates [P]', 'Task 2: Rates — parallel'])('beside: %s', (second) => {
    expect(read(second).every((title) => title.endsWith(' [I]'))).toBe(true);
  });

  it.each([
    ['Task 2: Rates (must not run in parallel)', ''],
    ['Task 2: Parallel fetch queue', ''],
    ['Task 2 - Parallel fetch queue', ''],
    ['Task 2: Rates (parallel)', 'Depends on: Task 1'],
    ['Task 2: Rates (parallel)', '**Depends on:** 1'],
    ['Task 2: Rates (parallel)', '### Details\n\nImports `Money` from Task 1.'],
    ['Task 2: Rates (parallel)', '```ts\nimport { Money } from "../src/a.ts";\n```'],
  ])('in order: %s %s', (second, body) => {
    expect(read(second, body).some((title) => title.endsWith(' [I]'))).toBe(false);
  });

  it('the tag of the grammar is what the plan says, and no part of the title', () => {
    expect(read('Task 2: Rates [INDEPENDENT]')).toEqual(['Task 1: Money (parallel) [I]', 'Task 2: Rates [I]']);
  });
});

describe('what a plan says of checks', () => {
  const read = (plan: string): string[] =>
    fromPlan(plan, facts(['src/a.ts', 'web/package.json', 'package.json']), '001').spec.verification.map(
      (item) =>
        `${item.text}${item.shell ? ' (shell)' : ''}${item.expect === 0 ? '' : ` (expect ${item.expect})`}${item.timeoutSeconds === undefined ? '' : ` (${item.timeoutSeconds} s)`}`,
    );
  const checks = (block: string): string =>
    `# P\n\n- \`src/a.ts\`\n\n## Verification\n\n\`\`\`bash\n${block}\n\`\`\`\n`;

  it('a folder stays before its commands, and lines that go on are one', () => {
    expect(read(checks('cd web\nnpm run lint\nnpm test \\\\\n  --silent'.replaceAll('\\\\', '\\')))).toEqual([
      'cd web && npm run lint (shell)',
      'cd web && npm test --silent (shell)',
    ]);
  });

  it.each([
    ['cd /home/me/shop && npm test', 'npm test'],
    ['cd "/home/me/shop" && npm test', 'npm test'],
    ['cd /Users/other/code/shop && npm test', 'npm test'],
    ['cd ~/code/shop/web && npm test', 'cd web && npm test (shell)'],
    ['npx vitest run /home/me/shop/src/a.test.ts', 'npx vitest run src/a.test.ts'],
    ['npm --prefix /home/me/shop test', 'npm --prefix . test'],
    ['/home/me/shop/gradlew test', './gradlew test'],
  ])('a command that names the checkout begins at the top: %s', (said, meant) => {
    expect(read(`# P\n\n- \`src/a.ts\`\n\n## Verification\n\n- \`${said}\`\n`)).toEqual([meant]);
  });

  it.each(['- `cd /home/me/shop-two && npm test`', '```sh\ncd ~/shop-two\nnpm test\n```'])(
    'a command in another folder of the machine is for a person: %j',
    (said) => {
      expect(read(`# P\n\n- \`src/a.ts\`\n\n## Verification\n\n${said}\n`)).toEqual([]);
    },
  );

  it('lines after a change to the checkout begin at the top', () => {
    expect(read(checks('cd /home/me/shop\nnpm test\ncd /home/me/shop/web\nnpm run lint'))).toEqual([
      'npm test',
      'cd web && npm run lint (shell)',
    ]);
  });

  it.each([
    ['`grep -rn old src` (expect 1)', 'grep -rn old src (expect 1)'],
    ['`node check.js` must exit with 3', 'node check.js (expect 3)'],
    ['`npm test` exits with code `2`, then `npm run lint`', 'npm test (expect 2)', 'npm run lint'],
    ['`npm test` must fail with exit code 1', 'npm test (expect 1)'],
    ['`npm test` (timeout 5m)', 'npm test (300 s)'],
    ['`npm test` (all 12 pass)', 'npm test'],
  ])('what a command must exit with, and how long it may take: %s', (said, ...meant) => {
    expect(read(`# P\n\n- \`src/a.ts\`\n\n## Verification\n\n- ${said}\n`)).toEqual(meant);
  });

  it.each(['- `grep -c foo src/a.ts` (expect 3)', '```sh\ngrep -c foo src/a.ts # expect 3\n```'])(
    'a number that a command prints is for a person: %s',
    (said) => {
      const { spec } = fromPlan(`# P\n\n- \`src/a.ts\`\n\n## Verification\n\n${said}\n`, facts(['src/a.ts']), '001');
      expect([spec.verification, spec.criteria.map(({ text }) => text)]).toEqual([
        [],
        ['grep -c foo src/a.ts (prints 3)'],
      ]);
    },
  );

  it('a search that must print nothing must fail; one without a word on it is for a person', () => {
    expect(read(checks('# must print nothing\ngrep -rn "old" src'))).toEqual(['grep -rn "old" src (expect 1)']);
    expect(read(checks('grep -rn "old" src'))).toEqual([]);
  });

  it('a tool without its manifest is for a person', () => {
    const plan = checks('cargo test');
    const seen = (files: string[]) => fromPlan(plan, facts(['src/a.ts', ...files]), '001').spec;
    expect(seen([]).verification).toEqual([]);
    expect(seen([]).criteria.map((item) => item.text)).toEqual(['cargo test']);
    expect(seen(['Cargo.toml']).verification.map((item) => item.text)).toEqual(['cargo test']);
  });

  it.each([
    ['npm run lint &&\n  npm test', 'npm run lint && npm test (shell)'],
    ['npm test |\n  grep -q ok', 'npm test | grep -q ok (shell)'],
    ['export CI=1\nnpm test', 'CI=1 npm test'],
    ['export CI=1\nnpm run lint && npm test', 'CI=1 npm run lint && CI=1 npm test (shell)'],
    ['set -e\nnpm test', 'npm test'],
    ["npm run lint # don't skip\nnpm test", 'npm run lint', 'npm test'],
  ])('lines that belong together are one command: %j', (block, ...meant) => {
    expect(read(checks(block))).toEqual(meant);
  });

  it.each([
    ['node -e "\nprocess.exit(1)\n"\nnpm test', ['npm test'], ['node -e " ⏎ process.exit(1) ⏎ " …']],
    ['for f in src/*; do\n  node --check $f\ndone', [], ['for f in src/*; do ⏎ node --check $f ⏎ done …']],
  ])('what no line of a spec can hold is for a person: %j', (block, commands, review) => {
    const { spec } = fromPlan(checks(block), facts(['src/a.ts', 'package.json']), '001');
    expect(spec.verification.map(({ text }) => text)).toEqual(commands);
    expect(spec.criteria.map(({ text }) => text)).toEqual(review);
  });

  it('what is to be written, commits, waits, or has a gap is no check', () => {
    const plan =
      '# P\n\n## Step 1\n\n- `src/a.ts`\n\n```bash\nbuild() {\n  npm test\n}\n```\n\n```bash\ngit commit -m "test"\nnpm run dev\nnpm test -- <name>\n```\n';
    expect(read(plan)).toEqual([]);
  });
});

describe('properties', () => {
  it('never throws and always gives a spec that parses', () => {
    const words = fc.constantFrom(
      '# Plan',
      '## Step 1: x',
      '- `src/a.ts`',
      '| a | b |',
      '|-|-|',
      '| `b.ts` | DELETE |',
      '```sh',
      '```',
      'npm test',
      '1. Update `c.py`',
      '**File:** `d.go`',
      '/etc/x.conf',
      '## Verification',
      '`*.ts`',
      '$(rm -rf /) `"\' `',
      '\u202e',
      '',
    );
    fc.assert(
      fc.property(fc.array(words, { maxLength: 30 }), (lines) => {
        const { spec } = fromPlan(lines.join('\n'), facts(['src/a.ts', 'x/c.py']), '001');
        expect(parseSpec(renderSpec(spec)).spec.tasks).toHaveLength(spec.tasks.length);
      }),
      { numRuns: 1000 },
    );
  });
});
