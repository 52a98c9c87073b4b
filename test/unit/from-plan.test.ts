import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkSpec } from '../../src/spec/check.ts';
import type { RepoFacts } from '../../src/spec/facts.ts';
import { parseSpec } from '../../src/spec/parse.ts';
import { isSpec } from '../../src/spec/plan/commands.ts';
import { fromPlan } from '../../src/spec/plan/from-plan.ts';
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
  const { spec, findings, leftOut } = fromPlan(source, world, '001');
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
    findings: findings.map((item) => `${item.line} ${item.code}`),
    errors: problems.filter((item) => item.severity === 'error').map((item) => `${item.code} ${item.message}`),
    spec: parsed.spec,
    leftOut,
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
    expect(seen.spec.criteria.map((item) => item.targets)).toEqual([['review'], ['review'], ['review']]);
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
    expect(seen.spec.protected.map((line) => line.text)).toEqual(['app/settings/legacy.py', 'docs/style.md']);
    expect(seen.commands).toEqual(['uv run pytest', 'uv run pytest tests/test_theme.py (baseline fail)']);
    expect(seen.spec.constraints[0]?.text).toContain('Dark mode');
    expect(seen.leftOut.join()).toContain('Rollback');
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
      'Proxy for the docs site: MODIFY docker/proxy.conf, MODIFY docker/compose.yml, CREATE docker/docs.conf, MODIFY docker/ports.env, MODIFY README.md',
    ]);
    expect(seen.commands).toEqual(['make check']);
    expect(seen.errors).toEqual([]);
  });

  it('phases in order, one of them in parallel; "remove section" is no deletion', () => {
    const seen = convert('phases', [
      'crates/core/src/lib.rs',
      'crates/parser/src/lib.rs',
      'crates/parser/src/old.rs',
      'docs/grammar.md',
    ]);
    expect(seen.tasks).toEqual([
      'Types: CREATE crates/core/src/ast.rs, MODIFY crates/core/src/lib.rs',
      'Parser <1>: MODIFY crates/parser/src/lib.rs, MODIFY crates/parser/src/old.rs',
      '(in parallel): Docs [I]: MODIFY docs/grammar.md',
    ]);
    expect(seen.commands).toEqual(['cargo test --workspace', 'cargo clippy -- -D warnings']);
    expect(seen.errors).toEqual([]);
  });

  it('paths and commands inside code to be written are no work', () => {
    const seen = convert('steps-code', ['src/parse.ts', 'README.md', 'docs/guide.md', 'src/other.ts'], NPM);
    expect(seen.tasks).toEqual([
      'Write the parser: CREATE src/header.ts',
      'Use it <1>: MODIFY src/parse.ts',
      'Docs [I]: MODIFY README.md',
    ]);
    expect(seen.commands).toEqual(['npx vitest run test/header.test.ts', 'npm run lint']);
    expect(seen.spec.tasks[0]?.notes).toContain('parseHeader');
    expect(seen.errors).toEqual([]);
  });

  it('bare names: resolved, ambiguous, or without a folder', () => {
    const seen = convert('swift', [
      'App/LoginView.swift',
      'App/SignupView.swift',
      'App.xcodeproj/project.pbxproj',
      'App/Helper.swift',
      'Kit/Helper.swift',
    ]);
    expect(seen.tasks[0]).toContain('MODIFY App/LoginView.swift, MODIFY App/SignupView.swift');
    expect(seen.tasks[1]).toContain('MODIFY App.xcodeproj/project.pbxproj');
    expect(seen.findings).toEqual(['4 plan/where', '4 plan/where', '5 plan/ambiguous', '5 plan/no-path']);
  });

  it('absolute paths: inside by the folder name, a finding outside', () => {
    const seen = convert('absolute', ['src/main/kotlin/Cache.kt', 'gradlew']);
    expect(seen.tasks[0]).toBe('Cache [I]: MODIFY src/main/kotlin/Cache.kt');
    expect(seen.findings.filter((item) => item.includes('outside'))).toEqual(['7 plan/outside', '7 plan/outside']);
    expect(seen.commands).toEqual(['./gradlew test']);
  });

  it('folders and patterns', () => {
    const pages = Array.from({ length: 15 }, (_, index) => `pages/${index}.html`);
    const seen = convert('folders', [
      'content/en/insights/a.md',
      'content/de/insights/a.md',
      'components/x.tsx',
      ...pages,
    ]);
    expect(seen.tasks[0]).toBe('Content [I]: MODIFY content/en/insights/a.md, MODIFY content/de/insights/a.md');
    expect(seen.findings).toContain('7 plan/folder');
    expect(seen.findings).toContain('10 plan/folder');
  });

  it('done work is context', () => {
    const seen = convert('done', ['src/a.go', 'src/b.go', 'go.mod']);
    expect(seen.tasks).toEqual(['Remaining work: MODIFY src/b.go, CREATE src/c.go']);
    expect(seen.commands).toEqual(['go test ./... (detected)']);
    expect(seen.spec.criteria).toHaveLength(1);
  });

  it('Japanese, Chinese and Turkish', () => {
    const japanese = convert('japanese', ['src/index.ts', 'src/filter-old.ts'], NPM);
    expect(japanese.tasks).toEqual([
      '検索ロジック [I]: CREATE src/search.ts, MODIFY src/index.ts',
      '不要なコード [I]: DELETE src/filter-old.ts',
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

  it('a plan that names nothing gets one clear finding, and no invention', () => {
    const seen = convert('none', ['src/a.ts'], NPM);
    expect(seen.tasks).toEqual([]);
    expect(seen.findings).toEqual(['1 plan/empty']);
  });

  it('knows a spec', () => {
    expect(isSpec('# Spec: 001 -- T\n')).toBe(true);
    expect(isSpec('# Plan\n\n# Spec: 001 -- T\n')).toBe(false);
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
