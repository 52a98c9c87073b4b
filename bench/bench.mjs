// npm run bench: ratios within one run, as a table. Goals stand beside them; nothing here fails a build.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const bin = join(root, 'bin', 'kimi-dispatch.js');
const kimi = join(root, 'node_modules', '.bin', 'kimi');
const folder = mkdtempSync(join(tmpdir(), 'kd-bench-'));
const rows = [];

/** Median wall time in milliseconds of both commands, run in turns. */
function pair(left, right, rounds) {
  const times = [[], []];
  for (let round = 0; round < rounds + 1; round++)
    for (const [side, run] of [left, right].entries()) {
      const started = performance.now();
      run();
      if (round > 0) times[side].push(performance.now() - started);
    }
  return times.map((list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)]);
}
function row(name, [ours, theirs], goal) {
  rows.push({
    name,
    ours: `${ours.toFixed(0)} ms`,
    against: `${theirs.toFixed(0)} ms`,
    ratio: (ours / theirs).toFixed(2),
    goal,
  });
}
function must(file, args, options) {
  const ended = spawnSync(file, args, { stdio: ['ignore', 'ignore', 'pipe'], ...options });
  if (ended.status !== 0) throw new Error(`${file} ${args.join(' ')}: ${ended.stderr}`);
}

/** Peak memory (kB) and wall time of a run whose Kimi writes `megabytes` of stream. Linux only. */
async function flood(repo, env, megabytes) {
  const spec = join(folder, `flood-${megabytes}.md`);
  writeFileSync(
    spec,
    `# Spec: 001 -- Flood\n\n## Context\nSCENARIO flood ${megabytes}\n\n## Tasks\n### Task 1: Flood\nFiles:\n- MODIFY greet.txt\n\n## Verification\n- \`grep -q please greet.txt\`\n`,
  );
  const started = performance.now();
  const child = spawn(process.execPath, [bin, 'run', spec, '--no-baseline', '--sandbox', 'off'], {
    cwd: repo,
    env: { ...env, KIMI_BIN: join(root, 'test', 'helpers', 'fake-kimi.mjs') },
    stdio: 'ignore',
  });
  let peak = 0;
  const timer = setInterval(() => {
    try {
      peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? peak);
    } catch {}
  }, 50);
  const code = await new Promise((done) => child.on('exit', done));
  clearInterval(timer);
  if (code !== 0) throw new Error(`the flood ended with ${code}`);
  return { peak, ms: performance.now() - started };
}

async function stream(repo, env) {
  const megabytes = 1024;
  const small = await flood(repo, env, 1);
  const large = await flood(repo, env, megabytes);
  // The same lines from the same program through the same kind of pipe, split at LF and parsed, and nothing else.
  const parse = `let rest = Buffer.alloc(0); process.stdin.on('data', (chunk) => { let from = 0; for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) { const line = from === 0 && rest.length > 0 ? Buffer.concat([rest, chunk.subarray(0, at)]) : chunk.subarray(from, at); rest = Buffer.alloc(0); JSON.parse(line.toString()); from = at + 1; } rest = rest.length > 0 && from === 0 ? Buffer.concat([rest, chunk]) : chunk.subarray(from); });`;
  const brief = join(folder, 'brief.md');
  const home = join(folder, 'flood-home');
  mkdirSync(home, { recursive: true });
  writeFileSync(brief, `SCENARIO flood ${megabytes}`);
  const pipe = `cd ${home} && ${process.execPath} ${join(root, 'test', 'helpers', 'fake-kimi.mjs')} -p "Read the file ${brief} completely" | ${process.execPath} -e "$PARSE"`;
  const started = performance.now();
  must('sh', ['-c', pipe], { env: { ...env, PARSE: parse } });
  const bare = performance.now() - started;
  const ours = large.ms - small.ms;
  rows.push({
    name: '1 GB of stream: throughput / bare JSON.parse loop',
    ours: `${ours.toFixed(0)} ms`,
    against: `${bare.toFixed(0)} ms`,
    ratio: (bare / ours).toFixed(2),
    goal: '0.5 or more',
  });
  rows.push({
    name: '1 GB of stream: peak memory over idle',
    ours: `${Math.round(large.peak / 1024)} MB`,
    against: `${Math.round(small.peak / 1024)} MB`,
    ratio: `+${Math.round((large.peak - small.peak) / 1024)} MB`,
    goal: '150 MB',
  });
}

// The model answers from a thread of its own: this thread waits in spawnSync.
const worker = new Worker(
  `const { parentPort, workerData } = require('node:worker_threads');
   import(workerData.server).then(async ({ startModel }) => {
     const model = await startModel(({ turn }) => turn === 0 ? { calls: [{ name: 'Write', arguments: { path: 'greet.txt', content: 'please\\n' } }] } : { text: 'Done.' });
     parentPort.postMessage(model.url);
   });`,
  { eval: true, workerData: { server: join(root, 'scripts', 'model-server.mjs') } },
);
const url = await new Promise((done) => worker.once('message', done));

try {
  const { kimiConfig } = await import('../scripts/model-server.mjs');
  const home = join(folder, 'home');
  const repo = join(folder, 'repo');
  mkdirSync(join(home, '.kimi-code'), { recursive: true });
  mkdirSync(repo);
  writeFileSync(join(home, '.kimi-code', 'config.toml'), kimiConfig(url));
  writeFileSync(join(repo, 'greet.txt'), 'hello\n');
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    CI: 'true',
    KIMI_BIN: kimi,
    KIMI_CODE_NO_AUTO_UPDATE: '1',
    KIMI_DISABLE_TELEMETRY: '1',
    GIT_AUTHOR_NAME: 'b',
    GIT_AUTHOR_EMAIL: 'b@b',
    GIT_COMMITTER_NAME: 'b',
    GIT_COMMITTER_EMAIL: 'b@b',
  };
  for (const args of [
    ['init', '-q', '-b', 'main'],
    ['add', '-A'],
    ['commit', '-qm', 'x'],
  ])
    execFileSync('git', args, { cwd: repo, env });
  const spec = join(folder, 'spec.md');
  writeFileSync(
    spec,
    '# Spec: 001 -- Greet\n\n## Tasks\n### Task 1: Greet\nFiles:\n- MODIFY greet.txt\n\n## Verification\n- `grep -q please greet.txt`\n',
  );
  let count = 0;
  const script = () => {
    const tree = join(folder, `hand-${count++}`);
    const text = `git worktree add -q --detach ${tree} && cd ${tree} && ${kimi} -p "Write please into greet.txt" --output-format stream-json >/dev/null 2>&1 && git add -A && git commit -qm x && git diff HEAD~ && grep -q please greet.txt`;
    must('sh', ['-c', text], { cwd: repo, env });
  };
  const ours =
    (...more) =>
    () =>
      must(process.execPath, [bin, 'run', spec, ...more], { cwd: repo, env });
  row(
    'run, no baseline, no sandbox / shell script by hand',
    pair(ours('--no-baseline', '--sandbox', 'off'), script, 5),
    '1.10',
  );
  row('run with baseline / shell script by hand', pair(ours('--sandbox', 'off'), script, 3), '-');
  const bare = () => must(process.execPath, ['-e', '0'], { env });
  if (spawnSync('bwrap', ['--version']).status === 0)
    row(
      'run in the sandbox, no baseline / shell script by hand',
      pair(ours('--no-baseline', '--sandbox', 'required'), script, 3),
      '-',
    );
  row(
    '--version / node -e 0',
    pair(() => must(process.execPath, [bin, '--version'], { env }), bare, 15),
    '1.3',
  );
  row(
    'status / node -e 0',
    pair(() => must(process.execPath, [bin, 'status'], { cwd: repo, env }), bare, 15),
    '1.5',
  );
  const step = (number) =>
    `## Step ${number}: Part ${number}\n\n**Files:**\n- Modify: \`src/part${number}/a.ts\`\n- Create: \`src/part${number}/b.ts\`\n\n${'Some words on what to do, with `code`. '.repeat(20)}\n\n\`\`\`ts\nexport const a = 1;\n\`\`\`\n\n| File | Action |\n|---|---|\n| \`src/part${number}/c.ts\` | change it |\n\n`;
  const check = '## Verification\n\n- `grep -q please greet.txt`\n';
  const large = Array.from({ length: 180 }, (_, index) => step(index + 1)).join('');
  for (const [name, text] of Object.entries({ 'large.md': large, 'small.md': '- `greet.txt`\n\n' }))
    writeFileSync(join(folder, name), `# Plan\n\n${text}${check}`);
  const convert = (name) => () =>
    must(process.execPath, [bin, 'spec', join(folder, name), '-o', '-'], { cwd: repo, env });
  row(
    `spec of a plan of ${Math.round(large.length / 1000)} KB / of one line`,
    pair(convert('large.md'), convert('small.md'), 9),
    '100 ms more',
  );
  // A thousand ended runs in the ledger: lists must stay fast.
  const many = join(folder, 'many');
  mkdirSync(many);
  execFileSync('git', ['init', '-q', many], { env });
  for (let count = 0; count < 1000; count++) {
    const id = `260101-${String(count).padStart(4, '0')}-bench`;
    const run = join(many, '.git', 'kimi-dispatch', 'runs', id);
    mkdirSync(run, { recursive: true });
    const t = new Date(Date.UTC(2026, 0, 1) + count * 1000).toISOString();
    const facts = { id, title: 'Bench', digest: 'd', base: 'b', branch: `kimi/${id}`, dir: '/d', home: '/h', pid: 1 };
    const lines = [
      { t, type: 'run-started', v: 1, ...facts },
      ...Array(60).fill({
        t,
        type: 'agent',
        attempt: 1,
        event: { kind: 'tool-call', tool: 'Write', detail: 'x'.repeat(150) },
      }),
      { t, type: 'run-ended', outcome: 'succeeded' },
    ];
    writeFileSync(join(run, 'events.ndjson'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }
  for (const list of ['status', 'summary'])
    row(
      `${list} with 1,000 runs / node -e 0`,
      pair(() => must(process.execPath, [bin, list], { cwd: many, env }), bare, 15),
      '2',
    );
  const event = JSON.stringify({
    hook_event_name: 'PostToolUse',
    session_id: 'bench',
    cwd: repo,
    tool_name: 'ExitPlanMode',
    tool_response: { plan: 'About 120 lines: `src/a.ts`, `src/b.ts`, `src/c.ts`.\n'.repeat(20) },
  });
  const hook = () =>
    must(process.execPath, [join(root, 'dist', 'hook.cjs')], { env, input: event, stdio: ['pipe', 'ignore', 'pipe'] });
  row('hook decision / node -e 0', pair(hook, bare, 15), '1.3');
  // Fifty processes with two hundred messages each, then an inbox of ten thousand.
  const writer = join(root, 'test', 'helpers', 'mail-writer.ts');
  const began = performance.now();
  await Promise.all(
    Array.from({ length: 50 }, (_, index) => {
      const child = spawn(
        process.execPath,
        ['--experimental-transform-types', '--disable-warning=ExperimentalWarning', writer, `w${index}`, '200'],
        { env, stdio: 'ignore' },
      );
      return new Promise((done) => child.on('exit', done));
    }),
  );
  const journal = readFileSync(join(home, '.local', 'share', 'kimi-dispatch', 'mailbox', 'journal.ndjson'), 'utf8');
  const sent = journal.split('"type":"message"').length - 1;
  rows.push({
    name: '50 processes x 200 messages: sent, lost, a second',
    ours: String(sent),
    against: String(10_000 - sent),
    ratio: String(Math.round(sent / ((performance.now() - began) / 1000))),
    goal: '0 lost',
  });
  row(
    'inbox with 10,000 messages / node -e 0',
    pair(() => must(process.execPath, [bin, 'inbox'], { cwd: repo, env }), bare, 9),
    '2',
  );
  await stream(repo, env);
  console.table(rows);
} finally {
  await worker.terminate();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
