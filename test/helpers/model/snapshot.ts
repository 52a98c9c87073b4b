import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '../repo.ts';
import { list } from './files.mjs';

type Table = Readonly<Record<string, string>>;

/** Everything of the user's at one moment. */
export interface Snapshot {
  /** The checkout, ignored and untracked files included. */
  readonly files: Table;
  /** Entries of the index by path, stages and flags included. */
  readonly index: Table;
  /** All refs but ours, and the stash. */
  readonly refs: Table;
  /** HEAD, config, hooks, excludes, and what an unfinished merge or rebase left. */
  readonly git: Table;
  readonly head: string;
}

const OF_GIT =
  /^(HEAD|config|config\.worktree|MERGE_|CHERRY_PICK_HEAD|REVERT_HEAD|info|hooks|rebase-|sequencer|modules)/;

const fields = (text: string): string[] => text.split('\0').filter((field) => field !== '');

type Place = Pick<Lab, 'repo' | 'env'>;

const raw = (lab: Place, args: readonly string[], input?: string): Buffer =>
  execFileSync('git', args, {
    cwd: lab.repo,
    env: { ...lab.env, GIT_OPTIONAL_LOCKS: '0' },
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['pipe', 'pipe', 'ignore'],
    input: input ?? '',
  });

/** Reads everything of the user's, and changes nothing. */
export function snapshotOf(lab: Lab): Snapshot {
  const index: Record<string, string> = {};
  for (const entry of fields(raw(lab, ['ls-files', '-s', '-v', '-z']).toString())) {
    const [facts = '', path = ''] = entry.split('\t');
    index[path] = `${index[path] ?? ''}${facts};`;
  }
  const refs: Record<string, string> = {};
  for (const line of raw(lab, ['for-each-ref', '--format=%(objectname) %(refname)']).toString().trim().split('\n')) {
    const [id = '', name = ''] = line.split(' ');
    if (!/^refs\/(heads\/kimi|kimi-dispatch)\//.test(name)) refs[name] = id;
  }
  refs.stash = raw(lab, ['stash', 'list', '--format=%H']).toString();
  const git = Object.fromEntries(
    Object.entries(list(join(lab.repo, '.git'))).filter(([path]) => OF_GIT.test(path) && !/\.lock$/.test(path)),
  );
  return { files: list(lab.repo), index, refs, git, head: raw(lab, ['rev-parse', 'HEAD']).toString().trim() };
}

/** The files of a commit as `list` gives those of a folder; a submodule is `g` and its commit. */
export function treeOf(lab: Place, commit: string): Record<string, string> {
  const rows = fields(raw(lab, ['ls-tree', '-r', '-z', '--full-tree', commit]).toString()).map((entry) => {
    const [facts = '', path = ''] = entry.split('\t');
    const [mode = '', , id = ''] = facts.split(' ');
    return { path, mode, id };
  });
  const blobs = rows.filter((row) => row.mode !== '160000');
  const out = raw(lab, ['cat-file', '--batch'], blobs.map((row) => `${row.id}\n`).join(''));
  const tree: Record<string, string> = {};
  for (const row of rows) if (row.mode === '160000') tree[row.path] = `g ${row.id}`;
  let at = 0;
  for (const row of blobs) {
    const end = out.indexOf(10, at);
    const size = Number(out.subarray(at, end).toString().split(' ')[2]);
    const kind = row.mode === '120000' ? 'l' : row.mode === '100755' ? 'x' : 'f';
    tree[row.path] = `${kind} ${out.subarray(end + 1, end + 1 + size).toString('latin1')}`;
    at = end + 1 + size + 1;
  }
  return tree;
}

/** The files of a commit, those of its submodules too. */
export function filledTreeOf(lab: Lab, commit: string): Record<string, string> {
  const tree = treeOf(lab, commit);
  const sub = { repo: join(lab.folder, 'sub'), env: lab.env };
  for (const [path, file] of Object.entries(tree))
    if (file.startsWith('g '))
      for (const [name, content] of Object.entries(treeOf(sub, file.slice(2)))) tree[`${path}/${name}`] = content;
  return tree;
}

/** Paths whose values differ between two tables. */
export const differing = (left: Table, right: Table): string[] =>
  [...new Set([...Object.keys(left), ...Object.keys(right)])].filter((path) => left[path] !== right[path]).sort();

/** The files that differ between two commits. */
export const changedBetween = (lab: Lab, from: string, to: string): string[] =>
  fields(raw(lab, ['diff-tree', '-r', '-z', '--no-renames', '--name-only', from, to]).toString());

/** The id that git gives to these bytes. */
export const blobOf = (lab: Lab, text: string): string =>
  raw(lab, ['hash-object', '--no-filters', '--stdin'], text).toString().trim();

/** Ids of all objects that some ref reaches; without the refs of a pattern where one is given. */
export function reachable(lab: Lab, except?: string): Set<string> {
  const args = ['rev-list', '--objects', ...(except === undefined ? [] : [`--exclude=${except}`]), '--all'];
  return new Set(
    raw(lab, args)
      .toString()
      .split('\n')
      .map((line) => line.split(' ')[0] ?? ''),
  );
}

/** Lock files in the git folder, ours included. */
export function locksIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (name === 'objects') return [];
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return locksIn(path);
    // A private index of ours is made anew by whoever needs it next.
    return name.endsWith('.lock') && !path.includes('/scratch/') ? [path] : [];
  });
}

/** True when a file below a folder holds the text. */
export const holds = (folder: string, text: string): boolean =>
  existsSync(folder) && Object.values(list(folder)).some((file) => file.includes(text));
