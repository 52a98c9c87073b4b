import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kimiConfig, startModel } from '../../scripts/model-server.mjs';
import { Claude, type ClaudeOptions, hasTmux } from '../helpers/claude.ts';
import { startMessages } from '../helpers/messages-server.mjs';
import { obedient } from '../helpers/obedient.ts';
import { Lab } from '../helpers/repo.ts';

const QUESTION = /Who implements this plan\?/;
/** What the hooks tell a model, when it is to ask. */
const OFFER = 'Before the first edit the user chooses';
const mayMount = process.getuid?.() === 0 && spawnSync('unshare', ['-m', 'true']).status === 0;
const NO_AUTO = { permissions: { disableAutoMode: 'disable' } };

describe.skipIf(!hasTmux)('exactly one question, whatever speaks first (needs tmux)', () => {
  let kimi: Awaited<ReturnType<typeof startModel>>;
  let messages: Awaited<ReturnType<typeof startMessages>>;
  let lab: Lab;
  let claude: Claude;

  beforeEach(async () => {
    // It does not get far: that a run begins is what is looked at.
    kimi = await startModel(() => ({ text: 'Done.' }));
    lab = new Lab({ 'greet.txt': 'hello\n' }, { kimi: 'real', config: kimiConfig(kimi.url) });
    claude = new Claude(lab);
    claude.prepare();
    await lab.run(['install'], { env: { PATH: claude.environment('').at(0)?.slice(5) ?? '' } });
    messages = await startMessages(obedient());
  });
  afterEach(async () => {
    await claude.stop();
    await messages.close();
    await kimi.close();
    lab.remove();
  });

  const toDialog = async (options: Partial<ClaudeOptions> = {}): Promise<void> => {
    await claude.start({ url: messages.url, ...options });
    await claude.say('please plan');
    await claude.see(/Would you like to\s+proceed/, 40_000);
  };
  const sent = (): string => JSON.stringify(messages.requests.at(-1) ?? '');
  const kimiBegins = async (): Promise<void> => {
    await claude.see(/Kimi implements "Polite greetings"/, 60_000);
    expect(sent()).not.toContain(OFFER);
  };
  const questions = (): number => claude.screen().split(QUESTION).length - 1;
  const asked = async (): Promise<void> => {
    await claude.see(QUESTION, 40_000);
    expect(questions()).toBe(1);
  };

  it.each([
    ['approved', '2'],
    ['auto mode', '1'],
  ])('%s', async (_name, key) => {
    await toDialog();
    await claude.choose(key);
    await asked();
    await claude.choose('1');
    await kimiBegins();
  });

  it('Claude: the model goes on, and nobody asks again', async () => {
    await toDialog();
    await claude.choose('2');
    await asked();
    await claude.choose('2');
    await claude.see(/NO OFFER/, 30_000);
    expect(sent()).not.toContain(OFFER);
    expect((await lab.run(['status'])).stdout).toContain('No runs');
  });

  it('"kimi" with the approval asks nothing', async () => {
    await toDialog({ settings: NO_AUTO });
    await claude.choose('3');
    await claude.write('kimi');
    await claude.choose('BTab');
    await kimiBegins();
    expect(questions()).toBe(0);
  });

  it('other words with the approval: asked all the same', async () => {
    await toDialog({ settings: NO_AUTO });
    await claude.choose('3');
    await claude.write('be careful');
    await claude.choose('BTab');
    await asked();
    await claude.choose('1');
    await kimiBegins();
  });

  it('clear context', async () => {
    await toDialog({ settings: { ...NO_AUTO, showClearContextOnPlanAccept: true } });
    await claude.see(/clear context/);
    await claude.choose('1');
    await asked();
    await claude.choose('1');
    await kimiBegins();
  });

  it('typed: the profile and the words reach the run', async () => {
    await toDialog();
    await claude.choose('2');
    await asked();
    await claude.choose('3');
    await claude.write('kimi, swarm profile, but keep the API');
    await claude.choose('Enter');
    await kimiBegins();
    expect((await lab.run(['wait', '@last'])).stdout).toContain('of 300 steps');
    const { folder } = (await lab.result()).files;
    expect(readFileSync(join(folder, 'spec.md'), 'utf8')).toContain('The user adds: keep the API');
  });

  it('Esc starts nothing, neither Kimi nor Claude; "kimi" afterwards does', async () => {
    await toDialog();
    await claude.choose('2');
    await asked();
    await claude.choose('Escape');
    await claude.see(/Nothing was chosen/, 30_000);
    expect(messages.requests).toHaveLength(2);
    await claude.say('kimi');
    await kimiBegins();
  });

  it('a rejected plan is not asked about, its successor once', async () => {
    await toDialog();
    await claude.choose('3');
    await claude.write('more detail');
    await claude.choose('Enter');
    await claude.see(/In more detail/, 30_000);
    await claude.see(/Would you like to proceed/);
    expect(questions()).toBe(0);
    await claude.choose('2');
    await asked();
  });

  it('all hooks off by the user: nobody asks', async () => {
    await toDialog({ settings: { disableAllHooks: true } });
    await claude.choose('2');
    await claude.see(/NO OFFER/, 30_000);
    expect(questions()).toBe(0);
  });

  it.skipIf(!mayMount)('mods off by policy: the hooks have the model ask, once (needs root)', async () => {
    const options = { allowManagedModsOnly: true };
    await toDialog({ managed: { pluginConfigs: { 'cc-plugin-sec-default@builtin': { options } } } });
    await claude.choose('2');
    await asked();
    expect(sent().split(OFFER)).toHaveLength(2);
  });

  it('80 columns and 24 rows hold dialog and band', async () => {
    await toDialog({ size: [80, 24] });
    await claude.choose('2');
    await asked();
    await claude.choose('1');
    await kimiBegins();
    await claude.see(/\[ Discard \]/, 60_000);
  });

  it('a session that is resumed has the band, and takes no turn by itself', async () => {
    await toDialog();
    await claude.choose('2');
    await asked();
    await claude.choose('1');
    await kimiBegins();
    await claude.stop();
    await lab.run(['wait', '@last']);
    const before = messages.requests.length;
    await claude.start({ url: messages.url, args: ['--continue'] });
    await claude.see(/\[ Discard \]/, 60_000);
    await claude.say('look at this');
    await claude.see(/HEARD YOU/);
    expect(messages.requests.length).toBe(before + 1);
    claude.key('C-x', 'Tab');
    await claude.choose('x');
    await claude.see(/Discarded \d{6}/, 60_000);
    expect((await lab.run(['status'])).stdout).toContain('discarded');
  });

  it('installed beside an open session, /reload-plugins is enough', async () => {
    await lab.run(['uninstall']);
    await claude.start({ url: messages.url });
    await lab.run(['install'], { env: { PATH: claude.environment('').at(0)?.slice(5) ?? '' } });
    await claude.say('/reload-plugins');
    await claude.see(/[Rr]eloaded/, 30_000);
    await claude.say('please plan');
    await claude.see(/Would you like to\s+proceed/, 40_000);
    await claude.choose('2');
    await asked();
  });
});
