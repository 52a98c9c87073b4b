import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type Ended, type Lab, ROOT } from './repo.ts';
import { until } from './until.ts';

const has = (program: string, ...args: string[]): boolean => {
  try {
    execFileSync(program, args.length > 0 ? args : ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};
export const hasRedis = has('redis-server');
export const hasUnshare = has('unshare', '-rm', 'true');

const freePort = (): Promise<number> =>
  new Promise((done) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });

/** A real redis-server in a folder of the test, with an append-only file unless told otherwise. */
export class RedisServer {
  readonly folder: string;
  readonly #more: readonly string[];
  port = 0;
  #child: ChildProcess | undefined;

  constructor(folder: string, more: readonly string[] = ['--appendonly', 'yes']) {
    this.folder = folder;
    this.#more = more;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async start(): Promise<this> {
    mkdirSync(this.folder, { recursive: true });
    this.port ||= await freePort();
    const args = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder, '--save', ''];
    this.#child = spawn('redis-server', [...args, ...this.#more], { stdio: 'ignore', env: { PATH: process.env.PATH } });
    await until('redis answers', () => this.ask('ping') !== undefined);
    return this;
  }

  /** One command by redis-cli; undefined when nobody answers. */
  ask(...words: string[]): string | undefined {
    try {
      return execFileSync('redis-cli', ['-p', String(this.port), ...words], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim();
    } catch {
      return undefined;
    }
  }

  kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    const gone = new Promise<void>((done) => child.once('exit', () => done()));
    child.kill('SIGKILL');
    return gone;
  }
}

/** Another machine: a home, XDG folders and a TMPDIR of its own. It shares nothing but Redis and the git remote. */
export class Machine {
  readonly folder: string;
  readonly env: Record<string, string>;
  readonly #lab: string;
  said = '';
  child: ChildProcess | undefined;

  constructor(lab: Lab, name: string, url: string) {
    this.#lab = lab.folder;
    this.folder = join(lab.folder, name);
    const at = (part: string): string => join(this.folder, part);
    for (const part of ['home', 'tmp', 'config', 'state', 'cache', 'data'])
      mkdirSync(at(part), { recursive: true, mode: 0o700 });
    cpSync(join(lab.home, '.kimi-code'), at('home/.kimi-code'), { recursive: true });
    this.env = {
      ...lab.env,
      HOME: at('home'),
      TMPDIR: at('tmp'),
      XDG_CONFIG_HOME: at('config'),
      XDG_STATE_HOME: at('state'),
      XDG_CACHE_HOME: at('cache'),
      XDG_DATA_HOME: at('data'),
      KIMI_DISPATCH_QUEUE_URL: url,
    };
    this.setting('lockSeconds = 3');
  }

  /** Lines of `[queue]` in its settings file. */
  setting(...lines: string[]): void {
    mkdirSync(join(this.folder, 'config', 'kimi-dispatch'), { recursive: true });
    writeFileSync(join(this.folder, 'config', 'kimi-dispatch', 'config.toml'), `[queue]\n${lines.join('\n')}\n`);
  }

  /** Starts `kimi-dispatch worker`; resolves when it takes runs, or when it has ended. */
  async work(more: { args?: string[]; program?: string; walls?: boolean } = {}): Promise<this> {
    this.said = '';
    const program = more.program ?? join(ROOT, 'bin', 'kimi-dispatch.js');
    const words = [
      ...(more.walls === false ? [] : this.#walls()),
      process.execPath,
      program,
      'worker',
      ...(more.args ?? []),
    ];
    this.child = spawn(words[0] ?? '', words.slice(1), {
      cwd: this.folder,
      env: this.env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.said += chunk.toString();
    });
    await until(
      'the worker has started',
      () => /worker \S+ takes runs/.test(this.said) || this.child?.exitCode !== null,
    );
    return this;
  }

  /** Where the system lets us: of all that the test made only this machine and the git remote are there. */
  #walls(): string[] {
    if (!hasUnshare) return [];
    const script = [
      'set -e; lab=$1; own=$2; remote=$1/remote.git; shift 2',
      'mount -t tmpfs none /mnt; mkdir /mnt/own /mnt/remote',
      'mount --rbind "$own" /mnt/own; mount --rbind "$remote" /mnt/remote',
      'mount -t tmpfs none "$lab"; mkdir "$own" "$remote"',
      'mount --rbind /mnt/own "$own"; mount --rbind /mnt/remote "$remote"',
      'umount -l /mnt; cd "$own"; exec "$@"',
    ].join('\n');
    return ['unshare', '-rm', 'sh', '-c', script, 'sh', this.#lab, this.folder];
  }

  /** The Kimis that work here now. */
  kimis(): string[] {
    return readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid)) return false;
      try {
        if (/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) return false;
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`KIMI_CODE_HOME=${this.folder}/state/`);
      } catch {
        return false;
      }
    });
  }

  /** Ends with its code. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    const { child } = this;
    if (child === undefined) return { code: null, stdout: '', stderr: '' };
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise<void>((done) => child.once('close', () => done()));
      child.kill(signal);
      await gone;
    }
    return { code: child.exitCode, stdout: '', stderr: this.said };
  }
}

/** The program as another version of itself. */
export function otherVersion(folder: string, version: string): string {
  mkdirSync(join(folder, 'bin'), { recursive: true });
  for (const name of ['dist', 'templates']) cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  cpSync(join(ROOT, 'bin', 'kimi-dispatch.js'), join(folder, 'bin', 'kimi-dispatch.js'));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', version }));
  chmodSync(join(folder, 'bin', 'kimi-dispatch.js'), 0o755);
  return join(folder, 'bin', 'kimi-dispatch.js');
}
