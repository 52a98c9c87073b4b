// npm run demo [-- --live] [-- --keep]: a plan becomes a merged change, with the real Kimi, in a temp folder.
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kimiConfig, startModel } from '../model-server.mjs';
import { demoScript } from './script.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const live = process.argv.includes('--live');
const folder = mkdtempSync(join(tmpdir(), 'kimi-dispatch-demo-'));
const repo = join(folder, 'pocket-text');
const home = live ? process.env.HOME : join(folder, 'home');
const env = {
  ...(live
    ? process.env
    : { PATH: process.env.PATH, LANG: process.env.LANG ?? 'C.UTF-8', TERM: process.env.TERM ?? 'dumb' }),
  HOME: home,
  XDG_STATE_HOME: join(folder, 'state'),
  XDG_CACHE_HOME: join(folder, 'cache'),
  GIT_AUTHOR_NAME: 'Demo',
  GIT_AUTHOR_EMAIL: 'demo@localhost',
  GIT_COMMITTER_NAME: 'Demo',
  GIT_COMMITTER_EMAIL: 'demo@localhost',
  ...(live ? {} : { KIMI_BIN: join(root, 'node_modules', '.bin', 'kimi'), GIT_CONFIG_NOSYSTEM: '1' }),
  ...(process.env.CI === undefined ? {} : { CI: process.env.CI }),
  // The demo runs everywhere; the result says whether the sandbox was there.
  KIMI_DISPATCH_SANDBOX: process.env.KIMI_DISPATCH_SANDBOX ?? 'auto',
};

function run(file, args, quiet = false) {
  if (!quiet)
    console.log(
      `\n$ ${file === process.execPath ? 'kimi-dispatch' : file} ${args.filter((arg) => !arg.endsWith('kimi-dispatch.js')).join(' ')}`,
    );
  return new Promise((done, fail) => {
    const child = spawn(file, args, { cwd: repo, env, stdio: ['ignore', quiet ? 'ignore' : 'inherit', 'inherit'] });
    child.on('error', fail);
    child.on('exit', (code, signal) =>
      code === 0 ? done() : fail(new Error(`${file} ${args.join(' ')} ended with ${code ?? signal}`)),
    );
  });
}
const dispatch = (...args) => run(process.execPath, [join(root, 'bin', 'kimi-dispatch.js'), ...args]);

let model;
try {
  cpSync(join(here, 'sample'), repo, { recursive: true });
  mkdirSync(home, { recursive: true });
  if (!live) {
    model = await startModel(demoScript);
    mkdirSync(join(home, '.kimi-code'), { recursive: true });
    writeFileSync(join(home, '.kimi-code', 'config.toml'), kimiConfig(model.url));
  }
  console.log(`A sample library with a bug and a missing feature: ${repo}`);
  for (const args of [
    ['init', '-q', '-b', 'main'],
    ['add', '-A'],
    ['commit', '-q', '-m', 'Sample'],
  ])
    await run('git', args, true);
  cpSync(join(here, 'plan.md'), join(folder, 'plan.md'));
  await dispatch('spec', join('..', 'plan.md'), '-o', join('..', 'spec.md'));
  await dispatch('check', join('..', 'spec.md'));
  await dispatch('run', join('..', 'spec.md'));
  await dispatch('merge', '@last');
  await run('npm', ['test']);
  console.log('\nThe plan is merged and the tests of the sample pass.');
} catch (error) {
  console.error(`\nThe demo did not succeed: ${error.message}`);
  process.exitCode = 1;
} finally {
  await model?.close();
  if (process.argv.includes('--keep')) console.log(`Kept: ${folder}`);
  else rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}
