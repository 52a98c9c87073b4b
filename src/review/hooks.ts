import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { refuse } from '../errors.ts';
import { readStranger } from '../files.ts';
import { git, gitAnswer } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import { isIn } from '../process/closed.ts';
import type { ProcessEnd } from '../process/run.ts';
import { clean, quote } from '../quote.ts';
import type { Enclosure } from '../run/enclosure.ts';

/** What git asks before it makes a commit, by the style of a merge. */
export const BEFORE = {
  squash: ['pre-commit', 'prepare-commit-msg', 'commit-msg'],
  'no-ff': ['pre-merge-commit', 'prepare-commit-msg', 'commit-msg'],
} as const;
export type Style = keyof typeof BEFORE;

/** The hooks of the user that run at a merge. */
export async function hooksAt(repo: Repo, style: Style): Promise<string[]> {
  const after = ['reference-transaction', 'post-merge', ...(style === 'squash' ? ['post-commit'] : [])];
  return hooksIn(await hooksFolder(repo), [...BEFORE[style], ...after]);
}

export const hooksIn = (folder: string, names: readonly string[]): string[] =>
  names.filter((name) => {
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

/** Prints what the hooks changed of the index, as a patch: what comes out of the sandbox is data. */
const SCRIPT = `set -e
hooks=$1 own=$2 tree=$3 kind=$4
shift 4
for name in "$@"; do
  case $name in
    pre-commit | pre-merge-commit) set -- ;;
    prepare-commit-msg) set -- "$own/message" "$kind" ;;
    *) set -- "$own/message" ;;
  esac
  git -c core.hooksPath="$hooks" hook run "$name" -- "$@"
done
git diff-index --cached -p --binary --full-index --no-color --no-ext-diff --no-textconv "$tree" > "$own/patch"
`;
const MOST = 64 * 1024 * 1024;

export interface HookCall {
  readonly repo: Repo;
  readonly run: string;
  readonly enclosure: Enclosure;
  readonly env: Readonly<Record<string, string>>;
  /** A worktree in which `tree` lies, in its index too. */
  readonly dir: string;
  readonly tree: string;
  readonly message: string;
  /** The folder of the hooks. */
  readonly hooks: string;
  readonly style: Style;
}

/** Runs the user's hooks on a change of Kimi's inside the sandbox; what they staged and what they say of the message. */
export async function runHooks(call: HookCall): Promise<{ readonly tree: string; readonly message: string }> {
  const { repo, enclosure, dir, tree, message, hooks, style } = call;
  const names = hooksIn(hooks, BEFORE[style]);
  const kind = style === 'squash' ? 'message' : 'merge';
  const folder = join(enclosure.shared, 'hooks');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'message'), `${message}\n`);
  const log = join(dirname(enclosure.shared), 'hooks.log');
  const end = await enclosure.hooks(
    {
      file: '/bin/sh',
      args: ['-c', SCRIPT, 'hooks', hooks, folder, tree, kind, ...names],
      cwd: dir,
      env: call.env,
      marker: `${call.run}/hooks`,
      wallMs: 900_000,
      stdoutFile: log,
      stderrFile: log,
    },
    { commonDir: repo.commonDir, open: openFor(repo, hooks) },
  );
  if (end.ending.kind !== 'exited' || end.ending.code !== 0) throw refused(end);
  const patch = readStranger(join(folder, 'patch'), { cap: MOST, within: folder });
  const said = readStranger(join(folder, 'message'), { cap: 1024 * 1024, within: folder });
  if (patch === undefined || said === undefined) throw refused(end);
  const text = await git(repo, ['stripspace'], { input: clean(said.toString('utf8')) });
  return { tree: await staged(call, patch), message: text };
}

/** The tree with the patch of the hooks in it, by an index of our own. */
async function staged({ repo, enclosure, tree }: HookCall, patch: Buffer): Promise<string> {
  if (patch.length === 0) return tree;
  const file = join(dirname(enclosure.shared), 'hooks.patch');
  writeFileSync(file, patch);
  const env = { GIT_INDEX_FILE: join(dirname(enclosure.shared), 'hooks.index') };
  await git(repo, ['read-tree', tree], { env });
  await git(repo, ['apply', '--cached', '--whitespace=nowarn', file], { env });
  return git(repo, ['write-tree'], { env });
}

/** What the hooks need to read: of a checkout the one folder at its top that they lie in. */
function openFor(repo: Repo, hooks: string): string {
  const inside = relative(repo.root, hooks);
  if (isIn(hooks, repo.commonDir) || inside === '' || inside.startsWith('..')) return hooks;
  return join(repo.root, inside.split(sep)[0] ?? '');
}

function refused(end: ProcessEnd & { readonly denied?: readonly string[] }): Error {
  const words = quote((end.stderrTail || end.stdoutTail).trim().split('\n').slice(-3).join(' '), 300);
  const denied = (end.denied ?? []).slice(0, 3).join(', ');
  return refuse(
    'wrong-state',
    `A commit hook of this repository refused, in the sandbox: ${words}${denied === '' ? '' : ` (refused host: ${denied})`}`,
    'Correct what the hook names, then merge again (another message: --message TEXT). A hook that needs more than a verification may have runs as you with KIMI_DISPATCH_UNREVIEWED=run.',
  );
}
