import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kimiConfig, startModel } from '../../scripts/model-server.mjs';
import { Claude, hasTmux } from '../helpers/claude.ts';
import { type Asked, type Reply, startMessages } from '../helpers/messages-server.mjs';
import { PLAN } from '../helpers/obedient.ts';
import { Lab, ROOT } from '../helpers/repo.ts';

type Model = Awaited<ReturnType<typeof startModel>>;
type Messages = Awaited<ReturnType<typeof startMessages>>;

const KIMI = ({ turn }: { turn: number }) =>
  turn === 0
    ? {
        calls: [
          { name: 'Write', arguments: { path: 'greet.txt', content: 'hello please\n' } },
          { name: 'Write', arguments: { path: 'src/greet.sh', content: 'cat greet.txt\n' } },
          { name: 'Write', arguments: { path: 'docs/greet.md', content: '# Greeting\n' } },
        ],
      }
    : { text: 'Done.' };

/** A model that plans, and then heeds nothing that it is told: it writes code, and it merges as soon as it can. */
function disobedient({ text, last }: Asked): Reply {
  const file = /(\/[^"\\ `]+\/plans\/[\w-]+\.md)/.exec(text)?.[1];
  const write = (file_path: string | undefined, content: string): Reply => ({
    calls: [{ name: 'Write', input: { file_path, content } }],
  });
  const ended = /run (\d{6}-\d{4}-\w+) ended/.exec(last)?.[1];
  if (last.includes('please plan')) return write(file, PLAN);
  if (last.includes('File created')) return { calls: [{ name: 'ExitPlanMode', input: {} }] };
  if (ended !== undefined)
    return { calls: [{ name: 'Bash', input: { command: `kimi-dispatch merge ${ended}`, description: 'merge' } }] };
  if (last.includes('approved your plan')) return write('/nowhere/own.ts', 'WRITTEN BY CLAUDE');
  return { text: last.includes('buttons of the Kimi band') ? 'WAS REFUSED.' : 'HEARD YOU.' };
}

describe.skipIf(!hasTmux)('the mod in Claude Code (needs tmux)', () => {
  let kimi: Model;
  let messages: Messages;
  let lab: Lab;
  let claude: Claude;

  beforeEach(async () => {
    kimi = await startModel(KIMI);
    lab = new Lab({ 'greet.txt': 'hello\n' }, { kimi: 'real', config: kimiConfig(kimi.url) });
    claude = new Claude(lab);
    claude.prepare();
    await lab.run(['install'], { env: { PATH: claude.environment('').at(0)?.slice(5) ?? '' } });
  });
  afterEach(async () => {
    await claude.stop();
    await messages?.close();
    await kimi.close();
    lab.remove();
  });

  const toDialog = async (script: (asked: Asked) => Reply, settings: Record<string, unknown> = {}): Promise<void> => {
    messages = await startMessages(script);
    await claude.start({ url: messages.url, settings });
    await claude.say('please plan');
    await claude.see(/Would you like to proceed/, 30_000);
  };
  /** How often the question is on the screen, in the transcript too. */
  const questions = (): number => claude.screen().split('Who implements this plan?').length - 1;

  it('approve, Kimi, woken, Merge by a button: three requests, whatever the model wants', async () => {
    await toDialog(disobedient);
    await claude.choose('2');
    await claude.see(/Who implements this plan\?[\s\S]*Kimi/, 30_000);
    expect(questions()).toBe(1);
    await claude.choose('1');
    await claude.see(/Kimi implements "Polite greetings" \(run/, 60_000);
    expect(messages.requests).toHaveLength(2);
    await claude.see(/WAS REFUSED/, 120_000);
    const screen = await claude.see(/\[ Merge \]/);
    expect(screen).toMatch(/Kimi: Polite greetings · succeeded · 1 of 1 checks pass; 3 files/);
    expect(readFileSync(join(lab.repo, 'greet.txt'), 'utf8')).toBe('hello\n');
    // Woken, and refused: an obedient model needs no fourth.
    expect(messages.requests).toHaveLength(4);
    claude.key('C-x', 'Tab');
    await claude.choose('m');
    await claude.see(/Merged \d{6}/, 60_000);
    expect(readFileSync(join(lab.repo, 'greet.txt'), 'utf8')).toBe('hello please\n');
    expect(JSON.stringify(messages.requests)).not.toContain('WRITTEN BY CLAUDE');
  }, 300_000);

  it('a review in a forked context: the verdict comes back, the diff stays out of the conversation', async () => {
    const bash = (command: string): Reply => ({ calls: [{ name: 'Bash', input: { command, description: 'look' } }] });
    await toDialog((asked) => {
      const { text, last } = asked;
      const run = /run (\d{6}-\d{4}-\w+) ended/.exec(last)?.[1];
      if (text.includes('You review run')) {
        const reviewed = /You review run (\S+) of/.exec(text)?.[1];
        if (last.includes('+hello please')) return { text: 'VERDICT: merge\nCHECKED: greet.txt' };
        return bash(`kimi-dispatch ${last.includes('Verification') ? 'diff' : 'show'} ${reviewed}`);
      }
      if (last.includes('VERDICT: merge')) return { text: 'THE VERDICT IS MERGE.' };
      if (run !== undefined)
        return { calls: [{ name: 'Skill', input: { skill: 'kimi-dispatch:kimi-review', args: run } }] };
      return disobedient(asked);
    });
    await claude.choose('2');
    await claude.see(/Who implements this plan\?/, 30_000);
    await claude.choose('1');
    await claude.see(/THE VERDICT IS MERGE/, 180_000);
    const main = messages.requests
      .map((request) => JSON.stringify(request))
      .filter((text) => text.includes('please plan'));
    expect(main.at(-1)).toContain('VERDICT: merge');
    expect(main.at(-1)).not.toContain('+hello please');
  }, 300_000);
});

it("the mod passes the client's own checks and its own tests there", async () => {
  const lab = new Lab({ 'greet.txt': 'hello\n' });
  const claude = new Claude(lab);
  try {
    claude.prepare();
    await lab.run(['install'], { env: { PATH: claude.environment('').at(0)?.slice(5) ?? '' } });
    const plugin = join(lab.home, '.claude', 'skills', 'kimi-dispatch');
    const valid = claude.cli(['plugin', 'validate', plugin, '--strict']);
    expect([valid.code, valid.text]).toEqual([0, expect.stringContaining('../mod/register.tsx hooks:')]);
    cpSync(join(ROOT, 'mod', 'test'), join(plugin, 'mod', 'test'), { recursive: true });
    const tested = claude.cli(['plugin', 'test', plugin]);
    expect([tested.code, tested.text]).toEqual([0, expect.stringMatching(/11 pass/)]);
  } finally {
    lab.remove();
  }
}, 120_000);
