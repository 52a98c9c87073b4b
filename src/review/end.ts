import { existsSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { refusalOf, refuse } from '../errors.ts';
import { copyStrangers } from '../files.ts';
import { dropHome } from '../flavour/home.ts';
import { IDENTITY } from '../git/change.ts';
import { asPattern, at, fields, git, gitAnswer } from '../git/git.ts';
import { releaseSlot } from '../git/pool.ts';
import type { Repo } from '../git/repo.ts';
import { holdsSlot, lendIndex } from '../git/slot.ts';
import { stage, writeExcludes } from '../git/stage.ts';
import { checkoutsOf, holdsFiles, restoreLink } from '../git/worktree.ts';
import type { RunState } from '../ledger/events.ts';
import { runsFolder } from '../ledger/store.ts';
import { onDisk } from '../names.ts';
import { counted } from '../quote.ts';
import { readReady } from '../run/ready.ts';

/** Files of so many bytes are saved; larger ones are a person's to move. */
const MOST_BYTES = 256 * 1024 * 1024;
const MOST_ENTRIES = 100_000;

/**
 * Gives a run's worktree back, and its branch where that is asked. What a person made in the worktree or on the branch is
 * theirs: it is saved first, and the sentences that come back name where. Refuses where it cannot be saved.
 */
export async function endRun(repo: Repo, run: RunState, { branchToo }: { branchToo: boolean }): Promise<string[]> {
  if (branchToo) await refuseBranchInUse(repo, run);
  const saved = await saveByHand(repo, run);
  // A worktree that cannot be given back now is found by `prune`.
  await releaseSlot(repo, run, branchToo).catch(() => undefined);
  return saved;
}

/** The same for a run whose change has arrived: what cannot be given back is kept, and no failure of the merge. */
export async function endMerged(repo: Repo, run: RunState): Promise<string[]> {
  try {
    dropHome(run.home);
    return await endRun(repo, run, { branchToo: false });
  } catch (error) {
    const { message, fix } = refusalOf(error) ?? { message: String(error), fix: undefined };
    return [
      `The worktree is kept. ${message}\nFix: ${fix === undefined ? '' : `${fix}, then `}kimi-dispatch discard ${run.id}`,
    ];
  }
}

/** Saves what a person made in a run's worktree or on its branch; says where. */
export const saveByHand = async (repo: Repo, run: RunState): Promise<string[]> => [
  ...(await saveBranch(repo, run)),
  ...(await saveWorktree(repo, run, true)),
];

/** The same before another attempt, which may write over it: what git did not take stays where it lies. */
export const saveBefore = async (repo: Repo, run: RunState): Promise<string[]> => [
  ...(await saveBranch(repo, run)),
  ...(await saveWorktree(repo, run, false)),
];

/** Refuses what moves or removes a run's branch while a checkout of the user's stands on it. */
export async function refuseBranchInUse(repo: Repo, run: RunState): Promise<void> {
  const dir = (await checkoutsOf(repo, `refs/heads/${run.branch}`)).find((one) => one !== run.dir);
  if (dir === undefined) return;
  throw refuse(
    'wrong-state',
    `The branch of run ${run.id} is checked out in ${dir}.`,
    `git -C ${dir} switch --detach, then again`,
  );
}

const refOf = (run: RunState, what: string, commit: string): string =>
  `refs/kimi-dispatch/saved/${run.id}/${what}-${commit.slice(0, 10)}`;

/** Commits on the run's branch that are not ours. */
async function saveBranch(repo: Repo, run: RunState): Promise<string[]> {
  const answer = await gitAnswer(repo, ['rev-parse', '-q', '--verify', `refs/heads/${run.branch}`], {
    answers: [1, 128],
  });
  const tip = answer.stdout.trim();
  if (answer.code !== 0 || tip === (run.commit ?? run.base)) return [];
  const ref = refOf(run, 'branch', tip);
  await git(repo, ['update-ref', ref, tip]);
  return [`The commits that were made on ${run.branch} by hand are kept: git log ${ref}`];
}

async function saveWorktree(repo: Repo, run: RunState, goes: boolean): Promise<string[]> {
  if (!holdsSlot(run) || !holdsFiles(run.dir)) return [];
  const record = join(runsFolder(repo.commonDir), run.id);
  const scratch = join(record, 'scratch');
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  try {
    restoreLink(repo.commonDir, run);
    return await saveAll(repo, run, { record, scratch, goes });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

interface Saving {
  readonly record: string;
  readonly scratch: string;
  /** True when the worktree is given up. */
  readonly goes: boolean;
}

async function saveAll(repo: Repo, run: RunState, { record, scratch, goes }: Saving): Promise<string[]> {
  const tree = at(repo, run.dir);
  const env = { GIT_INDEX_FILE: join(scratch, 'index'), ...IDENTITY };
  const { provisioned } = readReady(record);
  const base = run.commit ?? run.base;
  const excludes = await writeExcludes(tree, scratch, provisioned.map(asPattern));
  if (!lendIndex(tree.dir, env.GIT_INDEX_FILE)) await git(tree, ['read-tree', '-m', base], { env });
  // What the run's commit holds although git ignores it counts as well.
  const held = fields(await git(tree, ['diff-tree', '-r', '-z', '--name-only', '--diff-filter=d', run.base, base]));
  const left = await stage(tree, { base: run.base, env, scratch, excludes, declared: held });
  const written = await git(tree, ['write-tree'], { env });
  const said: string[] = [];
  if (written !== (await git(tree, ['rev-parse', `${base}^{tree}`]))) {
    const commit = await git(tree, ['commit-tree', written, '-p', base, '-m', `By hand in the worktree of ${run.id}`], {
      env,
    });
    const ref = refOf(run, 'worktree', commit);
    await git(repo, ['update-ref', ref, commit]);
    said.push(`Edits that were made in the worktree by hand are kept: git show ${ref}`);
  }
  const ignored = await ignoredSince(repo, run, { provisioned, env });
  if (goes) return [...said, ...copyFiles(run, record, [...left.map(({ path }) => path), ...ignored])];
  try {
    return [...said, ...copyFiles(run, record, ignored)];
  } catch (error) {
    return [...said, `Not saved before Kimi goes on. ${refusalOf(error)?.message ?? String(error)}`];
  }
}

/** Ignored files that came after the run had ended: no worker wrote them. */
async function ignoredSince(
  repo: Repo,
  run: RunState,
  { provisioned, env }: { provisioned: readonly string[]; env: Readonly<Record<string, string>> },
): Promise<string[]> {
  if (run.endedAt === undefined) return [];
  const ended = Date.parse(run.endedAt);
  // Where the clock was put back since, nothing tells whose they are.
  const since = ended > Date.now() ? 0 : ended;
  const out = provisioned.map((path) => `:(top,exclude,literal)${path}`);
  const args = ['ls-files', '-z', '--others', '--ignored', '--exclude-standard', '--', ':(top)', ...out];
  const paths = fields(await git(at(repo, run.dir), args, { env }));
  return paths.filter((path) => cameSince(run.dir, path, since));
}

/** Whether a file was written or moved there since a time (ms), by itself or with a folder around it. */
function cameSince(dir: string, path: string, since: number): boolean {
  for (let part = path; part !== '.'; part = dirname(part)) {
    const stat = lstatSync(onDisk(dir, part), { throwIfNoEntry: false });
    if (stat === undefined || stat.ctimeMs <= since) continue;
    // What happens in a folder counts by itself; a folder that was moved as it is has no newer entries.
    if (part === path || stat.mtimeMs <= since) return true;
  }
  return false;
}

/** Nothing is saved over what was saved before. */
function freshFolder(wanted: string): string {
  let folder = wanted;
  for (let count = 2; existsSync(folder); count++) folder = `${wanted}-${count}`;
  return folder;
}

function copyFiles(run: RunState, record: string, paths: readonly string[]): string[] {
  if (paths.length === 0) return [];
  const to = freshFolder(join(record, 'saved'));
  const not = copyStrangers(run.dir, to, { paths, bytes: MOST_BYTES, entries: MOST_ENTRIES });
  if (not?.why === 'unreadable')
    throw refuse(
      'wrong-state',
      `The worktree of run ${run.id} holds what cannot be read, so it cannot be saved: ${not.paths.slice(0, 3).join(', ')}`,
      `chmod -R u+rwX ${not.paths
        .slice(0, 3)
        .map((path) => join(run.dir, path))
        .join(' ')}`,
    );
  if (not !== undefined)
    throw refuse(
      'wrong-state',
      `The worktree of run ${run.id} holds more than ${MOST_BYTES / 1024 / 1024} MB or ${MOST_ENTRIES} files that are not in its change: ${paths.slice(0, 3).join(', ')}`,
      `Move what you need out of ${run.dir}, and remove the rest`,
    );
  return [`${counted(paths.length, 'file')} that git did not take: kept in ${to}`];
}
