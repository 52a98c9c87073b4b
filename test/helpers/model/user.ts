import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Lab } from '../repo.ts';
import type { Step } from './script.ts';

type UserAct = Extract<Step, { do: 'user' }>['act'];

/** Something that the user made by hand where a run works: a file with bytes of its own, or a commit. */
export interface Hand {
  readonly text: string;
  readonly path: string;
  /** The commit that holds it; none for a file that was left uncommitted. */
  readonly commit?: string;
}

/** Where the user acts. `token` is new each time, so that all bytes of the user's can be told apart. */
export interface Place {
  readonly lab: Lab;
  readonly path: string;
  readonly token: string;
  /** The worktree of the last run, where there is one. */
  readonly tree: string | undefined;
}

const write = (folder: string, path: string, text: string): void => {
  const full = join(folder, path);
  mkdirSync(dirname(full), { recursive: true });
  // Through a link the bytes would go elsewhere, and a pipe would wait for a reader.
  if (lstatSync(full, { throwIfNoEntry: false })?.isFile() === false) rmSync(full);
  writeFileSync(full, text);
};

function begin(lab: Lab, token: string, how: (branch: string) => string[]): void {
  const branch = `side-${token}`;
  const here = lab.git('rev-parse', 'HEAD');
  const name = lab.git('rev-parse', '--abbrev-ref', 'HEAD');
  lab.git('switch', '-q', '-c', branch);
  write(lab.repo, 'base.txt', `theirs ${token}\n`);
  lab.git('commit', '-qm', 'Theirs', 'base.txt');
  lab.git('switch', '-q', ...(name === 'HEAD' ? ['--detach', here] : [name]));
  write(lab.repo, 'base.txt', `ours ${token}\n`);
  lab.git('commit', '-qm', 'Ours', 'base.txt');
  try {
    lab.git(...how(branch));
  } catch {
    // It stops at the conflict, as it shall.
  }
}

const checkout: Partial<Record<UserAct, (place: Place) => void>> = {
  edit: ({ lab, path, token }) => write(lab.repo, path, `the user wrote ${token}\n`),
  stage: ({ lab, path, token }) => {
    write(lab.repo, path, `the user staged ${token}\n`);
    lab.git('add', '-f', '--', path);
    if (token.endsWith('0')) write(lab.repo, path, `the user staged and wrote ${token}\n`);
  },
  remove: ({ lab, path }) => rmSync(join(lab.repo, path)),
  commit: ({ lab, path, token }) => {
    write(lab.repo, path, `the user committed ${token}\n`);
    lab.git('add', '-f', '--', path);
    lab.git('commit', '-qm', `User ${token}`, '--', path);
  },
  'commit-all': ({ lab, token }) => lab.commit(`All ${token}`),
  'edit-ignored': ({ lab, path, token }) => {
    write(lab.repo, '.git/info/exclude', `/${path}\n`);
    write(lab.repo, path, `the user wrote ${token}, and git ignores it\n`);
  },
  ignore: ({ lab, path }) => write(lab.repo, '.git/info/exclude', `/${path}\n`),
  'make-link': ({ lab, path }) => {
    mkdirSync(dirname(join(lab.repo, path)), { recursive: true });
    rmSync(join(lab.repo, path), { force: true });
    symlinkSync('base.txt', join(lab.repo, path));
  },
  switch: ({ lab, token }) => lab.git('switch', '-q', '-c', `user-${token}`),
  back: ({ lab }) => lab.git('switch', '-q', 'main'),
  detach: ({ lab }) => lab.git('switch', '-q', '--detach'),
  reset: ({ lab }) => lab.git('reset', '-q', '--hard', 'HEAD~1'),
  stash: ({ lab }) => lab.git('stash', '-q', '-u'),
  amend: ({ lab, token }) => lab.git('commit', '-q', '--amend', '--allow-empty', '-m', `Amended ${token}`),
  'merge-begun': ({ lab, token }) => begin(lab, token, (branch) => ['merge', '-q', branch]),
  'rebase-begun': ({ lab, token }) => begin(lab, token, (branch) => ['rebase', '-q', branch]),
};

/** Does what a user would do, or throws where that cannot be done now. What was made by hand is returned. */
export function userAct(act: UserAct, place: Place): Hand | undefined {
  if (!act.startsWith('hand')) {
    checkout[act]?.(place);
    return undefined;
  }
  const { lab, path, token, tree } = place;
  if (tree === undefined || !existsSync(join(tree, '.git'))) throw new Error('there is no worktree');
  const text = `by hand ${token}\n`;
  write(tree, path, text);
  if (act === 'hand-edit') return { text, path: join(tree, path) };
  const git = (...args: string[]) =>
    execFileSync('git', args, {
      cwd: tree,
      env: lab.env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  if (act === 'hand-branch') git('switch', '-q', '-c', `hand-${token}`);
  git('add', '-f', '--', path);
  git('commit', '-qm', `By hand ${token}`);
  return { text, path: join(tree, path), commit: git('rev-parse', 'HEAD') };
}
