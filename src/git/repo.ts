import { createHash } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { refuse } from '../errors.ts';
import { readFilters } from './filters.ts';
import { fields, type GitPlace, git, gitAnswer } from './git.ts';
import { locateCommonDir } from './locate.ts';

export interface Repo extends GitPlace {
  /** The top of the checkout that the user stands in. */
  readonly root: string;
  readonly commonDir: string;
  /** The git directory of this checkout (differs from commonDir in a linked worktree). */
  readonly gitDir: string;
  /** Twelve hex digits, the same for all worktrees of a repository. */
  readonly id: string;
  readonly name: string;
}

const OLDEST = [2, 38] as const;

/** Finds the repository around a folder, or refuses and says what to do. */
export async function openRepo(dir: string, env: GitPlace['env']): Promise<Repo> {
  const place = { dir, env, filters: [], disk: [] };
  // Begun at once, and judged one after the other: each of them is a process.
  const answers = Promise.all([
    gitAnswer(place, ['rev-parse', '--is-bare-repository', '--git-common-dir', '--git-dir'], { answers: [128] }),
    gitAnswer(place, ['rev-parse', '--show-toplevel'], { answers: [128] }),
  ]);
  answers.catch(() => {});
  await requireGit(place);
  const [found, top] = await answers;
  if (found.code !== 0) {
    if (/dubious ownership/.test(found.stderr))
      throw refuse(
        'preflight',
        `git does not trust this folder: ${dir}`,
        `git config --global --add safe.directory ${dir}`,
      );
    if (!/not a git repository/i.test(found.stderr)) throw refuseFailing(dir, found.stderr);
    throw refuse('preflight', `Not a git repository: ${dir}`, 'git init && git add -A && git commit -m "First commit"');
  }
  const [bare, common = '', gitDir = ''] = found.stdout.trimEnd().split('\n');
  if (bare === 'true')
    throw refuse(
      'preflight',
      `A bare repository has no checkout to start from: ${dir}`,
      'git worktree add ../checkout, then run there',
    );
  const filters = await readFilters(place);
  const root = top.stdout.replace(/\n$/, '');
  const commonDir = realpathSync(join(common.startsWith('/') ? '' : dir, common));
  if (top.code !== 0 || locateCommonDir(root) !== commonDir)
    throw refuse(
      'preflight',
      top.code === 0
        ? `core.worktree of this repository names ${root}, from where git does not find it.`
        : `git finds no checkout of this repository: ${wordsOf(top.stderr)}`,
      unsetWorktree(commonDir),
    );
  const id = createHash('sha256').update(commonDir).digest('hex').slice(0, 12);
  return {
    dir: root,
    env,
    filters,
    // A config that came from another machine may lie about names, and git would lose files over it.
    disk: [`core.ignoreCase=${existsSync(join(commonDir, 'hEaD'))}`],
    root,
    commonDir,
    gitDir: realpathSync(join(gitDir.startsWith('/') ? '' : dir, gitDir)),
    id,
    name: basename(root),
  };
}

/** git's own words, where it does not get as far as looking for a repository. */
function refuseFailing(dir: string, stderr: string): Error {
  const commonDir = locateCommonDir(dir);
  const fix = /GIT_CONFIG/.test(stderr)
    ? 'unset GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS'
    : /Invalid path|chdir/.test(stderr) && commonDir !== undefined
      ? unsetWorktree(commonDir)
      : 'git status says what is wrong.';
  return refuse('preflight', `git fails here: ${wordsOf(stderr)}`, fix);
}

/** By the name of the file: while the setting is wrong, git does not get further in this repository. */
const unsetWorktree = (commonDir: string): string =>
  `git config --file '${join(commonDir, 'config')}' --unset core.worktree`;

const wordsOf = (stderr: string): string => stderr.trim().split('\n')[0] ?? '';

async function requireGit(place: GitPlace): Promise<void> {
  const text = await git(place, ['version']).catch((error: unknown) => {
    throw refuse('preflight', `git does not start: ${String(error)}`, 'Install git 2.38 or newer.');
  });
  const [major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(text)?.slice(1) ?? []).map(Number);
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return;
  throw refuse(
    'preflight',
    `git ${major}.${minor} is too old: merging needs \`git merge-tree --write-tree\`.`,
    'Install git 2.38 or newer.',
  );
}

/** The commit of a base, or a refusal when it is unknown or in the middle of a merge or rebase. */
export async function resolveBase(repo: Repo, ref: string): Promise<string> {
  const head = await gitAnswer(repo, ['rev-parse', '--verify', '-q', 'HEAD^{commit}'], { answers: [1, 128] });
  if (head.code !== 0 && ref === 'HEAD')
    throw refuse('preflight', 'This repository has no commits yet.', 'git add -A && git commit -m "First commit"');
  if (ref === 'HEAD') {
    refuseUnfinished(repo);
    return head.stdout.trim();
  }
  const found = await gitAnswer(repo, ['rev-parse', '--verify', '-q', '--end-of-options', `${ref}^{commit}`], {
    answers: [1, 128],
  });
  if (found.code === 0) return found.stdout.trim();
  throw refuse('preflight', `Unknown base: ${ref}`, 'Name a branch, tag or commit: --base main');
}

/** A branch named `kimi` leaves no room for the branches of runs, which are called `kimi/...`. */
export async function refuseKimiBranch(repo: Repo): Promise<void> {
  const found = await gitAnswer(repo, ['rev-parse', '-q', '--verify', 'refs/heads/kimi'], {
    answers: [1, 128],
  });
  if (found.code === 0)
    throw refuse(
      'preflight',
      'A branch named kimi stands where the branches of runs belong (kimi/...).',
      'git branch -m kimi another-name',
    );
}

/** What git calls a state in progress in its own commands, by the file that tells it; `am` is told before `rebase`. */
const UNFINISHED = [
  ['MERGE_HEAD', 'merge'],
  ['rebase-merge', 'rebase'],
  ['rebase-apply/applying', 'am'],
  ['rebase-apply', 'rebase'],
  ['CHERRY_PICK_HEAD', 'cherry-pick'],
  ['REVERT_HEAD', 'revert'],
  // Between two of several commits only the list of them is left.
  ['sequencer', 'cherry-pick'],
  ['BISECT_START', 'bisect'],
] as const;

/** Refuses in the middle of a merge, rebase, cherry-pick, revert, bisection, or of applying patches. */
export function refuseUnfinished(repo: Repo): void {
  const command = UNFINISHED.find(([file]) => existsSync(join(repo.gitDir, file)))?.[1];
  if (command === undefined) return;
  throw refuse(
    'preflight',
    `A git ${command} is not finished in this checkout.`,
    command === 'bisect' ? 'git bisect reset' : `git ${command} --continue, or git ${command} --abort`,
  );
}

/** Paths of the checkout that differ from HEAD or are untracked; they are not in a run's worktree. */
export async function uncommitted(repo: GitPlace): Promise<string[]> {
  const out = await git(repo, ['status', '--porcelain=v1', '-z', '--untracked-files=all', '--no-renames']);
  return fields(out).map((entry) => entry.slice(3));
}

/** The files of a commit: path → mode (`100644`, `100755`, `120000`, `160000`). */
export async function filesOf(place: GitPlace, commit: string): Promise<Map<string, string>> {
  const out = await git(place, ['ls-tree', '-r', '-z', '--full-tree', commit]);
  return new Map(
    fields(out).map((entry) => {
      const tab = entry.indexOf('\t');
      return [entry.slice(tab + 1), entry.slice(0, 6)];
    }),
  );
}

/** The text of a file at a commit, or undefined when it is not there. */
export async function fileAt(place: GitPlace, commit: string, path: string): Promise<string | undefined> {
  const answer = await gitAnswer(place, ['cat-file', 'blob', `${commit}:${path}`], { answers: [128] });
  return answer.code === 0 ? answer.stdout : undefined;
}
