import { statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { refuse } from '../errors.ts';
import { git, gitAnswer } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { quote, subject } from '../quote.ts';
import type { Judge } from '../run/judge.ts';
import { distrustSlot } from '../run/tree.ts';
import type { Result } from './result.ts';

export interface KeepCall {
  readonly repo: Repo;
  readonly run: RunState;
  readonly judge: Judge;
  readonly style: 'squash' | 'no-ff';
}

interface Wanted {
  readonly tip: string;
  readonly tree: string;
  readonly message: string;
}

/** The commit that a person keeps: with the user's identity, signing and hooks. Nothing of the checkout is touched. */
export async function keepCommit(call: KeepCall, wanted: Wanted): Promise<string> {
  const { repo, run, style } = call;
  const hooks = await hooksFolder(repo);
  const squashed = hooksIn(hooks).some((name) => name !== 'post-merge')
    ? await commitWithHooks(call, wanted, hooks)
    : await plain(repo, wanted);
  if (style === 'squash') return squashed;
  const message = await git(repo, ['log', '-1', '--format=%B', squashed]);
  const parents = ['-p', wanted.tip, '-p', run.commit ?? ''];
  return commitTree(repo, [`${squashed}^{tree}`, ...parents, '-m', `Merge ${run.branch}\n\n${message}`]);
}

const plain = (repo: Repo, { tree, tip, message }: Wanted): Promise<string> =>
  commitTree(repo, [tree, '-p', tip, '-m', message]);

/** `commit-tree` signs only when it is told to, whatever `commit.gpgSign` says. */
async function commitTree(repo: Repo, args: readonly string[]): Promise<string> {
  const set = await gitAnswer(repo, ['config', '--bool', 'commit.gpgSign'], {
    answers: [1],
    honour: true,
    quiet: true,
  });
  const sign = set.stdout.trim() === 'true' ? ['-S'] : [];
  return git(repo, ['commit-tree', ...sign, ...args], { honour: true }).catch((error: unknown) => {
    throw refused(error);
  });
}

/** The user's hooks run as the user, in a worktree that holds the change: nothing later trusts what lies there. */
async function commitWithHooks({ judge }: KeepCall, { tip, tree, message }: Wanted, hooks: string): Promise<string> {
  const place = await judge.place(tip);
  distrustSlot(place.dir);
  await git(place, ['read-tree', '-u', '--reset', tree], { quiet: true });
  const args = ['-c', `core.hooksPath=${hooks}`, 'commit', '-q', '--allow-empty', '-m', message];
  await git(place, args, { honour: true, quiet: true }).catch((error: unknown) => {
    throw refused(error);
  });
  return git(place, ['rev-parse', 'HEAD']);
}

const refused = (error: unknown): Error =>
  refuse(
    'wrong-state',
    `The commit was refused (hooks and signing of this repository apply): ${error instanceof Error ? error.message : ''}`,
    'Correct what the hook names, then merge again; another message: --message TEXT',
  );

const AT_COMMIT = ['pre-commit', 'prepare-commit-msg', 'commit-msg', 'post-commit', 'post-merge'];

/** Hooks that run at a commit. */
export const hooksIn = (folder: string): string[] =>
  AT_COMMIT.filter((name) => {
    const stat = statSync(join(folder, name), { throwIfNoEntry: false });
    return stat?.isFile() === true && (stat.mode & 0o111) !== 0;
  });

/** `core.hooksPath` is relative to the checkout, not to a worktree of ours. */
export async function hooksFolder(repo: Repo): Promise<string> {
  const set = (
    await gitAnswer(repo, ['config', '--get', '--path', 'core.hooksPath'], { answers: [1], honour: true })
  ).stdout.trim();
  if (set === '') return join(repo.commonDir, 'hooks');
  return isAbsolute(set) ? set : join(repo.root, set);
}

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
