import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { gitAnswer } from '../../git/git.ts';
import type { Repo } from '../../git/repo.ts';
import { entriesOf, type GitSeen } from './reading.ts';
import { type Difference, type How, type Kind, MEANWHILE } from './rule.ts';
import { sh } from './words.ts';

/** What became of refs, the stash, HEAD and its reflogs. */
export async function refDifferences(repo: Repo, before: GitSeen, after: GitSeen): Promise<Difference[]> {
  const byHand = new Set(
    [...before.reflogs.keys(), ...after.reflogs.keys()].flatMap((file) => newEntries(file, before, after)),
  );
  const names = new Set([...before.refs.keys(), ...after.refs.keys()]);
  const refs: Difference[] = [];
  for (const name of names) {
    const [old, now] = [before.refs.get(name), after.refs.get(name)];
    if (old === now) continue;
    const kind = kindOf(name);
    const own =
      kind === 'branch' && now !== undefined && (await isByHand(repo, { name, old, now }, { before, after, byHand }));
    refs.push(refDifference(own ? 'branchByHand' : kind, name, [old, now]));
  }
  return [...stashDifferences(before, after), ...refs, ...headDifferences(before, after)];
}

const KINDS: readonly [RegExp, Kind][] = [
  [/^refs\/heads\//, 'branch'],
  [/^refs\/tags\//, 'tag'],
  [/^refs\/remotes\//, 'tracking'],
  [/^refs\/replace\//, 'replace'],
];
const kindOf = (name: string): Kind => KINDS.find(([pattern]) => pattern.test(name))?.[1] ?? 'otherRef';

function refDifference(kind: Kind, name: string, [old, now]: [string | undefined, string | undefined]): Difference {
  if (old === undefined)
    return { kind, how: 'added', name, said: `was made${MEANWHILE}`, back: `git update-ref -d ${sh(name)}` };
  const back = `git update-ref ${sh(name)} ${old}`;
  return now === undefined
    ? { kind, how: 'gone', name, said: `is gone${MEANWHILE}`, back }
    : { kind, how: 'changed', name, said: `was moved${MEANWHILE}`, back };
}

/**
 * A branch moves by the user's hand where a checkout of the user's stood on the new commit meanwhile, which its reflog
 * says; or where a fetch brought it forward. Without reflogs, the branch that is checked out has the benefit of doubt.
 */
async function isByHand(
  repo: Repo,
  { name, old, now }: { name: string; old: string | undefined; now: string },
  { before, after, byHand }: { before: GitSeen; after: GitSeen; byHand: ReadonlySet<string> },
): Promise<boolean> {
  if (byHand.has(now)) return true;
  if (after.reflogs.size === 0 && (before.head === name || after.head === name)) return true;
  const fetched = [...after.refs].some(([ref, commit]) => ref.startsWith('refs/remotes/') && commit === now);
  if (!fetched || old === undefined) return false;
  const answer = await gitAnswer(repo, ['merge-base', '--is-ancestor', old, now], { answers: [1, 128] });
  return answer.code === 0;
}

/** What was added to a reflog; all of it where it was written anew. */
function newEntries(file: string, before: GitSeen, after: GitSeen): string[] {
  const [old = '', now = ''] = [before.reflogs.get(file), after.reflogs.get(file)];
  return entriesOf(now.startsWith(old) ? now.slice(old.length) : now);
}

function stashDifferences(before: GitSeen, after: GitSeen): Difference[] {
  const lost = before.stash.filter((commit) => !after.stash.includes(commit));
  const made = after.stash.filter((commit) => !before.stash.includes(commit));
  const of = (how: How, said: string, back: (commit: string) => string) => (commit: string) =>
    ({ kind: 'stash', how, name: 'git stash', said: `${said}${MEANWHILE}`, back: back(commit) }) as const;
  return [
    // Oldest first, so that they come back in their order.
    ...lost.map(of('gone', 'lost an entry', (commit) => `git stash store ${commit}`)),
    ...made.map(of('added', 'has a new entry', (commit) => `git stash show -p ${commit}`)),
  ];
}

function headDifferences(before: GitSeen, after: GitSeen): Difference[] {
  const { head } = before;
  const back = head.startsWith('refs/heads/')
    ? `git switch ${sh(head.replace('refs/heads/', ''))}`
    : `git switch --detach ${head}`;
  const moved: Difference[] =
    head === after.head
      ? []
      : [{ kind: 'head', how: 'changed', name: 'HEAD', said: `stands elsewhere${MEANWHILE}`, back }];
  const cut = [...before.reflogs].filter(([file, log]) => {
    const last = log.trimEnd().split('\n').at(-1) ?? '';
    return last !== '' && !(after.reflogs.get(file) ?? '').includes(last);
  });
  // A worktree that was removed took its reflog along.
  const there = (file: string): boolean => existsSync(dirname(dirname(file)));
  return [
    ...moved,
    ...cut.map(([file, log]) => ({
      kind: there(file) ? ('reflog' as const) : ('worktree' as const),
      how: 'gone' as const,
      name: file,
      said: `${there(file) ? 'was emptied' : 'is gone, with its worktree'}${MEANWHILE}`,
      back: `it ended at ${entriesOf(log).at(-1) ?? ''}`,
    })),
  ];
}
