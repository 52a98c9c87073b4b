import { existsSync, lstatSync, realpathSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { listStranger, readStranger } from '../../files.ts';
import { readFilters } from '../../git/filters.ts';
import { fields, gitAnswer } from '../../git/git.ts';
import type { Repo } from '../../git/repo.ts';
import { type FileSeen, type Homes, readFiles } from './files.ts';
import { readPackages } from './packages.ts';
import { type Kind, UNWATCHED } from './rule.ts';

/** What a stranger's command without a sandbox could reach. */
export interface Reach extends Homes {
  readonly repo: Repo;
  /** Where our own worktrees lie: what happens in them is no act of the user's. */
  readonly worktrees: string;
  /** Where copies of changed files are kept as they were before. */
  readonly keep: string;
}

/** A path of the checkout that is not as HEAD has it. */
export interface PathSeen {
  readonly kind: Extract<Kind, 'tracked' | 'untracked' | 'ignored'>;
  /** What the index holds of it. */
  readonly index: string;
  /** Differs whenever the file does. */
  readonly print: string;
}

/** What lies outside the worktree at one moment. */
export interface Reading {
  /** Missing where git could not read the repository. */
  readonly git: GitSeen | undefined;
  readonly files: ReadonlyMap<string, FileSeen>;
  readonly packages: ReadonlyMap<string, string>;
}

export interface GitSeen {
  readonly refs: ReadonlyMap<string, string>;
  /** The branch that is checked out, or its commit. */
  readonly head: string;
  readonly stash: readonly string[];
  /** What the reflogs of HEAD say, of all checkouts that are the user's: file → text. */
  readonly reflogs: ReadonlyMap<string, string>;
  readonly checkout: ReadonlyMap<string, PathSeen>;
}

/**
 * Looks at all of it, by two git processes at the same time. There is a third where the stash has no log of its own, and
 * one where git's configuration is not as it was `before`: no filter that came since runs.
 */
export async function read(reach: Reach, before?: Reading): Promise<Reading> {
  const { repo } = reach;
  const files = readFiles(repo, reach);
  const asBefore = [...files].every(([path, { config, print }]) => !config || before?.files.get(path)?.print === print);
  const seen = (async () => {
    const filters = before === undefined || asBefore ? repo.filters : await readFilters(repo);
    return readGit({ ...reach, repo: { ...repo, filters } });
  })().catch(() => undefined);
  const packages = readPackages(join(repo.root, 'node_modules'));
  return { git: await seen, files, packages };
}

/** A pipe in the place of a file of git's would be waited for. */
const BOUNDED = { timeoutMs: 120_000 };

async function readGit({ repo, worktrees }: Reach): Promise<GitSeen> {
  const flags = ['--porcelain=v2', '-z', '--branch', '--untracked-files=all', '--ignored=matching', '--no-renames'];
  const [list, status] = await Promise.all([
    gitAnswer(repo, ['for-each-ref', '--format=%(refname) %(objectname)%(symref)'], BOUNDED),
    gitAnswer(repo, ['status', ...flags], BOUNDED),
  ]);
  const refs = new Map(list.stdout.split('\n').filter(Boolean).map(pair));
  const stash = refs.has('refs/stash') ? await readStash(repo) : [];
  for (const name of refs.keys()) if (UNWATCHED.test(name)) refs.delete(name);
  const lines = fields(status.stdout);
  const header = (name: string): string =>
    lines.find((line) => line.startsWith(`# branch.${name} `))?.slice(9 + name.length + 1) ?? '';
  const branch = header('head');
  return {
    refs,
    stash,
    head: branch === '(detached)' ? header('oid') : `refs/heads/${branch}`,
    reflogs: readReflogs(repo, worktrees),
    checkout: new Map(lines.flatMap((line) => pathSeen(repo, line))),
  };
}

const pair = (line: string): [string, string] => {
  const space = line.indexOf(' ');
  return [line.slice(0, space), line.slice(space + 1)];
};

async function readStash(repo: Repo): Promise<string[]> {
  const file = join(repo.commonDir, 'logs', 'refs', 'stash');
  if (lstatSync(file, { throwIfNoEntry: false }) !== undefined) return entriesOf(textOf(file) ?? '');
  const list = await gitAnswer(repo, ['log', '-g', '--format=%H', 'refs/stash', '--'], { ...BOUNDED, answers: [128] });
  return list.stdout.split('\n').filter(Boolean);
}

/** The commits that the lines of a reflog lead to. */
export const entriesOf = (log: string): string[] =>
  log.split('\n').flatMap((line) => /^[0-9a-f]+ ([0-9a-f]+) /.exec(line)?.[1] ?? []);

function readReflogs({ commonDir, gitDir }: Repo, worktrees: string): Map<string, string> {
  const others = listStranger(join(commonDir, 'worktrees'), 1000).map(({ name }) => join(commonDir, 'worktrees', name));
  const theirs = others.filter((folder) => !liesIn(folder, worktrees));
  const found = new Map<string, string>();
  for (const folder of [commonDir, gitDir, ...theirs]) {
    const file = join(folder, 'logs', 'HEAD');
    const text = textOf(file);
    if (text !== undefined) found.set(file, text);
  }
  return found;
}

const textOf = (file: string): string | undefined => readStranger(file, { cap: 64 * 1024 * 1024 })?.toString('utf8');

/** Whether the worktree that a git folder belongs to lies in a folder. */
function liesIn(folder: string, worktrees: string): boolean {
  const place = dirname(textOf(join(folder, 'gitdir'))?.trim() ?? '');
  const real = existsSync(worktrees) ? realpathSync(worktrees) : worktrees;
  return [worktrees, real].some((root) => place.startsWith(root + sep));
}

/** A line of `git status`, with the file's own times: an edit of an edited file shows in them. */
function pathSeen(repo: Repo, line: string): [string, PathSeen][] {
  const mark = line[0];
  if (mark === '#' || (mark === '!' && line.endsWith('/'))) return [];
  if (mark === '?' || mark === '!') {
    const path = line.slice(2);
    return [[path, { kind: mark === '?' ? 'untracked' : 'ignored', index: '', print: printOf(repo, path) }]];
  }
  // 1 XY sub mH mI mW hH hI path; an unmerged one has three of modes and hashes.
  const words = line.split(' ');
  const index = mark === 'u' ? words.slice(3, 10) : [words[4], words[7]];
  const path = words.slice(mark === 'u' ? 10 : 8).join(' ');
  return [[path, { kind: 'tracked', index: index.join(' '), print: printOf(repo, path) }]];
}

/** When a file of the checkout was written, and how large it is; empty where there is none. */
export function printOf(repo: Repo, path: string): string {
  const stat = lstatSync(join(repo.root, path), { throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.mode} ${stat.size} ${stat.mtimeMs} ${stat.ino}`;
}
