import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kimiConfig, startModel } from '../../scripts/model-server.mjs';
import { Claude, hasTmux } from '../helpers/claude.ts';
import { type Asked, type Reply, startMessages } from '../helpers/messages-server.mjs';
import { PLAN } from '../helpers/obedient.ts';
import { Lab } from '../helpers/repo.ts';

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
});
