// The second half of npm run bench: what many runs cost. Ratios within one run; nothing here fails a build.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const bin = join(root, 'bin', 'kimi-dispatch.js');
const fake = join(root, 'test', 'helpers', 'fake-kimi.mjs');
const folder = mkdtempSync(join(tmpdir(), 'kd-bench-'));
const rows = [];
const only = process.argv.slice(2);
const median = (list) => [...list].sort((left, right) => left - right)[Math.floor(list.length / 2)];
const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;

const CONFIG = `default_model = "m"
[providers.p]
type = "openai"
base_url = "http://127.0.0.1:9/v1"
api_key = "made-up"
[models.m]
provider = "p"
model = "m"
max_context_size = 1000
`;

/** A repository with a home of its own. */
function lab(name, files) {
  const home = join(folder, name, 'home');
  const repo = join(folder, name, 'repo');
  mkdirSync(join(home, '.kimi-code'), { recursive: true });
  mkdirSync(join(home, '.config', 'kimi-dispatch'), { recursive: true });
  writeFileSync(join(home, '.kimi-code', 'config.toml'), CONFIG);
  chmodSync(fake, 0o755);
  const env = { PATH: process.env.PATH, HOME: home, KIMI_BIN: fake, KIMI_DISPATCH_SANDBOX: 'off' };
  for (const role of ['AUTHOR', 'COMMITTER'])
    Object.assign(env, { [`GIT_${role}_NAME`]: 'b', [`GIT_${role}_EMAIL`]: 'b@b' });
  for (const [path, text] of files) {
    mkdirSync(dirname(join(repo, path)), { recursive: true });
    writeFileSync(join(repo, path), text);
  }
  const made = { home, repo, env, spec: join(folder, name, 'spec.md') };
  for (const args of [
    ['init', '-q', '-b', 'main'],
    ['add', '-A'],
    ['commit', '-qm', 'x'],
  ])
    git(made, args);
  return made;
}
const git = ({ repo, env }, args) => execFileSync('git', args, { cwd: repo, env, encoding: 'utf8' }).trim();

function dispatch({ repo, env }, args, more = {}) {
  const ended = spawnSync(process.execPath, [bin, ...args], {
    cwd: repo,
    env: { ...env, ...more },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (ended.status !== 0) throw new Error(`${args.join(' ')}: ${ended.status} ${ended.stdout} ${ended.stderr}`);
  return ended.stdout;
}

const simple = (scenario) =>
  `# Spec: 001 -- Greet\n\n## Context\nSCENARIO ${scenario}\n\n## Tasks\n### Task 1: Greet\nFiles:\n- MODIFY greet.txt\n\n## Verification\n- \`grep -q please greet.txt\`\n`;

/** 100,000 files: how long until Kimi starts, against `git worktree add`. */
function pool() {
  if (spawnSync('bwrap', ['--version']).status !== 0) return;
  const line = 'const value = compute(alpha, beta) + gamma; // about seventy characters each\n';
  const files = Array.from({ length: 100_000 }, (_, n) => [
    `packages/p${n % 100}/src/d${n % 1000}/f${n}.ts`,
    `${line.repeat(10 + (n % 20))}${n}\n`,
  ]);
  const place = lab('pool', [['greet.txt', 'hello\n'], ...files]);
  writeFileSync(place.spec, simple('success'));
  const on = { KIMI_DISPATCH_SANDBOX: 'required' };
  const start = () => {
    const began = Date.now();
    const result = JSON.parse(dispatch(place, ['run', place.spec, '--no-baseline', '--json'], on));
    const events = readFileSync(join(result.files.folder, 'events.ndjson'), 'utf8').trim().split('\n').map(JSON.parse);
    const step = events.find((event) => event.type === 'step-ended' && event.step === 'worktree').ms;
    const whole = Date.parse(events.find((event) => event.type === 'attempt-started').t) - began;
    return { step, whole, run: result.run };
  };
  const plain = () => {
    const tree = join(folder, 'plain');
    const began = performance.now();
    git(place, ['worktree', 'add', '-q', '--detach', tree]);
    const took = performance.now() - began;
    git(place, ['worktree', 'remove', '--force', tree]);
    return took;
  };
  plain();
  const [cold, warm, hand] = [[], [], []];
  for (let round = 0; round < 3; round++) {
    dispatch(place, ['prune', '--older', '0', '--keep', '0', '--yes']);
    hand.push(plain());
    const first = start();
    cold.push(first);
    dispatch(place, ['discard', first.run]);
    for (let file = 0; file < 100; file++)
      writeFileSync(join(place.repo, files[file * 37 + round][0]), `changed ${round}\n`);
    git(place, ['commit', '-qam', 'A hundred files']);
    hand.push(plain());
    const second = start();
    warm.push(second);
    dispatch(place, ['discard', second.run]);
  }
  const by = median(hand);
  const add = (name, list, key, goal) =>
    rows.push({
      name: `100,000 files, ${name} / git worktree add`,
      ours: seconds(median(list.map((item) => item[key]))),
      against: seconds(by),
      ratio: (median(list.map((item) => item[key])) / by).toFixed(2),
      goal,
    });
  add('warm slot until Kimi starts, from the first line of the program', warm, 'whole', '0.15');
  add('warm slot, the step alone', warm, 'step', '-');
  add('cold start until Kimi starts', cold, 'whole', '1.1');
  add('cold start, the step alone', cold, 'step', '-');
}

const parts = { pool };
try {
  for (const [name, part] of Object.entries(parts)) if (only.length === 0 || only.includes(name)) await part();
  console.table(rows);
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
