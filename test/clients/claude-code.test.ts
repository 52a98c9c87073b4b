import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kimiConfig, startModel } from '../../scripts/model-server.mjs';
import { Claude, hasTmux } from '../helpers/claude.ts';
import { startMessages } from '../helpers/messages-server.mjs';
import { obedient, PLAN } from '../helpers/obedient.ts';
import { Lab, ROOT } from '../helpers/repo.ts';

type Model = Awaited<ReturnType<typeof startModel>>;
type Messages = Awaited<ReturnType<typeof startMessages>>;

/** The real Kimi's scripted model: writes the three files of the plan, then reports. */
const KIMI = ({ turn, text = 'hello please\n' }: { turn: number; text?: string }) =>
  turn === 0
    ? {
        calls: [
          { name: 'Write', arguments: { path: 'greet.txt', content: text } },
          { name: 'Write', arguments: { path: 'src/greet.sh', content: 'cat greet.txt\n' } },
          { name: 'Write', arguments: { path: 'docs/greet.md', content: '# Greeting\n' } },
        ],
      }
    : { text: 'Done.' };

const OFFER = 'Before the first edit the user chooses';
/** How often a text stands in the last request, which holds the whole conversation. */
const times = (messages: Messages, text: string): number =>
  JSON.stringify(messages.requests.at(-1) ?? '').split(text).length - 1;

describe.skipIf(!hasTmux)('Claude Code in a terminal (needs tmux)', () => {
  let kimi: Model;
  let messages: Messages;
  let lab: Lab;
  let claude: Claude;

  beforeEach(async () => {
    kimi = await startModel(KIMI);
    lab = new Lab({ 'greet.txt': 'hello\n' }, { kimi: 'real', config: kimiConfig(kimi.url) });
    // What is shown here is the way of older clients and of policies without mods.
    lab.env.KIMI_DISPATCH_MOD = 'off';
    claude = new Claude(lab);
  });
  afterEach(async () => {
    await claude.stop();
    await messages?.close();
    await kimi.close();
    lab.remove();
  });

  const install = async (...more: string[]): Promise<void> => {
    claude.prepare();
    const ended = await lab.run(['install', ...more], { env: { PATH: claude.environment('').at(0)?.slice(5) ?? '' } });
    expect(ended.stderr + ended.stdout).toContain('is installed');
  };
  const toDialog = async (settings: Record<string, unknown> = {}): Promise<void> => {
    await claude.start({ url: messages.url, settings });
    await claude.say('please plan');
    await claude.see(/Would you like to proceed/);
  };

  it('manual approval: asks once, Kimi runs, the session is woken, the result arrives, merge asks', async () => {
    messages = await startMessages(obedient());
    await install();
    await toDialog();
    expect(claude.screen()).toContain('After you approve it Claude asks once');
    await claude.choose('2');
    await claude.see(/Who implements this plan\?/);
    await claude.choose('1');
    const asked = await claude.see(/IT RUNS NOW|requires approval|Do you want to proceed/);
    if (!asked.includes('IT RUNS NOW')) await claude.choose('Enter');
    await claude.see(/REVIEWED: shall I merge/, 60_000);
    expect(times(messages, OFFER)).toBe(1);
    expect(JSON.stringify(messages.requests.at(-1))).toMatch(/SUCCEEDED \d{6}-\d{4}-\w+/);
    await claude.say('look at git');
    await claude.see(/HEARD YOU/);
    await claude.say('yes please merge');
    await claude.see(/leaves this decision to you|Do you want to proceed/);
    await claude.choose('Enter');
    await claude.see(/ALL MERGED/);
    expect(readFileSync(join(lab.repo, 'greet.txt'), 'utf8')).toBe('hello please\n');
  }, 150_000);

  it('wake-up, review, send back, wake-up, merge, in one session', async () => {
    let attempt = 0;
    await kimi.close();
    kimi = await startModel((request: { turn: number; messages: unknown[] }) => {
      if (JSON.stringify(request.messages).includes('brief-2.md')) attempt = 1;
      const last = (request.messages.at(-1) as { role: string }).role;
      const text = attempt === 0 ? 'rude\n' : 'hello please, friend\n';
      return last === 'user' ? KIMI({ turn: 0, text }) : { text: 'Done.' };
    });
    writeFileSync(join(lab.home, '.kimi-code', 'config.toml'), kimiConfig(kimi.url));
    messages = await startMessages(obedient());
    await install();
    // Green before, so that what Kimi does first is new damage.
    lab.write({ 'greet.txt': 'hello please\n' });
    lab.commit('Polite');
    lab.write({ 'findings.md': '- greet.txt:1 say please\n' });
    await toDialog({ permissions: { disableAutoMode: 'disable' } });
    await claude.choose('2');
    await claude.see(/Who implements this plan\?/);
    await claude.choose('1');
    const yes = async (done: RegExp): Promise<void> => {
      const asked = await claude.see(new RegExp(`${done.source}|requires approval|Do you want to proceed`), 30_000);
      if (!done.test(asked)) await claude.choose('Enter');
    };
    await yes(/IT RUNS NOW/);
    await claude.see(/shall I send it back/, 60_000);
    await claude.say('yes send it back');
    await yes(/IT RUNS NOW[\s\S]*IT RUNS NOW/);
    await claude.see(/shall I merge/, 60_000);
    await claude.say('yes please merge');
    await yes(/ALL MERGED/);
    await claude.see(/ALL MERGED/);
    expect(readFileSync(join(lab.repo, 'greet.txt'), 'utf8')).toBe('hello please, friend\n');
  }, 200_000);

  it('auto mode: the question comes all the same; "Claude" starts nothing', async () => {
    messages = await startMessages(obedient());
    await install();
    await toDialog();
    await claude.choose('1');
    await claude.see(/Who implements this plan\?/);
    await claude.choose('2');
    await claude.see(/HEARD YOU/);
    expect(times(messages, OFFER)).toBe(1);
    expect(JSON.stringify(messages.requests.at(-1))).not.toContain('the user chose Kimi');
    expect((await lab.run(['status'])).stdout).toContain('No runs');
  }, 90_000);

  it('"kimi" typed with the approval skips the question', async () => {
    messages = await startMessages(obedient());
    await install();
    // Auto mode's check runs on the vendor's server and cannot be had here.
    await toDialog({ permissions: { disableAutoMode: 'disable' } });
    await claude.choose('3');
    await claude.write('kimi');
    await claude.choose('BTab');
    const asked = await claude.see(/IT RUNS NOW|requires approval|Do you want to proceed/);
    if (!asked.includes('IT RUNS NOW')) await claude.choose('Enter');
    await claude.see(/REVIEWED: shall I merge/, 60_000);
    expect(JSON.stringify(messages.requests.at(-1))).not.toContain('"name":"AskUserQuestion","input"');
  }, 120_000);

  it('clear context: the new session asks once', async () => {
    messages = await startMessages(obedient());
    await install();
    await toDialog({ showClearContextOnPlanAccept: true, permissions: { disableAutoMode: 'disable' } });
    await claude.see(/clear context/);
    await claude.choose('1');
    await claude.see(/Who implements this plan\?/);
    await claude.choose('1');
    const asked = await claude.see(/IT RUNS NOW|requires approval|Do you want to proceed/);
    if (!asked.includes('IT RUNS NOW')) await claude.choose('Enter');
    await claude.see(/REVIEWED: shall I merge/, 60_000);
    expect(times(messages, OFFER)).toBe(1);
  }, 120_000);

  it('a plan sent back and rewritten is a new plan; the first was never asked about', async () => {
    messages = await startMessages(obedient());
    await install();
    await toDialog();
    await claude.choose('3');
    await claude.write('more detail');
    await claude.choose('Enter');
    await claude.see(/In more detail/);
    await claude.see(/Would you like to proceed/);
    expect(times(messages, OFFER)).toBe(0);
    await claude.choose('2');
    await claude.see(/Who implements this plan\?/);
    expect(times(messages, OFFER)).toBe(1);
    claude.key('Escape');
  }, 90_000);

  it('a rejected plan, and a small one, are not asked about', async () => {
    messages = await startMessages(obedient({ plan: '# Small\n\nChange `greet.txt`, 5 lines.\n' }));
    await install();
    await toDialog();
    expect(claude.screen()).not.toContain('requires confirmation');
    await claude.choose('Escape');
    await claude.see(/plan mode on/);
    expect(times(messages, OFFER)).toBe(0);
    await claude.say('please plan');
    await claude.see(/Would you like to proceed/);
    await claude.choose('2');
    await claude.see(/NO OFFER/);
    expect(claude.decisions()).toContain('a small plan');
  }, 90_000);

  it('with all hooks switched off nothing is asked and nothing is told', async () => {
    messages = await startMessages(obedient({ byRule: true }));
    await install();
    await toDialog({ disableAllHooks: true });
    await claude.choose('2');
    await claude.see(/NO OFFER/);
    expect(JSON.stringify(messages.requests.at(-1))).not.toContain('# Delegating to Kimi');
    expect(claude.decisions()).toBe('');
  }, 120_000);

  it("as a plugin: the client's own commands install it, it asks once, and it goes again", async () => {
    messages = await startMessages(obedient());
    await install('--as', 'plugin');
    expect(claude.cli(['plugin', 'list']).text).toContain('kimi-dispatch@kimi-dispatch');
    const twice = await lab.run(['install']);
    expect([twice.code, twice.stderr]).toEqual([2, expect.stringContaining('ask twice')]);
    await toDialog();
    await claude.choose('2');
    await claude.see(/Who implements this plan\?/);
    expect(times(messages, OFFER)).toBe(1);
    await claude.stop();
    const gone = await lab.run(['uninstall'], { env: { PATH: claude.environment('').at(0)?.slice(5) ?? '' } });
    expect(gone.code).toBe(0);
    expect(claude.cli(['plugin', 'list']).text).not.toContain('kimi-dispatch@kimi-dispatch');
  }, 120_000);

  it('claude -p: no dialog and no question exist there; the command works, and the run is waited for', async () => {
    messages = await startMessages(({ text, last }) => {
      const run = /SUCCEEDED (\d{6}-\d{4}-\w+)/.exec(last)?.[1];
      if (run !== undefined) return { text: `HEADLESS ${run} REVIEWED` };
      const ended = /kimi-dispatch: run (\S+) ended/.exec(last)?.[1];
      const bash = (command: string, more = {}) => ({
        calls: [{ name: 'Bash', input: { command, description: 'run', ...more } }],
      });
      if (ended !== undefined) return bash(`kimi-dispatch show ${ended}`);
      if (last.includes('Delegate to Kimi: plan.md'))
        return bash('kimi-dispatch run plan.md', { run_in_background: true });
      return { text: text.includes('AskUserQuestion') ? 'ASKABLE' : 'WAITING' };
    });
    await install();
    lab.write({ 'plan.md': PLAN });
    const ended = await claude.headless(
      ['-p', '/kimi-dispatch plan.md', '--allowedTools', 'Bash(kimi-dispatch:*)'],
      messages.url,
    );
    const tools = (messages.requests[0] as unknown as { tools: { name: string }[] }).tools.map((tool) => tool.name);
    expect(tools).not.toContain('AskUserQuestion');
    expect(tools).not.toContain('ExitPlanMode');
    expect(ended).toMatch(/HEADLESS \d{6}-\d{4}-\w+ REVIEWED/);
    expect(claude.decisions()).not.toContain('offered plan');
  }, 90_000);
});

describe('the MCP server in the real Claude Code', () => {
  it('its tools are listed and called, and results arrive', async () => {
    const lab = new Lab({ 'greet.txt': 'hello\n' });
    const client = new Claude(lab);
    const messages = await startMessages(({ last }) => {
      if (last.includes('tool_result')) return { text: last.includes('registered') ? 'MCP WORKS' : last.slice(0, 500) };
      const input = { name: 'claude-1', workspace_path: '/w', description: 'd' };
      return { calls: [{ name: 'mcp__kimi-dispatch__register_agent', input }] };
    });
    try {
      client.prepare();
      const server = ['--', process.execPath, join(ROOT, 'bin', 'kimi-dispatch.js'), 'mcp'];
      expect(client.cli(['mcp', 'add', '--scope', 'user', 'kimi-dispatch', ...server]).code).toBe(0);
      const said = await client.headless(
        ['-p', 'register', '--allowedTools', 'mcp__kimi-dispatch__register_agent'],
        messages.url,
        false,
      );
      expect(said).toContain('MCP WORKS');
      expect(JSON.stringify(messages.requests).includes('mcp__kimi-dispatch__escalate')).toBe(true);
      expect((await lab.run(['agent', 'list'])).stdout).toContain('claude-1');
    } finally {
      await messages.close();
      lab.remove();
    }
  }, 60_000);
});

describe('two sessions of Claude Code and one Kimi worker', () => {
  it('one delegates and writes, the other is told by its hook, reads and answers, the first is told', async () => {
    const kimi = await startModel(KIMI);
    const lab = new Lab({ 'greet.txt': 'hello\n', 'plan.md': PLAN }, { kimi: 'real', config: kimiConfig(kimi.url) });
    const client = new Claude(lab);
    const bash = (command: string) => ({ calls: [{ name: 'Bash', input: { command, description: 'x' } }] });
    const messages = await startMessages(({ text, last }) => {
      const id = /msg-[0-9a-f]{12}/.exec(text)?.[0];
      if (last.includes('tool_result') && last.includes('Please review'))
        return bash(`kimi-dispatch msg reply ${id} "It is polite."`);
      if (last.includes('tool_result') && last.includes('claude: ')) return bash(`kimi-dispatch msg read ${id}`);
      if (last.includes('tool_result') && last.includes('SUCCEEDED'))
        return bash('kimi-dispatch msg send reviewer "Please review the last run"');
      if (last.includes('tool_result')) return { text: 'SESSION DONE' };
      if (last.includes('unread message')) return bash('kimi-dispatch inbox');
      if (last.includes('delegate it')) return bash('kimi-dispatch run plan.md --no-baseline');
      return { text: `NOTHING TOLD` };
    });
    const session = (prompt: string) =>
      client.headless(['-p', prompt, '--allowedTools', 'Bash(kimi-dispatch:*)'], messages.url, false);
    try {
      client.prepare();
      const path = client.environment('').at(0)?.slice(5) ?? '';
      await lab.run(['install'], { env: { PATH: path } });
      await lab.run(['agent', 'add', 'reviewer']);
      expect(await session('delegate it')).toContain('SESSION DONE');
      lab.env.KIMI_DISPATCH_AGENT = 'reviewer';
      expect(await session('anything new?')).toContain('SESSION DONE');
      lab.env.KIMI_DISPATCH_AGENT = 'claude';
      expect((await lab.run(['inbox'])).stdout).toMatch(/reviewer: Re: Please review/);
      expect(JSON.stringify(messages.requests).includes('kimi-dispatch: 1 unread message (claude:')).toBe(true);
      expect((await lab.result()).outcome).toBe('succeeded');
    } finally {
      await messages.close();
      await kimi.close();
      lab.remove();
    }
  }, 120_000);
});

describe('the bundle, as the client judges it', () => {
  it('claude plugin validate --strict passes on the marketplace and on the packed plugin', () => {
    const lab = new Lab({});
    try {
      const client = new Claude(lab);
      expect(client.cli(['plugin', 'validate', ROOT, '--strict'])).toMatchObject({ code: 0 });
      execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', lab.folder, ROOT]);
      const archive = readdirSync(lab.folder).find((name) => name.endsWith('.tgz')) ?? '';
      execFileSync('tar', ['xzf', join(lab.folder, archive), '-C', lab.folder]);
      const plugin = join(lab.folder, 'package');
      for (const path of ['hooks/hooks.json', 'dist/hook.cjs', 'bin/kimi-dispatch', 'commands/kimi-spec.md'])
        expect(existsSync(join(plugin, path)), path).toBe(true);
      rmSync(join(plugin, '.claude-plugin', 'marketplace.json'));
      const judged = client.cli(['plugin', 'validate', plugin, '--strict']);
      expect([judged.code, judged.text]).toEqual([0, expect.stringContaining('Validation passed')]);
    } finally {
      lab.remove();
    }
  }, 60_000);
});
