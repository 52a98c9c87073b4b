import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isWritable, locateCommonDir } from '../git/locate.ts';
import type { RunState } from '../ledger/events.ts';
import { commandFor, type Need, needOf, stateOf } from '../ledger/state.ts';
import { listRuns } from '../ledger/store.ts';
import { mailboxFolder } from '../mailbox/signal.ts';
import { type Words, wordsFor } from '../text.ts';
import type { World } from '../world.ts';

type Options = Record<string, unknown>;

/** The common git directory, found by looking where that is possible: lists must be fast. */
export async function commonDirOf(world: World): Promise<string> {
  const plain = world.env.GIT_DIR === undefined ? locateCommonDir(world.cwd) : undefined;
  if (plain !== undefined && isWritable(plain)) return plain;
  return (await (await import('./look.ts')).repoOf(world)).commonDir;
}

/** The user's language: the environment, else `language` in the settings file (read without a TOML parser). */
export function languageOf(env: World['env']): string | undefined {
  if (env.KIMI_DISPATCH_LANG !== undefined) return env.KIMI_DISPATCH_LANG;
  const file = join(env.XDG_CONFIG_HOME ?? join(env.HOME ?? '/', '.config'), 'kimi-dispatch', 'config.toml');
  return existsSync(file) ? /^language\s*=\s*"(\w+)"/m.exec(readFileSync(file, 'utf8'))?.[1] : undefined;
}

/** `status`: one line for each run that was not discarded, newest last. Imports nothing heavy. */
export async function statusCommand(world: World, _args: readonly string[], options: Options): Promise<number> {
  const words = wordsFor(languageOf(world.env));
  const all = listRuns(await commonDirOf(world)).filter((run) => run.review !== 'discarded');
  const runs = options.json === true ? all : all.filter((run) => run.parent === undefined);
  if (options.json === true) {
    const data = runs.map((run) => ({ ...run, state: stateOf(run, wordsFor('en')) }));
    world.out(`${JSON.stringify({ version: 1, runs: data })}\n`);
    return 0;
  }
  if (runs.length === 0) world.out(`${words.noRuns}\n`);
  world.out(runs.map((run) => `${run.id}  ${stateOf(run, words).padEnd(20)}  ${run.title}\n`).join(''));
  return 0;
}

/** `summary`: what waits for the person, with the exact command for each. */
export async function summaryCommand(world: World, _args: readonly string[], options: Options): Promise<number> {
  const runs = listRuns(await commonDirOf(world)).filter((run) => run.parent === undefined);
  if (options.json === true) {
    const waiting = runs
      .map((run) => ({ run: run.id, title: run.title, need: needOf(run), command: commandFor(run) }))
      .filter((row) => row.need !== 'nothing');
    world.out(`${JSON.stringify({ version: 1, waiting })}\n`);
    return 0;
  }
  // Escalations and mail first: a person decides them.
  world.out((await mailText(world)) + summaryText(runs, wordsFor(languageOf(world.env))));
  return 0;
}

/** Escalations first, then unread mail and open tasks; nothing where the mailbox was never used. */
export async function mailText(world: World): Promise<string> {
  if (!existsSync(join(mailboxFolder(world.env), 'journal.ndjson'))) return '';
  const { Mailbox } = await import('../mailbox/store.ts');
  const words = wordsFor(languageOf(world.env));
  const box = new Mailbox(world.env, world.now);
  const view = box.read();
  const escalated = [...view.messages.values()].filter((message) => message.escalation !== undefined);
  const unread = box.inboxPage('claude', 0).count;
  const tasks = [...view.tasks.values()].filter((task) => !['approved', 'cancelled'].includes(task.state)).length;
  const lines = escalated
    .slice(0, 5)
    .map((message) => `${words.escalated}: ${message.subject.slice(0, 50)}\n      kimi-dispatch resolve ${message.id}`);
  return `${[...lines, `${words.mail}: ${unread}  ${words.tasks}: ${tasks}`].join('\n')}\n`;
}

/** The summary as text, at most 80 columns where the commands allow it. */
export function summaryText(runs: readonly RunState[], words: Words): string {
  if (runs.length === 0) return `${words.noRuns}\n`;
  const groups: [Need, string][] = [
    ['answer', words.toAnswer],
    ['review', words.toReview],
    ['mend', words.toMend],
    ['work', words.atWork],
  ];
  const lines = groups.flatMap(([need, title]) => {
    const here = runs.filter((run) => needOf(run) === need);
    if (here.length === 0) return [];
    // The newest of each group; the rest waits its turn.
    const shown = here.slice(-20);
    const rest = here.length > shown.length ? [`  + ${here.length - shown.length}`] : [];
    return [
      `${title}:`,
      ...rest,
      ...shown.flatMap((run) => [
        `  ${run.id}  ${stateOf(run, words)}  ${run.title.slice(0, 40)}`,
        `      ${commandFor(run)}`,
      ]),
    ];
  });
  const count = (review: RunState['review']): number => runs.filter((run) => run.review === review).length;
  const done = `${words.done}: ${count('merged')} ${words.mergedCount}, ${count('discarded')} ${words.discardedCount}`;
  return `${[...(lines.length === 0 ? [words.nothingElse] : lines), done].join('\n')}\n`;
}
