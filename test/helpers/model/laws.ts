import type { Lab } from '../repo.ts';
import { changedBetween, differing, filledTreeOf, type Snapshot, treeOf } from './snapshot.ts';

/** The kinds of what must never happen. */
export const KINDS = [
  'user bytes lost',
  'changed without a merge',
  'merged something else',
  'verified another tree',
  'undo is not the way back',
  'work by hand lost',
  'work by hand kept and not named',
  'work of the worker lost in silence',
  'ending without its result',
  'exit code or crash',
  'lock left',
  'neither before nor after',
  'git fsck complains',
] as const;
export type Kind = (typeof KINDS)[number];

export interface Violation {
  readonly kind: Kind;
  readonly text: string;
}

const violation = (kind: Kind, text: string): Violation => ({ kind, text });
const some = (paths: readonly string[]): string => paths.slice(0, 4).join(', ');

/** Nothing of the user's differs. */
export function unchanged(before: Snapshot, after: Snapshot): Violation[] {
  const tables = [
    ['checkout', differing(before.files, after.files)],
    ['index', differing(before.index, after.index)],
    ['refs', differing(before.refs, after.refs)],
    ['.git', differing(before.git, after.git)],
  ] as const;
  const found: Violation[] = [];
  for (const [name, paths] of tables)
    if (paths.length > 0) found.push(violation('changed without a merge', `${name}: ${some(paths)}`));
  const lost = tables[0][1].filter((path) => isLoss(before, after, path));
  return lost.length === 0 ? found : [violation('user bytes lost', some(lost)), ...found];
}

/** Bytes that were in the checkout and that no commit held are not there any more. */
const isLoss = (before: Snapshot, after: Snapshot, path: string): boolean =>
  /the user|untracked|perhaps ignored|staged/.test(before.files[path] ?? '') &&
  before.files[path] !== after.files[path] &&
  !Object.values(after.files).includes(before.files[path] ?? '');

const plain = (text: string | undefined): string | undefined => text?.replaceAll('\r\n', '\n');

export interface Merge {
  readonly lab: Lab;
  readonly before: Snapshot;
  readonly after: Snapshot;
  /** The run's change: from its base to its commit. */
  readonly base: string;
  readonly commit: string;
}

/** What holds after a merge: exactly the run's change came to HEAD, index and checkout. */
export function mergeLaws({ lab, before, after, base, commit }: Merge): Violation[] {
  const found: Violation[] = [];
  const change = new Set(changedBetween(lab, base, commit));
  const [tip, to, wanted, from] = [before.head, after.head, commit, base].map((id) => treeOf(lab, id));
  if (tip === undefined || to === undefined || wanted === undefined || from === undefined) return found;
  const foreign = differing(tip, to).filter((path) => !change.has(path));
  if (foreign.length > 0) found.push(violation('merged something else', `not in the run's diff: ${some(foreign)}`));
  const missing = [...change].filter((path) => tip[path] === from[path] && to[path] !== wanted[path]);
  if (missing.length > 0) found.push(violation('merged something else', `not as in the run: ${some(missing)}`));
  const commits = lab.git('rev-list', '--count', `${before.head}..${after.head}`);
  if (Number(commits) > 2) found.push(violation('merged something else', `${commits} commits came`));
  found.push(...besides(before, after, change));
  for (const path of change) {
    const [was, is] = [before.files[path], after.files[path]];
    const own = was !== undefined && plain(was) !== plain(tip[path]);
    if (own && was !== is && plain(was) !== plain(is)) found.push(violation('user bytes lost', `${path} by merge`));
    else if (!own && is !== undefined && plain(is) !== plain(to[path]))
      found.push(violation('merged something else', `${path} in the checkout is not as in HEAD`));
    else if (!own && was !== undefined && is === undefined && to[path] !== undefined)
      found.push(violation('merged something else', `${path} is gone from the checkout`));
  }
  return found;
}

/** Whatever is not part of a change stays byte for byte, staged halves included; only HEAD's branch moves. */
function besides(before: Snapshot, after: Snapshot, change: ReadonlySet<string>): Violation[] {
  const found: Violation[] = [];
  const files = differing(before.files, after.files).filter((path) => !change.has(path));
  const index = differing(before.index, after.index).filter((path) => !change.has(path));
  if (files.length > 0) found.push(violation('user bytes lost', `beside the change: ${some(files)}`));
  if (index.length > 0) found.push(violation('user bytes lost', `staged beside the change: ${some(index)}`));
  const branch = before.git.HEAD?.match(/ref: (\S+)/)?.[1];
  const refs = differing(before.refs, after.refs).filter((name) => name !== branch);
  if (refs.length > 0) found.push(violation('changed without a merge', `refs: ${some(refs)}`));
  const git = differing(before.git, after.git).filter((name) => !(name === 'HEAD' && branch === undefined));
  if (git.length > 0) found.push(violation('changed without a merge', `.git: ${some(git)}`));
  return found;
}

/** A merge that was made, as the undo of it finds it. */
export interface Made {
  readonly before: Snapshot;
  readonly after: Snapshot;
}

/** What holds after an undo: the files of the merge are as before it, and all else is as just before the undo. */
export function undoLaws(lab: Lab, made: Made, now: Made): Violation[] {
  const change = new Set(changedBetween(lab, made.before.head, made.after.head));
  const found = besides(now.before, now.after, change);
  if (now.after.head !== made.before.head) found.push(violation('undo is not the way back', 'HEAD is elsewhere'));
  for (const path of change)
    for (const part of ['files', 'index'] as const) {
      const own = now.before[part][path] !== made.after[part][path];
      const wanted = own ? now.before[part][path] : made.before[part][path];
      if (plain(now.after[part][path]) === plain(wanted)) continue;
      found.push(violation(own ? 'user bytes lost' : 'undo is not the way back', `${path} (${part}) by undo`));
    }
  return found;
}

/** The tree that a verification saw is the tree of the commit, and holds nothing else. */
export function verifiedLaw(lab: Lab, seen: Readonly<Record<string, string>>, commit: string): Violation[] {
  const tree = filledTreeOf(lab, commit);
  const wanted = Object.entries(tree).filter(([, file]) => !file.startsWith('g '));
  // In a sparse checkout, what the definition leaves out and nobody changed is not there.
  const sparse = new Set(
    lab
      .git('ls-files', '-t')
      .split('\n')
      .flatMap((row) => (row.startsWith('S ') ? [row.slice(2)] : [])),
  );
  const missing = wanted
    .filter(([path, file]) => plain(seen[path]) !== plain(file) && !(seen[path] === undefined && sparse.has(path)))
    .map(([path]) => path);
  const extra = Object.keys(seen).filter((path) => tree[path] === undefined);
  return [
    ...(missing.length > 0 ? [violation('verified another tree', `not as committed: ${some(missing)}`)] : []),
    ...(extra.length > 0 ? [violation('verified another tree', `not in the commit: ${some(extra)}`)] : []),
  ];
}
