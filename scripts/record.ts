// Records the hand-over in the real Claude Code with scripted models, as an asciinema cast and as an animated SVG:
// npm run record. Frames are what tmux shows; nothing is drawn by hand.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { markup } from '../src/quote.ts';
import { Claude } from '../test/helpers/claude.ts';
import { type Asked, type Reply, startMessages } from '../test/helpers/messages-server.mjs';
import { PLAN } from '../test/helpers/obedient.ts';
import { Lab, ROOT } from '../test/helpers/repo.ts';
import { kimiConfig, startModel } from './model-server.mjs';

const [COLUMNS, ROWS] = [100, 30];

interface Frame {
  /** Seconds since the beginning. */
  readonly at: number;
  readonly text: string;
}

const write = (path: string, content: string) => ({ name: 'Write', arguments: { path, content } });
const kimiScript = ({ turn }: { turn: number }) =>
  turn === 0
    ? { calls: [write('greet.txt', 'hello please\n'), write('src/greet.sh', 'cat greet.txt\n')] }
    : turn === 1
      ? { calls: [write('docs/greet.md', '# Greeting\n')] }
      : { text: 'Done.' };

function claudeScript({ text, last }: Asked): Reply {
  const file = /(\/[^"\\ `]+\/plans\/[\w-]+\.md)/.exec(text)?.[1];
  if (/run \d{6}-\d{4}-\w+ ended/.test(last))
    return { text: 'The change does what the plan asks, and its check passes. Press Merge to take it.' };
  if (last.includes('File created')) return { calls: [{ name: 'ExitPlanMode', input: {} }] };
  return { calls: [{ name: 'Write', input: { file_path: file, content: PLAN } }] };
}

async function record(): Promise<Frame[]> {
  const kimi = await startModel(kimiScript);
  const messages = await startMessages(claudeScript);
  const lab = new Lab({ 'greet.txt': 'hello\n' }, { kimi: 'real', config: kimiConfig(kimi.url) });
  const claude = new Claude(lab);
  const frames: Frame[] = [];
  const begun = Date.now();
  try {
    claude.prepare();
    await lab.run(['install'], { env: { PATH: claude.environment('').at(0)?.slice(5) ?? '' } });
    await claude.start({ url: messages.url, size: [COLUMNS, ROWS] });
    const timer = setInterval(() => {
      // Folders of the machine are no part of the story.
      const text = claude.screen().replaceAll(lab.repo, '~/greeter').replaceAll(lab.home, '~');
      if (text !== frames.at(-1)?.text) frames.push({ at: (Date.now() - begun) / 1000, text });
    }, 250);
    await claude.say('please plan polite greetings');
    await claude.see(/Would you like to\s+proceed/, 60_000);
    await claude.choose('2');
    await claude.see(/Who implements this plan/, 60_000);
    await claude.choose('1');
    await claude.see(/\[ Merge \]/, 120_000);
    await claude.see(/Press Merge/, 60_000);
    claude.key('C-x', 'Tab');
    await claude.choose('m');
    await claude.see(/Merged \d{6}/, 60_000);
    clearInterval(timer);
  } finally {
    await claude.stop();
    await messages.close();
    await kimi.close();
    lab.remove();
  }
  return frames;
}

/** Waiting is no part of the story: no frame stays longer than two seconds, and the last one four. */
function paced(frames: readonly Frame[]): Frame[] {
  let at = 0;
  return frames.map((frame, index) => {
    const shown = { at, text: frame.text };
    at += Math.min(2, (frames[index + 1]?.at ?? frame.at + 4) - frame.at);
    return shown;
  });
}

function cast(frames: readonly Frame[]): string {
  const head = { version: 2, width: COLUMNS, height: ROWS, title: 'kimi-dispatch in Claude Code' };
  const rows = frames.map(({ at, text }) => [at, 'o', `\u001b[2J\u001b[H${text.replaceAll('\n', '\r\n')}`]);
  return `${[head, ...rows].map((row) => JSON.stringify(row)).join('\n')}\n`;
}

function svg(frames: readonly Frame[]): string {
  const [wide, high] = [8.4, 18];
  const total = (frames.at(-1)?.at ?? 0) + 4;
  const percent = (at: number): string => ((at / total) * 100).toFixed(3);
  const groups = frames.map(({ at, text }, index) => {
    const end = frames[index + 1]?.at ?? total;
    const lines = text
      .split('\n')
      .map((line, row) => (line.trim() === '' ? '' : `<text y="${(row + 1) * high}">${markup(line)}</text>`));
    const keys = `0%,${percent(at)}%{opacity:0}${percent(at)}%,${percent(end)}%{opacity:1}${percent(end)}%,100%{opacity:0}`;
    return `<style>@keyframes f${index}{${keys}}</style><g style="animation:f${index} ${total.toFixed(1)}s step-end infinite">${lines.join('')}</g>`;
  });
  const [width, height] = [Math.ceil(COLUMNS * wide) + 24, ROWS * high + 32];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><style>text{font:14px monospace;fill:#ddd;white-space:pre}</style><rect width="100%" height="100%" rx="8" fill="#161616"/><g transform="translate(12 8)">${groups.join('\n')}</g></svg>\n`;
}

const frames = paced(await record());
mkdirSync(join(ROOT, 'docs'), { recursive: true });
writeFileSync(join(ROOT, 'docs', 'native.cast'), cast(frames));
writeFileSync(join(ROOT, 'docs', 'native.svg'), svg(frames));
