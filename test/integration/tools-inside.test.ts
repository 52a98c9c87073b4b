import { spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Result } from '../../src/review/result.ts';
import { Lab, spec } from '../helpers/repo.ts';
import { probe } from '../helpers/sandbox.ts';

/** Each starts, and does something that needs more than its own file; nothing comes from the network. */
const TOOLS: Readonly<Record<string, string>> = {
  npm: 'cd app && npm ci --offline --no-audit --no-fund && node -e "require(\'dep\')"',
  pnpm: 'cd empty && pnpm install --offline',
  yarn: 'cd empty && yarn install --offline',
  'python3 venv': 'python3 -m venv "$TMPDIR/venv" && "$TMPDIR/venv/bin/python" -c "import json, sqlite3"',
  cargo: 'cd crate && cargo build --offline --target-dir "$TMPDIR/target" && "$TMPDIR/target/debug/x"',
  go: 'cd module && go build -o "$TMPDIR/x" . && "$TMPDIR/x"',
};

const LOCK = {
  name: 'app',
  lockfileVersion: 3,
  packages: {
    '': { name: 'app', dependencies: { dep: 'file:dep' } },
    dep: { version: '1.0.0' },
    'node_modules/dep': { resolved: 'dep', link: true },
  },
};

const FILES = {
  'greet.txt': 'hello\n',
  'app/package.json': JSON.stringify({ name: 'app', dependencies: { dep: 'file:dep' } }),
  'app/package-lock.json': JSON.stringify(LOCK),
  'app/dep/package.json': '{"name":"dep","version":"1.0.0"}',
  'app/dep/index.js': '',
  'empty/package.json': '{"name":"empty","version":"1.0.0"}',
  'crate/Cargo.toml': '[package]\nname = "x"\nversion = "0.1.0"\nedition = "2021"\n',
  'crate/src/main.rs': 'fn main() {}\n',
  'module/go.mod': 'module x\n',
  'module/main.go': 'package main\n\nfunc main() {}\n',
  '.gitignore': 'node_modules\nCargo.lock\npnpm-lock.yaml\nyarn.lock\n.yarn*\n',
};

const program = (tool: string): string => tool.split(' ')[0] ?? '';
const starts = (tool: string): boolean =>
  spawnSync(program(tool), [tool === 'go' ? 'version' : '--version'], { stdio: 'ignore' }).status === 0;
const here = Object.keys(TOOLS).filter(starts);
const file = (tool: string): string => `check-${program(tool)}.sh`;

describe.skipIf(!probe.works)('real tools run inside the sandbox', () => {
  let lab: Lab;
  let result: Result;
  beforeAll(async () => {
    const scripts = here.map((tool) => [file(tool), `set -e\n${TOOLS[tool]}\n`]);
    lab = new Lab({ ...FILES, ...Object.fromEntries(scripts) });
    const verify = here.map((tool) => `\`sh ${file(tool)}\``);
    writeFileSync(join(lab.folder, 'spec.md'), spec('success', { verify }));
    const home = process.env.HOME ?? '/';
    const env = {
      CARGO_HOME: process.env.CARGO_HOME ?? join(home, '.cargo'),
      RUSTUP_HOME: process.env.RUSTUP_HOME ?? join(home, '.rustup'),
    };
    await lab.run(['run', '../spec.md', '--no-baseline', '--sandbox', 'required'], { env });
    result = await lab.result();
  }, 120_000);
  afterAll(() => lab?.remove());

  for (const tool of Object.keys(TOOLS))
    it.skipIf(!here.includes(tool))(`${tool} (needs ${program(tool)})`, () => {
      const row = result.verification.find(({ command }) => command === `sh ${file(tool)}`);
      expect([row?.verdict, row?.after.message]).toEqual([expect.stringMatching(/passing|no-witness/), undefined]);
    });
});

describe.skipIf(!probe.works)('doctor', () => {
  it('names a tool that starts here and not inside, and how to open what it needs', async () => {
    const lab = new Lab({ 'greet.txt': 'hello\n' });
    try {
      // A program on PATH whose other half lies in the closed home.
      lab.write(
        { 'apps/uv/real': '#!/bin/sh\n', 'tools/uv': `#!/bin/sh\nexec sh "${lab.home}/apps/uv/real"\n` },
        lab.home,
      );
      chmodSync(join(lab.home, 'tools', 'uv'), 0o755);
      const env = { PATH: `${join(lab.home, 'tools')}:${process.env.PATH}` };
      const row = async () =>
        JSON.parse((await lab.run(['doctor', '--json'], { env })).stdout).rows.find(
          ({ check }: { check: string }) => check === 'Tools inside',
        );
      expect(await row()).toMatchObject({ verdict: 'warn', found: expect.stringMatching(/inside: .*\buv\b/) });
      lab.write({ 'kimi-dispatch/profiles.toml': '[default]\nallowRead = ["~/apps"]\n' }, join(lab.home, '.config'));
      expect((await row()).found).not.toMatch(/\buv\b/);
    } finally {
      lab.remove();
    }
  });
});
