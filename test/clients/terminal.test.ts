import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kimiConfig, startModel } from '../../scripts/model-server.mjs';
import { hasTmux } from '../helpers/claude.ts';
import { Lab, ROOT, spec } from '../helpers/repo.ts';
import { pause, until } from '../helpers/until.ts';

/** A real terminal of 80 columns, with the program on its path. */
class Terminal {
  readonly #socket = `kd-${randomBytes(4).toString('hex')}`;
  constructor(lab: Lab) {
    const env = Object.entries({ ...lab.env, TERM: 'xterm-256color', PS1: '$ ' }).map(
      ([name, value]) => `${name}=${value}`,
    );
    this.#tmux('new-session', '-d', '-x', '80', '-y', '30', '-c', lab.repo, 'env', '-i', ...env, 'sh');
  }
  type(text: string): void {
    this.#tmux('send-keys', '-l', text);
    this.#tmux('send-keys', 'Enter');
  }
  key(name: string): void {
    this.#tmux('send-keys', name);
  }
  async see(pattern: RegExp, ms = 20_000): Promise<string> {
    for (const until = Date.now() + ms; ; ) {
      const screen = this.#tmux('capture-pane', '-p').trimEnd();
      if (pattern.test(screen)) return screen;
      if (Date.now() > until) throw new Error(`Not seen: ${pattern}\n${screen}`);
      await pause(100);
    }
  }
  close(): void {
    spawnSync('tmux', ['-L', this.#socket, 'kill-server']);
  }
  #tmux(...args: string[]): string {
    return execFileSync('tmux', ['-L', this.#socket, '-f', '/dev/null', ...args], { encoding: 'utf8' });
  }
}

describe.skipIf(!hasTmux)('in a real terminal, with the real Kimi (needs tmux)', () => {
  let model: Awaited<ReturnType<typeof startModel>>;
  let lab: Lab;
  let terminal: Terminal;
  let seconds = 4;
  beforeEach(async () => {
    model = await startModel(({ turn }: { turn: number }) =>
      turn === 0
        ? { calls: [{ name: 'Bash', arguments: { command: `echo hello please > greet.txt; sleep ${seconds}` } }] }
        : { text: 'Done.' },
    );
    lab = new Lab({ 'greet.txt': 'hello\n' }, { kimi: 'real', config: kimiConfig(model.url) });
    writeFileSync(join(lab.folder, 'spec.md'), spec('none'));
    terminal = new Terminal(lab);
  });
  afterEach(async () => {
    terminal.close();
    await model.close();
    lab.remove();
  });
  const program = `${process.execPath} ${join(ROOT, 'bin', 'kimi-dispatch.js')}`;

  it('a run in the background survives its terminal', async () => {
    terminal.type(`${program} run ../spec.md --background --no-baseline`);
    await terminal.see(/Runs in the background/);
    terminal.close();
    const ended = await lab.run(['wait', '@last']);
    expect([ended.code, ended.stdout]).toEqual([0, expect.stringContaining('SUCCEEDED')]);
  }, 60_000);

  it('one live line while it works; a second terminal watches, fits 80 columns and ends cleanly', async () => {
    terminal.type(`${program} run ../spec.md --no-baseline`);
    await terminal.see(/Kimi implements the spec.* of 1800 s/);
    const second = new Terminal(lab);
    try {
      second.type(`${program} watch; echo ended $?`);
      const screen = await second.see(/At work:[\s\S]*Ctrl-C ends/);
      expect(Math.max(...screen.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
      second.key('C-c');
      await second.see(/ended 0/);
    } finally {
      second.close();
    }
    await terminal.see(/SUCCEEDED/);
  }, 60_000);

  it('Ctrl-C cancels a run in the foreground, and its work is saved', async () => {
    seconds = 100;
    terminal.type(`${program} run ../spec.md --no-baseline; echo ended $?`);
    await terminal.see(/Kimi implements the spec/);
    await until('Kimi has written', async () => {
      const { dir } = JSON.parse((await lab.run(['status', '--json'])).stdout).runs[0];
      return readFileSync(join(dir, 'greet.txt'), 'utf8').includes('please');
    });
    terminal.key('C-c');
    await terminal.see(/ended 130/);
    expect((await lab.result()).changes.map((change) => change.path)).toEqual(['greet.txt']);
  }, 60_000);
});
