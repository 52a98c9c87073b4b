import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Judge } from './model/judge.ts';
import { type Played, play } from './model/kill.ts';
import type { Violation } from './model/laws.ts';
import { type Script, type Step, shorter, type Work } from './model/script.ts';
import { userAct } from './model/user.ts';
import { makeWorld } from './model/world.ts';
import { type Lab, ROOT } from './repo.ts';

/** What came of one sequence. */
export interface Story {
  /** Each step in one line, violations in lines of their own. */
  readonly lines: readonly string[];
  readonly violations: readonly Violation[];
  /** Commands and acts that were carried out. */
  readonly steps: number;
  /** How often each command ended with each exit code, as `merge 0`. */
  readonly ends: Readonly<Record<string, number>>;
  /** Commands that were killed on their way. */
  readonly killed: number;
}

const TEXTS: Record<Work['text'], string> = {
  plain: 'the worker wrote this\n',
  crlf: 'the worker wrote\r\nthis\r\n',
  mixed: 'the worker\r\nwrote this\n',
  binary: 'worker \0\u0001\u00ff',
  empty: '',
  broken: 'broken by the worker\n',
};
const WITNESS = join(ROOT, 'test', 'helpers', 'model', 'witness.mjs');

class Sequence {
  readonly #lab: Lab;
  readonly #judge: Judge;
  readonly #lines: string[] = [];
  readonly #ends: Record<string, number> = {};
  #count = 0;
  #killed = 0;
  #dead = false;

  constructor(lab: Lab) {
    this.#lab = lab;
    this.#judge = new Judge(lab);
  }

  async go(script: Script): Promise<Story> {
    this.#lines.push(`repository: ${script.tracked.join(', ')}; ${script.traits.join(', ') || 'plain'}`);
    for (const step of script.steps) if (!this.#dead) await this.#step(step);
    return {
      lines: this.#lines,
      violations: this.#judge.violations,
      steps: this.#count,
      ends: this.#ends,
      killed: this.#killed,
    };
  }

  async #step(step: Step): Promise<void> {
    const known = this.#judge.violations.length;
    this.#count += 1;
    if (step.do === 'user') this.#user(step);
    else await this.#command(step);
    for (const { kind, text } of this.#judge.violations.slice(known)) this.#lines.push(`   !! ${kind}: ${text}`);
  }

  #user({ act, path }: Extract<Step, { do: 'user' }>): void {
    const place = { lab: this.#lab, path, token: `t${this.#count}`, tree: this.#judge.worktree() };
    let said = '';
    try {
      const hand = userAct(act, place);
      if (hand !== undefined) this.#judge.byHand(hand);
    } catch {
      said = '  (could not)';
    }
    this.#lines.push(`the user: ${act} ${path}${said}`);
  }

  async #command(step: Exclude<Step, { do: 'user' }>): Promise<void> {
    const args = this.#arguments(step);
    if (args === undefined) return;
    if ('work' in step) this.#judge.workerComes(step.work.flatMap((work) => [work.path, work.to]));
    for (const name of ['seen.json', join('home', 'worked.json')])
      rmSync(join(this.#lab.folder, name), { force: true });
    const before = this.#judge.look();
    const kill = 'kill' in step ? step.kill : undefined;
    const ended = await play(this.#lab, args, kill);
    this.#say(step, args, ended);
    this.#dead = ended.hung;
    if (ended.killed) {
      this.#killed += 1;
      const recovered = await play(this.#lab, ['recover']);
      this.#say({ do: 'recover' }, ['recover'], recovered);
      this.#judge.afterKill(step.do, before, recovered);
    } else this.#judge.after(step, before, ended);
  }

  #say(step: Step, args: readonly string[], ended: Played): void {
    const end = ended.hung ? 'hung' : ended.killed ? 'killed' : `${ended.code}`;
    this.#ends[`${step.do} ${end}`] = (this.#ends[`${step.do} ${end}`] ?? 0) + 1;
    const why = /kimi-dispatch: (.*)/.exec(ended.stderr)?.[1] ?? '';
    const what = 'work' in step ? ` [${step.work.map(describe).join('; ')}]` : '';
    const where = ended.killed && 'kill' in step ? ` (${JSON.stringify(step.kill)})` : '';
    this.#lines.push(`kimi-dispatch ${args.join(' ')}${what} -> ${end}${where} ${why.slice(0, 160)}`.trimEnd());
  }

  /** The words of the command, with the files that it needs written; none where there is no run yet. */
  #arguments(step: Exclude<Step, { do: 'user' }>): string[] | undefined {
    if ('work' in step) {
      const acts = step.work.map((work) => ({ ...work, text: TEXTS[work.text] }));
      writeFileSync(join(this.#lab.home, 'acts.json'), JSON.stringify(acts));
    }
    if (step.do === 'run') {
      writeFileSync(join(this.#lab.folder, 'spec.md'), this.#judge.declare(step.work, WITNESS));
      return ['run', '../spec.md', '--no-baseline'];
    }
    if (step.do === 'recover') return ['recover'];
    if (this.#judge.run === undefined) return undefined;
    const name = this.#judge.run;
    if (step.do === 'merge') return ['merge', name, ...(step.flag === '' ? [] : [step.flag])];
    if (step.do === 'allow') return ['allow', name, step.path];
    if (step.do !== 'revise') return [step.do, name];
    writeFileSync(join(this.#lab.folder, 'findings.md'), 'Do it again. SCENARIO acts\n');
    return ['revise', name, '--findings', '../findings.md'];
  }
}

const describe = (work: Work): string =>
  `${work.declared ? '' : 'undeclared '}${work.do} ${work.path}${work.do === 'rename' ? ` to ${work.to}` : ''}${
    work.do === 'write' && work.text !== 'plain' ? ` (${work.text})` : ''
  }${work.do === 'nested' && work.commit ? ' with a commit' : ''}`;

/** Plays a sequence in a repository of its own, with real git and the real program, and judges every step. */
export async function playScript(script: Script): Promise<Story> {
  const lab = makeWorld(script);
  try {
    return await new Sequence(lab).go(script);
  } finally {
    lab.remove();
  }
}

/** The shortest script found within the time (in milliseconds) that still breaks a law in the same way, with its story. */
export async function shorten(
  script: Script,
  same: (violation: Violation) => boolean,
  ms: number,
): Promise<{ script: Script; story: Story }> {
  const end = Date.now() + ms;
  let best = { script, story: await playScript(script) };
  for (let again = true; again; ) {
    again = false;
    for (const candidate of shorter(best.script)) {
      if (Date.now() > end) return best;
      const story = await playScript(candidate);
      if (!story.violations.some(same)) continue;
      best = { script: candidate, story };
      again = true;
      break;
    }
  }
  return best;
}
