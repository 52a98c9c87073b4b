import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { type GitPlace, git, gitAnswer } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { quote, subject } from '../quote.ts';
import { agreed, notAgreed } from '../run/agreement.ts';
import type { Judge } from '../run/judge.ts';
import { distrustSlot } from '../run/tree.ts';
import { BEFORE, hooksFolder, hooksIn, runHooks } from './hooks.ts';
import type { Result } from './result.ts';

export interface KeepCall {
  readonly repo: Repo;
  readonly run: RunState;
  readonly judge: Judge;
  readonly style: 'squash' | 'no-ff';
  /** Carries out what runs the user's hooks, which may run what the change brings. */
  readonly watched: <T>(act: () => Promise<T>) => Promise<T>;
}

interface Wanted {
  readonly tip: string;
  readonly tree: string;
  readonly message: string;
}

/**
 * The commit that a person keeps: with the user's identity, signing and hooks. Nothing of the checkout is touched.
 * The hooks are those that git runs for `git commit`, or for `git merge --no-ff`.
 */
export async function keepCommit(call: KeepCall, wanted: Wanted): Promise<string> {
  const { repo, run, style } = call;
  const folder = await hooksFolder(repo);
  const asked = hooksIn(folder, BEFORE[style]).length > 0;
  const { tree, message } = asked ? await call.watched(() => askHooks(call, wanted, folder)) : wanted;
  const parents = [wanted.tip, ...(style === 'no-ff' ? [run.commit ?? ''] : [])].flatMap((parent) => ['-p', parent]);
  // `commit-tree` signs only when it is told to, whatever `commit.gpgSign` says.
  const signs = ['config', '--bool', 'commit.gpgSign'];
  const set = await gitAnswer(repo, signs, { answers: [1], honour: true });
  const sign = set.stdout.trim() === 'true' ? ['-S'] : [];
  const args = ['commit-tree', ...sign, tree, ...parents, '-F', '-'];
  return git(repo, args, { honour: true, input: message }).catch((error: unknown) => {
    throw refused(error);
  });
}

/** What the user's hooks make of a commit of Kimi's work: inside the sandbox, or as the user where the user agreed to it. */
async function askHooks(call: KeepCall, wanted: Wanted, hooks: string): Promise<Wanted> {
  const { repo, run, judge, style } = call;
  const { tip, tree, message } = wanted;
  const { place, enclosure, env } = await judge.lend(tip);
  await git(place, ['read-tree', '-u', '--reset', tree]);
  if (agreed(repo.env)) return askOutside(call, wanted, { place, hooks });
  if (enclosure === undefined) throw notAgreed(`Your commit hooks (${hooksIn(hooks, BEFORE[style]).join(', ')})`);
  const dir = place.dir;
  return { tip, ...(await runHooks({ repo, run: run.id, enclosure, env, dir, tree, message, hooks, style })) };
}

async function askOutside(
  { run, style }: KeepCall,
  { tip, message }: Wanted,
  { place, hooks: folder }: { readonly place: GitPlace; readonly hooks: string },
): Promise<Wanted> {
  distrustSlot(place.dir);
  const own = await git(place, ['rev-parse', '--absolute-git-dir']);
  const file = join(own, style === 'squash' ? 'COMMIT_EDITMSG' : 'MERGE_MSG');
  const env = { GIT_INDEX_FILE: join(own, 'index'), GIT_EDITOR: ':' };
  const ask = (name: string, ...args: string[]): Promise<string> =>
    git(place, ['-c', `core.hooksPath=${folder}`, 'hook', 'run', '--ignore-missing', name, '--', ...args], {
      env,
      honour: true,
    }).catch((error: unknown) => {
      throw new Error(String(error).replace('Error: git hook', name));
    });
  writeFileSync(file, `${message}\n`);
  if (style === 'no-ff') writeFileSync(join(own, 'MERGE_HEAD'), `${run.commit}\n`);
  try {
    await ask(style === 'squash' ? 'pre-commit' : 'pre-merge-commit');
    await ask('prepare-commit-msg', file, style === 'squash' ? 'message' : 'merge');
    await ask('commit-msg', file);
    const said = await git(place, ['stripspace'], { input: readFileSync(file, 'utf8') });
    if (said === '') throw new Error('the hooks left an empty message');
    return { tip, tree: await git(place, ['write-tree']), message: said };
  } catch (error) {
    throw refused(error);
  } finally {
    rmSync(file, { force: true });
    rmSync(join(own, 'MERGE_HEAD'), { force: true });
  }
}

/** `post-commit` cannot refuse anything any more; git runs `post-merge` itself, when the checkout moves. */
export async function afterCommit(repo: Repo, style: KeepCall['style']): Promise<void> {
  if (style === 'no-ff') return;
  const args = ['hook', 'run', '--ignore-missing', 'post-commit'];
  await git(repo, args, { honour: true }).catch(() => undefined);
}

const refused = (error: unknown): Error =>
  /identity unknown|auto-detection is disabled|empty ident/.test(String(error))
    ? refuse(
        'wrong-state',
        'git does not know who makes the commit.',
        'git config --global user.name "..." and user.email "...", then merge again',
      )
    : refuseCommit(error);

const refuseCommit = (error: unknown): Error =>
  refuse(
    'wrong-state',
    `The commit was refused (hooks and signing of this repository apply): ${error instanceof Error ? error.message : ''}`,
    'Correct what the hook names, then merge again; another message: --message TEXT',
  );

/** What a commit says: the title, what each task of a run in waves did, and where it came from. */
export function messageOf(result: Result): string {
  const tasks = (result.tasks ?? []).map(({ task, state, why }) =>
    state === 'integrated'
      ? `- Task ${task}: integrated`
      : `- Task ${task}: ${state}${why === '' ? '' : `, ${quote(why, 200)}`}`,
  );
  return [
    subject(result.title) || 'Kimi run',
    ...(tasks.length === 0 ? [] : [tasks.join('\n')]),
    [
      `Kimi-Dispatch-Run: ${result.run}`,
      `Kimi-Dispatch-Spec: sha256:${result.spec.digest}`,
      ...(result.kimi === undefined ? [] : [`Kimi-Version: ${quote(result.kimi.version, 40)}`]),
    ].join('\n'),
  ].join('\n\n');
}
