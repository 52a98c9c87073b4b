import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Result } from '../../src/review/result.ts';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const FAKE = join(ROOT, 'test', 'helpers', 'fake-kimi.mjs');
const REAL = join(ROOT, 'node_modules', '.bin', 'kimi');

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A temp folder with a repository, a home, and an environment of its own; removed by `remove`. */
export class Lab {
  readonly folder = mkdtempSync(join(tmpdir(), 'kd-test-'));
  readonly repo: string;
  readonly home = join(this.folder, 'home');
  readonly env: Record<string, string>;

  constructor(
    files: Readonly<Record<string, string>>,
    options: { kimi?: 'fake' | 'real' | 'none'; config?: string; name?: string } = {},
  ) {
    this.repo = join(this.folder, options.name ?? 'repo');
    mkdirSync(join(this.home, '.kimi-code'), { recursive: true });
    writeFileSync(join(this.home, '.kimi-code', 'config.toml'), options.config ?? FAKE_CONFIG);
    writeFileSync(
      join(this.home, '.gitconfig'),
      '[user]\nname = Tester\nemail = tester@localhost\n[init]\ndefaultBranch = main\n',
    );
    chmodSync(FAKE, 0o755);
    this.env = {
      PATH: process.env.PATH ?? '',
      HOME: this.home,
      // Tests that are about the sandbox ask for it; the others must pass where its parts are missing.
      KIMI_DISPATCH_SANDBOX: 'off',
      GIT_CONFIG_NOSYSTEM: '1',
      ...(options.kimi === 'none' ? {} : { KIMI_BIN: options.kimi === 'real' ? REAL : FAKE }),
    };
    mkdirSync(this.repo, { recursive: true });
    this.git('init', '-q');
    this.write(files);
    if (Object.keys(files).length > 0) this.commit('Start');
  }

  git(...args: string[]): string {
    return execFileSync('git', args, {
      cwd: this.repo,
      env: this.env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  }

  /** Runs a line of shell in the repository. */
  sh(line: string): string {
    return execFileSync('/bin/sh', ['-c', line], { cwd: this.repo, env: this.env, encoding: 'utf8' });
  }

  write(files: Readonly<Record<string, string>>, folder = this.repo): void {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      if (text.startsWith('link:')) symlinkSync(text.slice(5), join(folder, path));
      else writeFileSync(join(folder, path), text);
    }
  }

  commit(message: string): string {
    this.git('add', '-A');
    this.git('commit', '-q', '-m', message);
    return this.git('rev-parse', 'HEAD');
  }

  /** Runs kimi-dispatch as a user would: the launcher, in the repository. */
  run(
    args: readonly string[],
    more: { env?: Record<string, string>; cwd?: string; uid?: number; after?: (pid: number) => void } = {},
  ): Promise<Ended> {
    return new Promise((done, fail) => {
      const child = spawn(process.execPath, [join(ROOT, 'bin', 'kimi-dispatch.js'), ...args], {
        cwd: more.cwd ?? this.repo,
        env: { ...this.env, ...more.env },
        stdio: ['ignore', 'pipe', 'pipe'],
        ...(more.uid === undefined ? {} : { uid: more.uid, gid: more.uid }),
      });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
      child.on('error', fail);
      child.on('close', (code) => done({ code, stdout, stderr }));
      if (child.pid !== undefined) more.after?.(child.pid);
    });
  }

  /** The last run's result.json. */
  async result(): Promise<Result> {
    return JSON.parse((await this.run(['show', '@last', '--json'])).stdout);
  }

  /** The folder of a run's record; of the only run where none is named. */
  record(run = readdirSync(join(this.repo, '.git', 'kimi-dispatch', 'runs'))[0] ?? ''): string {
    return join(this.repo, '.git', 'kimi-dispatch', 'runs', run);
  }

  /** The Kimi home of a run. */
  kimiHome(run: string): string {
    return JSON.parse(readFileSync(join(this.record(run), 'plan.json'), 'utf8')).home;
  }

  /** Ends once the events of the only run hold a text; at most 30 s. */
  async heard(text: string): Promise<void> {
    for (let waited = 0; waited < 600; waited++) {
      const runs = join(this.repo, '.git', 'kimi-dispatch', 'runs');
      const file = existsSync(runs) && readdirSync(runs).length > 0 ? join(this.record(), 'events.ndjson') : '';
      if (existsSync(file) && readFileSync(file, 'utf8').includes(text)) return;
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  /** A digest of everything that is the user's: checkout, index, refs but ours, config, hooks, stash, HEAD. */
  snapshot(): Record<string, string> {
    const seen: Record<string, string> = {};
    const ours =
      /^\.git\/(kimi-dispatch|worktrees|objects|refs\/heads\/kimi|refs\/kimi-dispatch|logs\/refs\/heads\/kimi|logs\/refs\/kimi-dispatch)(\/|$)/;
    const visit = (folder: string): void => {
      for (const name of readdirSync(folder)) {
        const path = join(folder, name);
        const short = relative(this.repo, path);
        if (ours.test(short)) continue;
        const stat = lstatSync(path);
        if (stat.isDirectory()) visit(path);
        else
          seen[short] = stat.isSymbolicLink()
            ? `-> ${readlinkSync(path)}`
            : `${stat.mode} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`;
      }
    };
    visit(this.repo);
    return seen;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

/** A configuration of Kimi that leads nowhere; its key is `made-up`. */
export const FAKE_CONFIG = `default_model = "m"
[providers.p]
type = "openai"
base_url = "http://127.0.0.1:9/v1"
api_key = "made-up"
[models.m]
provider = "p"
model = "m"
max_context_size = 1000
`;

export const exists = existsSync;

/** Whether a program that a test needs is on this machine. */
export const has = (program: string): boolean =>
  (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, program)));

/** A spec for the fake: `scenario` tells it what to do. */
export const spec = (scenario: string, more: { files?: string[]; verify?: string[]; head?: string } = {}): string =>
  [
    '# Spec: 001 -- Change the greeting',
    ...(more.head === undefined ? [] : [more.head]),
    '',
    '## Context',
    `SCENARIO ${scenario}`,
    '',
    '## Tasks',
    '### Task 1: Change it',
    'Files:',
    ...(more.files ?? ['MODIFY greet.txt']).map((file) => `- ${file}`),
    'Requirements:',
    '- The greeting is polite.',
    '',
    '## Verification',
    ...(more.verify ?? ['`grep -q please greet.txt`']).map((command) => `- ${command}`),
    '',
  ].join('\n');

/** The scenario of a worker that runs a shell script. */
export const shell = (script: string): string => `shell ${Buffer.from(script).toString('hex')}`;
