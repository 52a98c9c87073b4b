import {
  constants,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path';
import { namesIn, onDisk } from '../names.ts';
import { entriesOf, type Shared } from './dependencies.ts';
import { CACHES } from './kept.ts';

export interface Sharing {
  readonly checkout: string;
  readonly worktree: string;
  /**
   * True where nothing that runs in the worktree can write there: files are hard links and cost no disk. Else they are
   * copies, which a file system shares where it can.
   */
  readonly closed: boolean;
}

/**
 * Gives the checkout's dependency folders to a worktree. Links that lead into the checkout lead into the worktree
 * instead, and so do the paths that package managers write into scripts and settings: the tests of a worktree would
 * read the user's files through them.
 */
export function shareFolders(folders: readonly Shared[], sharing: Sharing): void {
  const moves = [...folders.map(({ path, from }) => ({ from, to: join(sharing.worktree, path) }))];
  const rule: Rule = { ...sharing, moves: [...moves, { from: sharing.checkout, to: sharing.worktree }] };
  for (const { from, to } of moves) {
    mkdirSync(dirname(to), { recursive: true });
    mirror(from, to, rule);
  }
}

interface Rule extends Sharing {
  /** Paths that are others in the worktree, the narrower ones first. */
  readonly moves: readonly { readonly from: string; readonly to: string }[];
}

function mirror(from: string, to: string, rule: Rule): void {
  const stat = lstatSync(onDisk(from));
  if (stat.isSymbolicLink()) symlinkSync(moved(readlinkSync(onDisk(from)), rule), onDisk(to));
  else if (stat.isDirectory()) {
    mkdirSync(onDisk(to), { recursive: true, mode: stat.mode | 0o700 });
    const caches = basename(from) === 'node_modules';
    for (const { name } of namesIn(from))
      if (!caches || !CACHES.has(name)) mirror(join(from, name), join(to, name), rule);
  } else if (stat.isFile()) mirrorFile(from, to, rule, stat.mode);
}

function mirrorFile(from: string, to: string, rule: Rule, mode: number): void {
  const text = holdsPaths(from) ? rewritten(from, to, rule) : undefined;
  if (text !== undefined) writeFileSync(onDisk(to), text, { mode });
  else if (!rule.closed || !hardLink(from, to)) copyFileSync(onDisk(from), onDisk(to), constants.COPYFILE_FICLONE);
}

function hardLink(from: string, to: string): boolean {
  try {
    linkSync(onDisk(from), onDisk(to));
    return true;
  } catch {
    // Another file system, or one that has no hard links.
    return false;
  }
}

/** Scripts of package managers, and what tells Python and yarn where packages lie. */
const HOLDS_PATHS =
  /\/(\.bin|bin|Scripts)\/[^/]+$|\.pth$|\/__editable__[^/]*\.py$|\.egg-link$|\/direct_url\.json$|\/pyvenv\.cfg$|\/\.pnp\.c?js$/;
const holdsPaths = (path: string): boolean => HOLDS_PATHS.test(path);
/** A script of a package manager is far smaller; a program in `bin` is not read. */
const SCRIPT_CAP = 256 * 1024;
const PNP_CAP = 64 * 1024 * 1024;

/** The text of a file with the paths of the worktree in it; undefined where it holds none of the checkout's. */
function rewritten(from: string, to: string, rule: Rule): string | undefined {
  const isPnp = basename(from).startsWith('.pnp.');
  if (lstatSync(onDisk(from)).size > (isPnp ? PNP_CAP : SCRIPT_CAP)) return undefined;
  const bytes = readFileSync(onDisk(from));
  if (bytes.subarray(0, 4096).includes(0)) return undefined;
  const text = bytes.toString('utf8');
  const next = isPnp ? pnpAt(text, from, to) : replacePaths(text, rule);
  return next === text ? undefined : next;
}

/** yarn names packages outside of the project relative to it: from another folder the way is another one. */
function pnpAt(text: string, from: string, to: string): string {
  return text.replace(/("packageLocation": ?")(\.\.\/[^"]+)/g, (_all, key: string, path: string) => {
    const target = join(dirname(from), path);
    return `${key}${relative(dirname(to), target).split(sep).join('/')}${path.endsWith('/') ? '/' : ''}`;
  });
}

function replacePaths(text: string, { moves }: Rule): string {
  let next = text;
  for (const { from, to } of moves) {
    const escaped = from.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    next = next.replace(new RegExp(`${escaped}(?=[/\\\\"'\\s:;)]|$)`, 'g'), to);
  }
  return next;
}

/** Where a link leads in the worktree: a relative one keeps its way, an absolute one into the checkout is moved. */
function moved(target: string, { moves }: Rule): string {
  if (!isAbsolute(target)) return target;
  const move = moves.find(({ from }) => target === from || target.startsWith(from + sep));
  return move === undefined ? target : move.to + target.slice(move.from.length);
}

/** A real folder with one link per package: what a tool writes there stays in the worktree. */
export function linkModules(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of entriesOf(from)) {
    if (CACHES.has(entry)) continue;
    mkdirSync(onDisk(dirname(join(to, entry))), { recursive: true });
    symlinkSync(onDisk(from, entry), onDisk(to, entry));
  }
}
