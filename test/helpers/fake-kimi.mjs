#!/usr/bin/env node
// A stand-in for the kimi program: it speaks the stream of kimi-code 2.1.0 and plays the scenario that the brief
// names with a line "SCENARIO name". For what the real one cannot be made to do on demand.
import { execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';

const args = process.argv.slice(2);
const say = (record) => process.stdout.write(`${JSON.stringify(record)}\n`);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const call = (name, input) =>
  say({
    role: 'assistant',
    tool_calls: [{ type: 'function', id: `call_${name}`, function: { name, arguments: JSON.stringify(input) } }],
  });
const report = (status, more = {}) =>
  say({
    role: 'assistant',
    content: `Done.\n\`\`\`json\n${JSON.stringify({ worker_id: 'kimi', task_id: '001', status, result: { summary: 'Changed the greeting.', files_modified: ['greet.txt'], notes: null }, ...more })}\n\`\`\``,
  });
const finish = () => {
  say({
    role: 'meta',
    type: 'session.resume_hint',
    session_id: 'session_fake',
    command: 'kimi -r session_fake',
    content: 'To resume',
  });
};
/** A line of the wire file of an agent, as kimi-code writes them while it works. */
const wire = (record, agent = 'main') => {
  const folder = `${process.env.KIMI_CODE_HOME}/sessions/wd_x/session_fake/agents/${agent}`;
  mkdirSync(folder, { recursive: true });
  appendFileSync(`${folder}/wire.jsonl`, `${JSON.stringify(record)}\n`);
};
const loop = (event, agent) => wire({ type: 'context.append_loop_event', event }, agent);
const resumed = args.includes('-S');
const polite = () => writeFileSync('greet.txt', 'hello please\n');

const scenarios = {
  success() {
    call('Write', { path: 'greet.txt' });
    polite();
    report('done');
    finish();
  },
  /** Runs what the test wrote, as hex digits: anything that a worker could do. */
  shell(hex) {
    execFileSync('sh', ['-ec', Buffer.from(hex, 'hex').toString()]);
    report('done');
    finish();
  },
  nothing() {
    report('done');
    finish();
  },
  wrong() {
    writeFileSync('greet.txt', 'rude\n');
    report('done');
    finish();
  },
  elsewhere() {
    polite();
    writeFileSync('other.txt', 'surprise\n');
    report('done');
    finish();
  },
  finds() {
    say({ role: 'assistant', content: 'greet.txt:1 says no please\ngreet.txt:1 is short' });
    finish();
  },
  blocked() {
    report('blocked', { question: 'Which language?' });
    finish();
  },
  commits() {
    polite();
    execFileSync('git', ['add', '-A']);
    execFileSync('git', ['-c', 'user.name=k', '-c', 'user.email=k@k', 'commit', '-qm', 'mine']);
    execFileSync('git', ['checkout', '-q', '--detach']);
    report('done');
    finish();
  },
  everything() {
    polite();
    renameSync('old name.txt', 'neu ü.txt');
    rmSync('gone.txt');
    writeFileSync('image.bin', Buffer.from([0, 1, 2, 255, 0]));
    writeFileSync('-dash.txt', 'dash\n');
    writeFileSync('run.sh', '#!/bin/sh\n');
    chmodSync('run.sh', 0o755);
    symlinkSync('greet.txt', 'link');
    mkdirSync('ignored', { recursive: true });
    writeFileSync('ignored/x', 'x');
    report('done');
    finish();
  },
  garbage() {
    process.stdout.write('this is not json\n{"role":\n\n[1,2]\n{"role":"assistant","content":"a\\u2028b"}\r\n');
    polite();
    report('done');
    finish();
  },
  crash() {
    polite();
    process.kill(process.pid, 'SIGKILL');
  },
  async slow(seconds) {
    call('Bash', { command: 'sleep' });
    await wait(Number(seconds) * 1000);
    polite();
    report('done');
    finish();
  },
  async leaves() {
    const { plantAll } = await import('./plants.mjs');
    polite();
    plantAll();
    report('done');
    finish();
  },
  async seeks() {
    const { findAll } = await import('./plants.mjs');
    polite();
    writeFileSync('found.json', JSON.stringify(findAll()));
    report('done');
    finish();
  },
  async acts() {
    const { carryOut } = await import('./model/work.mjs');
    carryOut(process.env.HOME);
    report('done');
    finish();
  },
  async escape() {
    const { plant, stay, tryAll } = await import('./escapes.mjs');
    const at = JSON.parse(readFileSync('at.json', 'utf8'));
    at.slot = process.cwd().split('/').at(-1);
    at.run = process.env.KIMI_CODE_HOME.split('/').at(-1);
    writeFileSync('escapes.json', JSON.stringify(await tryAll(at)));
    plant(at);
    stay(at.word);
    polite();
    report('done');
    finish();
  },
  async gits() {
    polite();
    writeFileSync('new.txt', 'new\n');
    execFileSync('git', ['add', '-A']);
    const staged = execFileSync('git', ['diff', '--cached', '--name-only'], { encoding: 'utf8' });
    execFileSync('git', ['mv', 'new.txt', 'moved.txt']);
    writeFileSync('staged.txt', staged);
    report('done');
    finish();
  },
  silent: () => wait(600_000),
  async hushed() {
    loop({ type: 'step.begin' });
    say({ role: 'assistant', content: 'I begin.' });
    await wait(600_000);
  },
  async wakes() {
    loop({ type: 'step.begin' });
    say({ role: 'assistant', content: 'I begin.' });
    if (!resumed) await wait(600_000);
    polite();
    report('done');
    finish();
  },
  async subagents() {
    for (let index = 0; index < 8; index++) {
      loop({ type: 'content.part' }, 'agent-1');
      await wait(500);
    }
    polite();
    report('done');
    finish();
  },
  async longtool() {
    loop({ type: 'tool.call', toolCallId: 't1' });
    await wait(3500);
    loop({ type: 'tool.result', toolCallId: 't1' });
    polite();
    report('done');
    finish();
  },
  async manysteps() {
    for (let index = 0; index < 400; index++) {
      loop({ type: 'step.begin' }, 'agent-1');
      await wait(50);
    }
  },
  async retries() {
    say({ role: 'meta', type: 'turn.step.retrying', failed_attempt: 1, delay_ms: 3_600_000, error_message: '429' });
    await wait(600_000);
  },
  async outofquota() {
    const error_message = '429 You exceeded your current quota';
    say({ role: 'meta', type: 'turn.step.retrying', failed_attempt: 1, delay_ms: 3_600_000, error_message });
    await wait(600_000);
  },
  async lingers() {
    polite();
    report('done');
    finish();
    await wait(600_000);
  },
  async fills() {
    polite();
    writeFileSync('big.bin', Buffer.alloc(20 * 1024 * 1024, 1));
    loop({ type: 'content.part' });
    await wait(600_000);
  },
  async plants() {
    polite();
    const common = execFileSync('git', ['rev-parse', '--git-common-dir'], { encoding: 'utf8' }).trim();
    writeFileSync(`${common}/hooks/post-merge`, '#!/bin/sh\n', { mode: 0o755 });
    execFileSync('git', ['config', 'alias.st', '!echo evil']);
    report('done');
    finish();
  },
  async upstream() {
    polite();
    execFileSync('git', ['config', 'branch.main.remote', 'origin']);
    execFileSync('git', ['branch', 'feature']);
    report('done');
    finish();
  },
  page() {
    writeFileSync('greet.txt', '<script>alert("please")</script>\n');
    writeFileSync('<img src=x onerror=alert(1)>.txt', '"><script>alert(2)</script>\n');
    report('done');
    finish();
  },
  async filelate(name) {
    await wait(2000);
    return scenarios.file(name);
  },
  async file(name) {
    await wait(Number(process.env.FAKE_MS ?? 0));
    const [path, text = 'done'] = name.split('_');
    writeFileSync(`${path}.txt`, `${text}\n`);
    report('done');
    finish();
  },
  sum() {
    writeFileSync('go.sum', 'two\n');
    report('done');
    finish();
  },
  async stubborn() {
    process.on('SIGTERM', () => {});
    polite();
    appendFileSync(`${process.env.KIMI_CODE_HOME}/pids`, `${process.pid}\n`);
    call('Write', { path: 'greet.txt' });
    await wait(600_000);
  },
  async orphans() {
    polite();
    for (const command of ['exec sleep 987', 'trap "" TERM; sleep 987']) {
      const child = spawn('setsid', ['sh', '-c', command], { detached: true, stdio: 'inherit' });
      appendFileSync(`${process.env.KIMI_CODE_HOME}/pids`, `${child.pid}\n`);
      child.unref();
    }
    report('done');
    finish();
    process.exit(0);
  },
  quota() {
    process.stderr.write(
      "error: failed to run prompt: provider.auth_error: 403 You've reached your usage limit for this billing cycle\nSee log: x\n",
    );
    process.exitCode = 1;
  },
  environment() {
    writeFileSync('greet.txt', `please ${Object.keys(process.env).sort().join(' ')}\n`);
    report('done');
    finish();
  },
  async flood(size) {
    const line = `${JSON.stringify({ role: 'tool', tool_call_id: 'c', content: 'x'.repeat(2000) })}\n`.repeat(500);
    for (let sent = 0; sent < Number(size) * 1024 * 1024; sent += line.length)
      if (!process.stdout.write(line)) await new Promise((done) => process.stdout.once('drain', done));
    polite();
    report('done');
    finish();
  },
};

if (args[0] === '--version') process.stdout.write(`${process.env.FAKE_VERSION ?? '2.1.0'}\n`);
else if (args[0] !== 'doctor') {
  say({ role: 'meta', type: 'system.version', version: '2.1.0' });
  const prompt = args[args.indexOf('-p') + 1];
  const brief = readFileSync(/Read the file (.+) completely/.exec(prompt)[1], 'utf8');
  // A resumed session plays on what it began with, unless the new brief names another scenario.
  const memory = `${process.env.KIMI_CODE_HOME}/scenario`;
  const line = [...brief.matchAll(/SCENARIO (\w+) ?(\w*)/g)].at(-1)?.[0] ?? readFileSync(memory, 'utf8');
  if (process.env.KIMI_CODE_HOME !== undefined) writeFileSync(memory, line);
  const [, name, value] = line.split(/SCENARIO (\w+) ?/);
  await scenarios[name](value);
}
