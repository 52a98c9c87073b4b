// Real runs of plans: the real program, the real Kimi, only the model is scripted. The checkout is made from a list of
// paths, so nothing in it compiles: what a verification command starts is a stub that prints a line and says yes.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kimiConfig, startModel } from '../scripts/model-server.mjs';
import type { Result } from '../src/review/result.ts';
import type { Spec } from '../src/spec/model.ts';
import { parseSpec } from '../src/spec/parse.ts';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const BIN = join(ROOT, 'bin', 'kimi-dispatch.js');
const SCRIPT = '#!/bin/sh\necho "$0 $*: fine"\n';
/** What works in a tree of names, or is the dispatcher's and Kimi's own. */
const REAL = /^(git|node|sh|bash|env|cd|grep|rg|test|\[|!|ls|echo|true|false)$/;
const SECRETS = /(^|\/)\.env(\.(?!example$|sample$|template$)[\w-]+)?$/;
/** Started to provide dependencies, whatever a plan verifies. */
const INSTALLERS = ['npm', 'npx', 'pnpm', 'yarn', 'bun', 'uv', 'poetry', 'cargo', 'go', 'bundle', 'pip', 'composer'];

/** A plan, the name of its repository, and the tracked files of that with the text of the manifests among them. */
export interface Case {
  readonly id: string;
  readonly name: string;
  readonly plan: string;
  readonly files: ReadonlyMap<string, string>;
  readonly manifests: ReadonlyMap<string, string>;
}

interface Told {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

type Message = { role: string; content: unknown };
type Reply = Record<string, unknown>;

/** Runs the plans one after the other and prints a line for each; true when every one went as it should. */
export async function runPlans(cases: readonly Case[]): Promise<boolean> {
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'build.mjs')], { cwd: ROOT, stdio: 'inherit' });
  const totals = { right: 0, unverified: 0, files: 0, bytes: 0 };
  for (const one of cases) {
    const started = performance.now();
    const world = new Checkout(one);
    try {
      const { outcome, spec, wrong } = await world.go();
      const files = new Set(spec.tasks.flatMap((task) => task.files.map(({ path }) => path))).size;
      const bytes = Buffer.byteLength(one.plan);
      if (wrong.length === 0) totals.right += 1;
      if (outcome === 'unverified') totals.unverified += 1;
      totals.files += files;
      totals.bytes += bytes;
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      const facts = `${one.files.size} files, plan of ${bytes} bytes, ${files} declared, ${spec.verification.length} commands`;
      console.log(`${one.id} ${wrong.length === 0 ? 'right' : 'WRONG'} ${outcome.padEnd(12)} ${facts}, ${seconds} s`);
      for (const line of wrong) console.log(`     ${line}`);
    } finally {
      world.remove();
    }
  }
  console.log(
    `\nplans run and merged by the real Kimi: ${totals.right} of ${cases.length} right (${totals.unverified} state no command and ended unverified); ${totals.files} declared files merged, ${totals.bytes} bytes of plans read whole`,
  );
  return totals.right === cases.length;
}

class Checkout {
  private readonly folder = mkdtempSync(join(tmpdir(), 'kd-plan-'));
  private readonly repo: string;
  private readonly bin = join(this.folder, 'bin');
  private readonly home = join(this.folder, 'home');
  private readonly env: Record<string, string>;

  constructor(private readonly one: Case) {
    this.repo = join(this.folder, one.name);
    // Only the environment that is named here reaches the program and Kimi.
    this.env = {
      PATH: `${this.bin}:${process.env.PATH ?? ''}`,
      HOME: this.home,
      KIMI_BIN: join(ROOT, 'node_modules', '.bin', 'kimi'),
      KIMI_DISPATCH_SANDBOX: 'off',
      KIMI_CODE_NO_AUTO_UPDATE: '1',
      KIMI_DISABLE_TELEMETRY: '1',
      GIT_CONFIG_NOSYSTEM: '1',
    };
    for (const folder of [this.repo, this.bin, join(this.home, '.kimi-code'), join(this.home, '.claude', 'plans')])
      mkdirSync(folder, { recursive: true });
    writeFileSync(join(this.home, '.gitconfig'), '[user]\nname = Tester\nemail = tester@localhost\n');
    this.git('init', '-q', '-b', 'main');
    for (const path of one.files.keys()) this.put(path, one.manifests.get(path) ?? contentOf(path));
    this.git('add', '-A', '--force');
    this.git('commit', '-q', '-m', 'Start');
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  /** Plan in, run, read whole, result, merge; `wrong` says what was not as it should be. */
  async go(): Promise<{ outcome: string; spec: Spec; wrong: string[] }> {
    // Claude Code keeps plans in its own home; people keep them in the checkout.
    const inside = Number(this.one.id) % 2 === 0;
    const file = inside ? 'the-plan.md' : join(this.home, '.claude', 'plans', 'the-plan.md');
    writeFileSync(join(inside ? this.repo : '/', file), this.one.plan);
    const { spec } = parseSpec((await this.tell('spec', file, '-o', '-')).stdout);
    const declared = spec.tasks.flatMap((task) => task.files);
    for (const name of [...INSTALLERS, ...spec.verification.flatMap(({ text }) => programsOf(text))]) this.stub(name);
    const after = new Map(
      declared.map(({ path, verb }) => [path, verb === 'DELETE' ? undefined : this.changed(path)] as const),
    );
    const model = await startModel(({ messages }: { messages: Message[] }) => reply(messages, after));
    try {
      writeFileSync(join(this.home, '.kimi-code', 'config.toml'), kimiConfig(model.url));
      const ran = await this.tell('run', file);
      const shown = await this.tell('show', '@last', '--json');
      if (!shown.stdout.startsWith('{')) return { outcome: 'none', spec, wrong: [ran.stderr.slice(-2000)] };
      const result: Result = JSON.parse(shown.stdout);
      // Kimi's own tools write no file of secrets; the result must say that it was not written.
      for (const path of [...after.keys()].filter((one) => SECRETS.test(one) && result.scope.untouched.includes(one)))
        after.delete(path);
      const wrong = [...this.judge(result, after), ...readWhole(this.one.plan, model.requests as Asked[])];
      const unverified = result.outcome === 'unverified';
      // Where nothing could say yes, a person who has read the change says so.
      if (unverified !== (spec.verification.length === 0)) wrong.push(`${result.outcome}: ${result.reason ?? ''}`);
      const merged = await this.tell('merge', '@last', ...(unverified ? ['--unverified'] : []));
      if (merged.code !== 0) wrong.push(`merge ended with ${merged.code}: ${merged.stderr.trim()}`);
      else wrong.push(...this.mergedWrong(after));
      return { outcome: result.outcome, spec, wrong };
    } finally {
      await model.close();
    }
  }

  private judge(result: Result, after: ReadonlyMap<string, string | undefined>): string[] {
    const changed = new Set(result.changes.map(({ path }) => path));
    return [
      ...(['succeeded', 'unverified'].includes(result.outcome) ? [] : [`outcome ${result.outcome}: ${result.reason}`]),
      ...result.scope.violations.map(({ path, why }) => `violation: ${path}: ${why}`),
      ...[...after.keys()].filter((path) => !changed.has(path)).map((path) => `not in the change: ${path}`),
      ...[...changed].filter((path) => !after.has(path)).map((path) => `in the change, not declared: ${path}`),
    ];
  }

  private mergedWrong(after: ReadonlyMap<string, string | undefined>): string[] {
    const tracked = new Set(this.git('ls-tree', '-r', '-z', '--name-only', 'HEAD').split('\0'));
    return [...after].flatMap(([path, content]) => {
      const there = tracked.has(path) ? this.git('cat-file', 'blob', `HEAD:${path}`) : undefined;
      return there === content ? [] : [`HEAD does not hold what was made of ${path}`];
    });
  }

  /** What Kimi makes of a file: the old text and a line more. */
  private changed(path: string): string {
    const file = join(this.repo, path);
    const old = existsSync(file) ? readFileSync(file, 'utf8') : contentOf(path);
    return path.endsWith('.json') ? `${old}\n` : `${old}# changed by the scripted model\n`;
  }

  /** A program of the tree is one of its files; any other lies first on PATH. */
  private stub(name: string): void {
    if (REAL.test(name)) return;
    if (!name.includes('/')) writeFileSync(join(this.bin, name), SCRIPT, { mode: 0o755 });
  }

  private put(path: string, text: string): void {
    mkdirSync(dirname(join(this.repo, path)), { recursive: true });
    writeFileSync(join(this.repo, path), text, { mode: text.startsWith('#!') ? 0o755 : 0o644 });
  }

  private git(...args: string[]): string {
    const options = { cwd: this.repo, env: this.env, encoding: 'utf8', maxBuffer: 2 ** 28 } as const;
    return execFileSync('git', args, options);
  }

  private tell(...args: string[]): Promise<Told> {
    return new Promise((done, fail) => {
      const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe'];
      const child = spawn(process.execPath, [BIN, ...args], { cwd: this.repo, env: this.env, stdio });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
      child.on('error', fail);
      child.on('close', (code) => done({ code, stdout, stderr }));
    });
  }
}

/** A file of which only the name is known: a script where it may be started, else what any parser reads. */
function contentOf(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (/^\.git/.test(name)) return '';
  if (/\.json$/.test(name)) return '{}\n';
  return /\.sh$|^[\w-]+$/.test(name) ? SCRIPT : `# ${path}\n`;
}

/** The programs that a command starts, but for those of the tree. */
const programsOf = (command: string): string[] =>
  command.split(/\s*(?:&&|\|\|?|;)\s*/).map((part) => part.replace(/^(\w+=\S+\s+)*/, '').split(/\s/)[0] ?? '');

/** Kimi reads the brief as far as it goes, makes the files, and ends. */
function reply(messages: readonly Message[], after: ReadonlyMap<string, string | undefined>): Reply {
  const turn = messages.filter(({ role }) => role === 'assistant').length;
  const last = textOf(messages.at(-1));
  const next = /Next Read: (\{.*?\})<\/system>/.exec(last)?.[1] ?? /Next Read: (\{[^}]*\})/.exec(last)?.[1];
  const brief = /Read the file (\S+) completely/.exec(messages.map(textOf).join('\n'))?.[1];
  if (turn === 0) return { calls: [{ name: 'Read', arguments: { path: brief } }] };
  if (next !== undefined) return { calls: [{ name: 'Read', arguments: JSON.parse(next) }] };
  if (messages.some((message) => textOf(message).includes('MADE ALL'))) return { text: 'Done.' };
  const writes = [...after].flatMap(([path, content]) =>
    content === undefined ? [] : [{ name: 'Write', arguments: { path, content } }],
  );
  const gone = [...after].flatMap(([path, content]) => (content === undefined ? [`'${path}'`] : []));
  const command = `${gone.length === 0 ? '' : `rm -r -- ${gone.join(' ')} && `}echo MADE ALL`;
  return { calls: [...writes, { name: 'Bash', arguments: { command } }] };
}

type Asked = { messages: Message[] };

const textOf = (message: Message | undefined): string => {
  const content = message?.content;
  if (typeof content === 'string') return content;
  return Array.isArray(content) ? content.map((part: { text?: string }) => part.text ?? '').join('\n') : '';
};

/** Whether the model got the plan whole: the numbered lines that Kimi's Read returned hold it, byte for byte. */
function readWhole(plan: string, requests: readonly Asked[]): string[] {
  const messages =
    requests.map((request) => request.messages).sort((left, right) => right.length - left.length)[0] ?? [];
  const lines = messages
    .filter(({ role }) => role === 'tool')
    .flatMap((message) => textOf(message).split('\n'))
    .flatMap((line) => /^\s*\d+\t([\s\S]*)$/.exec(line)?.[1] ?? []);
  return lines.join('\n').includes(plan.replace(/\n$/, '')) ? [] : ['the model did not get the plan whole'];
}
