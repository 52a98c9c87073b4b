// The second half of npm run bench: what many runs cost. Ratios within one run; nothing here fails a build.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kimiConfig } from '../scripts/model-server.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const bin = join(root, 'bin', 'kimi-dispatch.js');
const fake = join(root, 'test', 'helpers', 'fake-kimi.mjs');
const folder = mkdtempSync(join(tmpdir(), 'kd-bench-'));
const rows = [];
const only = process.argv.slice(2);
const median = (list) => [...list].sort((left, right) => left - right)[Math.floor(list.length / 2)];
const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;

/** A repository with a home of its own. */
function lab(name, files) {
  const home = join(folder, name, 'home');
  const repo = join(folder, name, 'repo');
  mkdirSync(join(home, '.kimi-code'), { recursive: true });
  mkdirSync(join(home, '.config', 'kimi-dispatch'), { recursive: true });
  writeFileSync(join(home, '.kimi-code', 'config.toml'), kimiConfig('http://127.0.0.1:9/v1'));
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

const many = (count, scenario) =>
  `# Spec: 001 -- Many\n\n## Tasks\n${Array.from(
    { length: count },
    (_, n) =>
      `### Task ${n + 1}: Make f${n} [INDEPENDENT]\nFiles:\n- CREATE f${n}.txt\nRequirements:\n- SCENARIO ${scenario(n)}\n`,
  ).join('\n')}\n## Verification\n- \`test -f greet.txt\`\n`;

/** How long that Kimi takes alone, its start included. */
function alone({ env }, scenario) {
  const brief = join(folder, 'brief.md');
  const home = join(folder, 'alone');
  mkdirSync(home, { recursive: true });
  writeFileSync(brief, `SCENARIO ${scenario}`);
  const began = performance.now();
  execFileSync(process.execPath, [fake, '-p', `Read the file ${brief} completely`], {
    cwd: home,
    env: { ...env, KIMI_CODE_HOME: home },
    stdio: 'ignore',
  });
  return performance.now() - began;
}

/** 32 tasks with a Kimi of two seconds, eight at a time: four rounds of that Kimi would be ideal. */
function waves() {
  const place = lab('waves', [['greet.txt', 'hello\n']]);
  writeFileSync(
    place.spec,
    many(32, (n) => `filelate f${n}`),
  );
  const began = performance.now();
  dispatch(place, ['run', place.spec, '--waves', '--concurrency', '8', '--no-baseline', '--json']);
  const took = performance.now() - began;
  const ideal = (32 / 8) * alone(place, 'filelate f0');
  rows.push({
    name: '32 tasks of two seconds, eight at a time / four rounds of that Kimi alone',
    ours: seconds(took),
    against: seconds(ideal),
    ratio: (took / ideal).toFixed(2),
    goal: '1.25',
  });
}

/** Starts a command; resolves with its exit code. */
function start({ repo, env }, args, more = {}) {
  const child = spawn(process.execPath, [bin, ...args], { cwd: repo, env: { ...env, ...more }, stdio: 'ignore' });
  return { child, ended: new Promise((done) => child.on('exit', (code) => done(code))) };
}

const memoryOf = (pid) => {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0) / 1024;
};

/** Sixty runs at once in one repository, and what one costs in memory while Kimi works. */
async function sixty() {
  const place = lab('sixty', [['greet.txt', 'hello\n']]);
  writeFileSync(place.spec, simple('slow 20'));
  const began = performance.now();
  const all = Array.from({ length: 60 }, () => start(place, ['run', place.spec, '--no-baseline']));
  let memory = [];
  const timer = setInterval(() => {
    const seen = all.flatMap(({ child }) => {
      try {
        return [memoryOf(child.pid)];
      } catch {
        return [];
      }
    });
    if (seen.length === 60) memory = seen;
  }, 5000);
  const codes = await Promise.all(all.map(({ ended }) => ended));
  clearInterval(timer);
  rows.push({
    name: '60 runs started at once: succeeded, whole time, memory of one that waits for Kimi',
    ours: String(codes.filter((code) => code === 0).length),
    against: seconds(performance.now() - began),
    ratio: `${median(memory).toFixed(0)} MB`,
    goal: '60',
  });
}

const freePort = () =>
  new Promise((done) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

/** A redis-server, a bare remote, and workers with homes of their own. */
async function fleet(name, workers, concurrency) {
  const place = lab(name, [['greet.txt', 'hello\n']]);
  const remote = join(folder, name, 'remote.git');
  execFileSync('git', ['init', '-q', '--bare', remote], { env: place.env });
  git(place, ['remote', 'add', 'origin', remote]);
  git(place, ['push', '-q', 'origin', 'main']);
  const port = await freePort();
  const dir = join(folder, name, 'redis');
  mkdirSync(dir);
  const redis = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'yes'],
    { stdio: 'ignore', env: { PATH: process.env.PATH } },
  );
  await new Promise((done) => setTimeout(done, 500));
  place.env.KIMI_DISPATCH_QUEUE_URL = `redis://127.0.0.1:${port}`;
  const machines = Array.from({ length: workers }, (_, n) => {
    const home = join(folder, name, `machine-${n}`);
    cpSync(place.home, home, { recursive: true });
    return start({ ...place, env: { ...place.env, HOME: home } }, [
      'worker',
      '--sandbox',
      'off',
      '--concurrency',
      String(concurrency),
    ]);
  });
  const close = async () => {
    for (const { child, ended } of machines) {
      child.kill('SIGTERM');
      await ended;
    }
    redis.kill('SIGKILL');
  };
  return { place, port, close };
}

/** 500 runs through the queue over four workers, against the same runs here; then one small spec both ways. */
async function queue() {
  if (spawnSync('redis-server', ['--version']).status !== 0) return;
  const runs = 500;
  const { place, port, close } = await fleet('queue', 4, 1);
  const { place: small, close: closeSmall } = await fleet('small', 1, 1);
  try {
    writeFileSync(
      place.spec,
      many(runs, (n) => `file f${n}`),
    );
    const memory = () =>
      Number(
        /used_memory:(\d+)/.exec(
          execFileSync('redis-cli', ['-p', String(port), 'info', 'memory'], { encoding: 'utf8' }),
        )[1],
      );
    const before = memory();
    let most = before;
    const timer = setInterval(() => {
      most = Math.max(most, memory());
    }, 500);
    const began = performance.now();
    const code = await start(place, ['run', place.spec, '--waves', '--no-baseline']).ended;
    const through = performance.now() - began;
    clearInterval(timer);
    const again = performance.now();
    const here = await start(place, ['run', place.spec, '--waves', '--no-baseline', '--no-queue', '--concurrency', '4'])
      .ended;
    const inProcess = performance.now() - again;
    rows.push({
      name: `${runs} runs over four workers / the same here, four at a time (ended with ${code}, ${here})`,
      ours: seconds(through),
      against: seconds(inProcess),
      ratio: (through / inProcess).toFixed(2),
      goal: '-',
    });
    rows.push({
      name: 'the queue costs for each run: time, memory of Redis at most',
      ours: `${((through - inProcess) / runs).toFixed(0)} ms`,
      against: '',
      ratio: `${((most - before) / runs / 1024).toFixed(1)} kB`,
      goal: '-',
    });
    writeFileSync(small.spec, simple('success'));
    const times = { queue: [], here: [] };
    for (let round = 0; round < 6; round++)
      for (const [name, more] of [
        ['queue', []],
        ['here', ['--no-queue']],
      ]) {
        const from = performance.now();
        await start(small, ['run', small.spec, '--no-baseline', ...more]).ended;
        if (round > 0) times[name].push(performance.now() - from);
      }
    rows.push({
      name: 'one small spec through the queue / in process',
      ours: seconds(median(times.queue)),
      against: seconds(median(times.here)),
      ratio: (median(times.queue) / median(times.here)).toFixed(2),
      goal: '-',
    });
  } finally {
    await close();
    await closeSmall();
  }
}

/** 10,000 ended runs on record, all waiting and all about one file: what lists and names cost, against `node -e 0`. */
function ledger() {
  const place = lab('ledger', [['greet.txt', 'hello\n']]);
  const base = git(place, ['rev-parse', 'HEAD']);
  writeFileSync(place.spec, simple('success'));
  const facts = {
    digest: 'd'.repeat(64),
    base,
    dir: join(folder, 'ledger', 'slot-1'),
    home: join(folder, 'ledger', 'h'),
  };
  const time = (work) => {
    const began = performance.now();
    work();
    return performance.now() - began;
  };
  const timed = (work) => median([0, 1, 2, 3, 4].map(() => time(work)));
  /** What each command takes, with the ledger as it is: two runs more are on record afterwards. */
  const look = () => {
    const { run } = JSON.parse(dispatch(place, ['run', place.spec, '--no-baseline', '--json']));
    dispatch(place, ['status']);
    const took = {};
    for (const args of [['status'], ['summary'], ['show', run], ['show', '@last']])
      took[args.join(' ').replace(run, 'ID')] = timed(() => dispatch(place, args));
    took.run = time(() => dispatch(place, ['run', place.spec, '--no-baseline']));
    took.merge = time(() => dispatch(place, ['merge', run]));
    dispatch(place, ['undo', run]);
    return took;
  };
  const few = look();
  for (let n = 0; n < 10_000; n++) {
    const id = `260101-${String(n).padStart(4, '0')}-bench`;
    const at = join(place.repo, '.git', 'kimi-dispatch', 'runs', id);
    const t = new Date(Date.UTC(2026, 0, 1) + n * 60_000).toISOString();
    const events = [
      {
        t,
        type: 'run-started',
        v: 1,
        id,
        title: `Greet ${n}`,
        branch: `kimi/${id}-greet`,
        ...facts,
        pid: 1,
        start: '0',
      },
      { t, type: 'run-ended', outcome: 'succeeded', commit: base },
    ];
    mkdirSync(at, { recursive: true });
    writeFileSync(join(at, 'events.ndjson'), events.map((event) => `${JSON.stringify(event)}\n`).join(''));
  }
  const many = look();
  const node = timed(() => execFileSync(process.execPath, ['-e', '0']));
  for (const [name, took] of Object.entries(many))
    rows.push({
      name: `10,000 ended runs: ${name}, more than with two / node -e 0`,
      ours: `${seconds(took)} - ${seconds(few[name])}`,
      against: seconds(node),
      ratio: ((took - few[name]) / node).toFixed(2),
      goal: '3',
    });
}

const parts = { pool, waves, sixty, queue, ledger };
try {
  for (const [name, part] of Object.entries(parts)) if (only.length === 0 || only.includes(name)) await part();
  console.table(rows);
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
