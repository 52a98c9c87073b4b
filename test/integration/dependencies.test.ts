import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { probeSandbox } from '../../src/process/sandbox.ts';
import { Lab, ROOT, shell, spec } from '../helpers/repo.ts';

const probe = await probeSandbox(ROOT, {
  PATH: process.env.PATH,
  HOME: tmpdir(),
  XDG_CACHE_HOME: join(tmpdir(), 'kd-probe'),
});

let lab: Lab;
afterEach(() => lab.remove());

/** A repository, what lies in its checkout beside it, and a spec that is verified by one command. */
function prepare(files: Record<string, string>, beside: Record<string, string>, verify: string): void {
  lab = new Lab({
    'greet.txt': 'hello\n',
    '.gitignore': 'node_modules\n.venv\nvendor\npackage-lock.json\n.pnp.cjs\n',
    ...files,
  });
  lab.write(beside);
  writeFileSync(join(lab.folder, 'spec.md'), spec('success', { verify: [`\`${verify}\``] }));
}

/** Runs it; the change is the greeting and nothing else, and the checkout stays as it was. */
async function verified(mode: string, env: Record<string, string> = {}): Promise<void> {
  const before = lab.snapshot();
  const ended = await lab.run(['run', '../spec.md'], { env: { KIMI_DISPATCH_SANDBOX: mode, ...env } });
  expect([ended.code, ended.stdout]).toEqual([0, expect.stringContaining('SUCCEEDED')]);
  const { changes, verification } = await lab.result();
  expect(changes.map(({ path }) => path)).toEqual(['greet.txt']);
  expect(verification[0]?.before?.code).toBe(0);
  expect(lab.snapshot()).toEqual(before);
}

/** A virtual environment without packages, as Python makes one. */
function makeVenv(folder: string): string {
  execFileSync('python3', ['-m', 'venv', '--without-pip', folder], { env: lab.env });
  const [version] = execFileSync('ls', [join(folder, 'lib')], { encoding: 'utf8' }).split('\n');
  return join(folder, 'lib', version ?? '', 'site-packages');
}

const MODES = probe.works ? ['off', 'required'] : ['off'];

describe.each(MODES)('dependencies of the checkout, sandbox %s', (mode) => {
  it('are shared where there is no lock file', async () => {
    const check =
      'try { require("fs").writeFileSync("node_modules/dep/index.js", "") } catch {}\nprocess.exit(require("dep") === 7 ? 0 : 1);\n';
    prepare(
      {
        'package.json': '{"dependencies":{"dep":"1"},"devDependencies":{"other":"1"}}',
        'check.cjs': `if (require("dep") !== 7) process.exit(1);\n`,
        'write.cjs': check,
      },
      { 'node_modules/dep/index.js': 'module.exports = 7;\n', 'node_modules/other': 'link:../elsewhere' },
      'node check.cjs',
    );
    await verified(mode);
  });

  it('are shared in every folder of a workspace, and packages of the workspace are the worktree’s', async () => {
    prepare(
      {
        'package.json': '{"private":true,"workspaces":["packages/*"]}',
        'packages/lib/package.json': '{"name":"lib"}',
        'packages/lib/index.js': 'module.exports = "committed";\n',
        'packages/app/package.json': '{"name":"app","dependencies":{"lib":"*","dep":"1"}}',
        'packages/app/check.cjs': 'process.exit(require("lib") === "committed" && require("dep") === 7 ? 0 : 1);\n',
      },
      {
        'node_modules/lib': 'link:../packages/lib',
        'packages/app/node_modules/dep/index.js': 'module.exports = 7;\n',
      },
      'node packages/app/check.cjs',
    );
    lab.write({ 'packages/lib/index.js': 'module.exports = "uncommitted edit";\n' });
    await verified(mode);
  });

  it('of a lock file that is not committed are the checkout’s', async () => {
    prepare(
      { 'package.json': '{"dependencies":{"dep":"1"}}', 'check.cjs': 'process.exit(require("dep") === 7 ? 0 : 1);\n' },
      { 'package-lock.json': '{"lockfileVersion":3}', 'node_modules/dep/index.js': 'module.exports = 7;\n' },
      'node check.cjs',
    );
    await verified(mode);
  });

  it('are given to a Python project that is installed from its own folder: the worktree’s code is tested', async () => {
    prepare(
      { 'pkg/__init__.py': 'WHO = "committed"\n', 'pyproject.toml': '[project]\nname = "pkg"\n' },
      {},
      'check-pkg',
    );
    const site = makeVenv(join(lab.repo, '.venv'));
    lab.write({ 'pkg/__init__.py': 'WHO = "uncommitted edit"\n' });
    writeFileSync(join(site, '__editable__.pkg-1.pth'), `${lab.repo}\n`);
    writeFileSync(join(site, 'dep.py'), 'seven = 7\n');
    const script = join(lab.repo, '.venv', 'bin', 'check-pkg');
    const code =
      'import os, sys, dep, pkg\nsys.exit(0 if pkg.WHO == "committed" and dep.seven == 7 and os.environ["VIRTUAL_ENV"] == sys.prefix else 1)';
    writeFileSync(script, `#!${lab.repo}/.venv/bin/python3\n${code}\n`);
    chmodSync(script, 0o755);
    await verified(mode, { PYTHONDONTWRITEBYTECODE: '1' });
  });

  it('come from the virtual environment that is active, wherever it lies', async () => {
    prepare({ 'check.py': 'import dep, sys\nsys.exit(0 if dep.seven == 7 else 1)\n' }, {}, 'python3 check.py');
    const venv = join(lab.home, 'envs', 'mine');
    writeFileSync(join(makeVenv(venv), 'dep.py'), 'seven = 7\n');
    await verified(mode, { VIRTUAL_ENV: venv, PATH: `${venv}/bin:${lab.env.PATH}` });
  });

  it('of PHP and Ruby lie in vendor', async () => {
    prepare({ 'composer.json': '{}' }, { 'vendor/autoload.php': 'loaded\n' }, 'grep -q loaded vendor/autoload.php');
    await verified(mode);
  });

  it('of yarn without node_modules are found from the worktree', async () => {
    const pnp = (path: string): string => `module.exports = {"packageLocation": "${path}"};\n`;
    prepare(
      {
        'package.json': '{}',
        'check.cjs':
          'const { packageLocation } = require("./.pnp.cjs");\nprocess.exit(require(require("path").join(__dirname, packageLocation, "dep.js")) === 7 ? 0 : 1);\n',
      },
      { '.pnp.cjs': pnp('../home/.yarn/berry/cache/dep/') },
      'node check.cjs',
    );
    lab.write({ '.yarn/berry/cache/dep/dep.js': 'module.exports = 7;\n' }, lab.home);
    await verified(mode);
  });
});

describe.skipIf(!probe.works)('shared dependencies in the sandbox', () => {
  it('cost no disk, and no test can write to them', async () => {
    prepare(
      {
        'package.json': '{"dependencies":{"dep":"1"}}',
        'check.sh': '! (echo x >> node_modules/dep/index.js) && mkdir -p node_modules/.cache/x\n',
      },
      { 'node_modules/dep/index.js': 'module.exports = 7;\n' },
      'sh check.sh',
    );
    const file = join(lab.repo, 'node_modules', 'dep', 'index.js');
    const { ino } = statSync(file);
    await verified('required');
    const { worktree } = await lab.result();
    expect(existsSync(worktree)).toBe(true);
    expect(statSync(join(worktree, 'node_modules', 'dep', 'index.js')).ino).toBe(ino);
    expect(readFileSync(file, 'utf8')).toBe('module.exports = 7;\n');
    mkdirSync(join(lab.folder, 'done'));
  });
});

describe('submodules', () => {
  const git = (folder: string, ...args: string[]): string =>
    execFileSync('git', ['-c', 'protocol.file.allow=always', ...args], { cwd: folder, env: lab.env, encoding: 'utf8' });
  /** A repository beside the checkout. */
  const make = (name: string, file: string): string => {
    const folder = join(lab.folder, name);
    mkdirSync(folder);
    writeFileSync(join(folder, file), `${name}\n`);
    git(folder, 'init', '-q');
    git(folder, 'add', '-A');
    git(folder, 'commit', '-qm', name);
    return folder;
  };
  const addSubmodules = (): void => {
    const inner = make('inner', 'inner.txt');
    const outer = make('outer', 'outer.txt');
    git(outer, 'submodule', 'add', '-q', inner, 'deep');
    git(outer, 'commit', '-qm', 'Inner');
    git(lab.repo, 'submodule', 'add', '-q', outer, 'parts/outer');
    git(lab.repo, 'submodule', 'update', '-q', '--init', '--recursive');
    lab.commit('Submodules');
  };

  it('lie in the worktree, those inside of others too, without the network', async () => {
    prepare({}, {}, 'grep -q outer parts/outer/outer.txt');
    addSubmodules();
    writeFileSync(
      join(lab.folder, 'spec.md'),
      spec('success', {
        verify: ['`grep -q outer parts/outer/outer.txt`', '`grep -q inner parts/outer/deep/inner.txt`'],
      }),
    );
    for (const name of ['inner', 'outer']) rmSync(join(lab.folder, name), { recursive: true });
    await verified('off');
  });

  it('that Kimi edited are named, and nothing of them is in the change', async () => {
    prepare({}, {}, 'grep -q please greet.txt');
    addSubmodules();
    const act = 'echo please > greet.txt; echo x >> parts/outer/outer.txt; echo y > parts/outer/deep/new.txt';
    writeFileSync(join(lab.folder, 'spec.md'), spec(shell(act)));
    await lab.run(['run', '../spec.md']);
    const { changes, notes } = await lab.result();
    expect(changes.map(({ path }) => path)).toEqual(['greet.txt']);
    expect(notes.join('\n')).toContain(
      'inside of a submodule, so not in the change: parts/outer/outer.txt, parts/outer/deep/new.txt',
    );
  });

  it('that were never fetched are named with the command that fetches them', async () => {
    prepare({}, {}, 'grep -q please greet.txt');
    addSubmodules();
    rmSync(join(lab.repo, '.git', 'modules', 'parts', 'outer', 'modules'), { recursive: true });
    await lab.run(['run', '../spec.md']);
    expect((await lab.result()).notes.join('\n')).toContain('git submodule update --init parts/outer/deep');
  });

  it('whose name leads elsewhere open nothing', async () => {
    prepare({}, {}, 'grep -q please greet.txt');
    addSubmodules();
    const text = readFileSync(join(lab.repo, '.gitmodules'), 'utf8').replace('"parts/outer"', '"../../../outer/.git"');
    lab.write({ '.gitmodules': text });
    lab.commit('Elsewhere');
    await lab.run(['run', '../spec.md']);
    const { worktree } = await lab.result();
    expect(readdirSync(join(worktree, 'parts', 'outer'))).toEqual([]);
  });
});
