import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Lab, ROOT } from './repo.ts';
import { pause, until } from './until.ts';

export const hasTmux = spawnSync('tmux', ['-V']).status === 0;
const CLAUDE = process.env.CLAUDE_BIN ?? join(ROOT, 'node_modules', '.bin', 'claude');
const KEY = 'sk-ant-made-up-key-0123456789abcdefghij';

export interface ClaudeOptions {
  readonly url: string;
  readonly mode?: 'plan' | 'manual';
  readonly settings?: Record<string, unknown>;
  /** More arguments of the client, such as `--continue`. */
  readonly args?: readonly string[];
  /** Settings of the machine's owner; needs root, and a namespace of its own. */
  readonly managed?: Record<string, unknown>;
  /** Columns and rows of the terminal. */
  readonly size?: readonly [number, number];
}

/** The real Claude Code in a real terminal (tmux), with an empty environment and a made-up key. */
export class Claude {
  readonly #socket = `kd-${randomBytes(4).toString('hex')}`;
  readonly #lab: Lab;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** The environment that Claude Code and everything it starts see. */
  environment(url: string): string[] {
    const { env, home } = this.#lab;
    const bin = [join(ROOT, 'node_modules', '.bin'), env.PATH].join(':');
    return [
      `PATH=${bin}`,
      `HOME=${home}`,
      'TERM=xterm-256color',
      'LANG=C.UTF-8',
      `ANTHROPIC_BASE_URL=${url}`,
      `ANTHROPIC_API_KEY=${KEY}`,
      'CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1',
      'DISABLE_AUTOUPDATER=1',
      ...['KIMI_BIN', 'KIMI_DISPATCH_AGENT', 'KIMI_DISPATCH_MOD'].flatMap((name) =>
        env[name] === undefined ? [] : [`${name}=${env[name]}`],
      ),
    ];
  }

  /** What a user has after the first start: onboarding done, the folder trusted. */
  prepare(settings: Record<string, unknown> = {}): void {
    const { home, repo } = this.#lab;
    mkdirSync(join(home, '.claude'), { recursive: true });
    const state = {
      hasCompletedOnboarding: true,
      theme: 'dark',
      lastOnboardingVersion: '2.1.330',
      customApiKeyResponses: { approved: [KEY.slice(-20)], rejected: [] },
      projects: { [repo]: { hasTrustDialogAccepted: true, hasCompletedProjectOnboarding: true } },
    };
    writeFileSync(join(home, '.claude.json'), JSON.stringify(state));
    if (Object.keys(settings).length > 0)
      writeFileSync(join(home, '.claude', 'settings.json'), JSON.stringify(settings));
  }

  async start(options: ClaudeOptions): Promise<void> {
    this.prepare(options.settings);
    const command = ['env', '-i', ...this.environment(options.url), CLAUDE, '--permission-mode'];
    // "manual" is called "default" by older versions; both take the older word.
    command.push(options.mode === 'manual' ? 'default' : 'plan');
    command.push(...(options.args ?? []));
    if (options.managed !== undefined) command.unshift(...this.#managed(options.managed));
    const [columns, rows] = options.size ?? [150, 50];
    this.#tmux('new-session', '-d', '-x', String(columns), '-y', String(rows), '-c', this.#lab.repo, ...command);
    await this.see(/shift\+tab to cycle|manual mode|\? for shortcuts/, 30_000);
  }

  /** A command that begins another: it sees these settings in the place of the machine's. */
  #managed(settings: Record<string, unknown>): string[] {
    const etc = join(this.#lab.folder, 'etc');
    execFileSync('cp', ['-a', '/etc', etc]);
    mkdirSync(join(etc, 'claude-code'));
    writeFileSync(join(etc, 'claude-code', 'managed-settings.json'), JSON.stringify(settings));
    return ['unshare', '-m', 'sh', '-c', `mount --bind '${etc}' /etc && exec "$@"`, 'sh'];
  }

  screen(): string {
    return this.#tmux('capture-pane', '-p').replace(/\s+$/, '');
  }

  /** Waits until the screen shows it; the screen is in the failure. */
  async see(pattern: RegExp, ms = 15_000): Promise<string> {
    const until = Date.now() + ms;
    for (;;) {
      const screen = this.screen();
      if (pattern.test(screen)) return screen;
      if (Date.now() > until) throw new Error(`Not seen in ${ms} ms: ${pattern}\n${screen}`);
      await pause(100);
    }
  }

  async say(text: string): Promise<void> {
    this.#tmux('send-keys', '-l', text);
    await pause(400);
    this.key('Enter');
  }

  /** Presses keys once the dialog takes them: a dialog ignores what comes in its first moments. */
  async choose(...names: string[]): Promise<void> {
    await pause(1200);
    this.key(...names);
  }

  /** Types into the field that has the focus by now. */
  async write(text: string): Promise<void> {
    await pause(800);
    this.#tmux('send-keys', '-l', text);
  }

  key(...names: string[]): void {
    this.#tmux('send-keys', ...names);
  }

  /** Ends the client and waits until it is gone: at its end it still writes into its home. */
  async stop(): Promise<void> {
    const panes = spawnSync('tmux', ['-L', this.#socket, 'list-panes', '-a', '-F', '#{pane_pid}'], {
      encoding: 'utf8',
    });
    spawnSync('tmux', ['-L', this.#socket, 'kill-server']);
    const pids = panes.stdout.split('\n').filter(Boolean);
    const gone = () => pids.every((pid) => !existsSync(`/proc/${pid}`));
    await until('Claude Code has ended', gone, 10_000).catch(() => spawnSync('kill', ['-KILL', ...pids]));
  }

  #tmux(...args: string[]): string {
    return execFileSync('tmux', ['-L', this.#socket, '-f', '/dev/null', ...args], { encoding: 'utf8' });
  }

  /** Runs the client's own command line, `claude plugin ...`. */
  cli(args: readonly string[], url = 'http://127.0.0.1:9'): { code: number | null; text: string } {
    const env = Object.fromEntries(this.environment(url).map((item) => splitOnce(item)));
    const ended = spawnSync(CLAUDE, [...args], { cwd: this.#lab.repo, env, encoding: 'utf8', timeout: 60_000 });
    return { code: ended.status, text: `${ended.stdout}${ended.stderr}` };
  }

  /** `claude -p ...`, while the scripted model in this process answers. */
  headless(args: readonly string[], url: string, fresh = true): Promise<string> {
    if (fresh) this.prepare();
    const env = Object.fromEntries(this.environment(url).map((item) => splitOnce(item)));
    return new Promise((done) => {
      const child = spawn(CLAUDE, [...args], { cwd: this.#lab.repo, env, stdio: ['ignore', 'pipe', 'pipe'] });
      let said = '';
      child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
      child.on('close', () => done(said));
    });
  }

  decisions(): string {
    const file = join(this.#lab.home, '.local', 'state', 'kimi-dispatch', 'claude', 'decisions.ndjson');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }
}

const splitOnce = (item: string): [string, string] => {
  const at = item.indexOf('=');
  return [item.slice(0, at), item.slice(at + 1)];
};

export const version = (): string => execFileSync(CLAUDE, ['--version'], { encoding: 'utf8' }).split(' ')[0] ?? '';
