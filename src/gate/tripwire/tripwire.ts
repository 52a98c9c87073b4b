import { type GitSeen, printOf, type Reach, type Reading, read } from './reading.ts';
import { refDifferences } from './refs.ts';
import { type Difference, MEANWHILE, NOTHING, type Phase, type Seen, weigh } from './rule.ts';
import { fileDifferences } from './settings.ts';
import { sh } from './words.ts';

/**
 * Carries an act out that runs strangers' commands without a sandbox, and looks before and after at what of the user's
 * they could reach. `tell` is called however the act ends. Where nothing can be reached, only the act is carried out.
 */
export async function watched<T>(
  reach: Reach | undefined,
  how: { readonly phase: Phase; readonly tell: (seen: Seen) => void },
  act: () => Promise<T>,
): Promise<T> {
  if (reach === undefined) return act();
  const before = await read(reach);
  try {
    return await act();
  } finally {
    how.tell(weigh(await differences(reach, before, await read(reach, before)), how.phase));
  }
}

async function differences(reach: Reach, before: Reading, after: Reading): Promise<Difference[]> {
  const files = await fileDifferences(reach, before, after);
  const git =
    before.git === undefined || after.git === undefined
      ? unreadable(before, after)
      : [
          ...(await refDifferences(reach.repo, before.git, after.git)),
          ...pathDifferences(reach, before.git, after.git),
        ];
  return [...files, ...git, ...packageDifferences(before, after)];
}

/** A repository that git could read before. */
const unreadable = (before: Reading, after: Reading): Difference[] =>
  before.git !== undefined && after.git === undefined
    ? [{ kind: 'file', how: 'changed', name: '.git', said: `cannot be read by git${MEANWHILE}`, back: '' }]
    : [];

/** Files of the checkout; one that was only committed or staged lies there as it did. */
function pathDifferences({ repo }: Reach, before: GitSeen, after: GitSeen): Difference[] {
  const found: Difference[] = [];
  for (const path of new Set([...before.checkout.keys(), ...after.checkout.keys()])) {
    const [old, now] = [before.checkout.get(path), after.checkout.get(path)];
    const print = now?.print ?? printOf(repo, path);
    const same = old?.print === print && (now === undefined || old.index === now.index || now.kind !== old.kind);
    const kind = old?.kind ?? now?.kind;
    if (same || kind === undefined) continue;
    const how = print === '' ? 'gone' : old === undefined && kind !== 'tracked' ? 'added' : 'changed';
    const said = `${{ added: 'was made', changed: 'was changed', gone: 'is gone' }[how]}${MEANWHILE}, in your checkout`;
    const back =
      old === undefined && kind === 'tracked' ? `git restore --source=HEAD --staged --worktree -- ${sh(path)}` : '';
    found.push({ kind, how, name: path, said, back });
  }
  return found;
}

function packageDifferences({ packages: before }: Reading, { packages: after }: Reading): Difference[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  const changed = [...names].filter((name) => before.get(name) !== after.get(name));
  if (changed.length === 0) return [];
  const some = `${changed.slice(0, 5).join(', ')}${changed.length > 5 ? ` and ${changed.length - 5} more` : ''}`;
  const said = `changed (${some})${MEANWHILE}`;
  return [{ kind: 'packages', how: 'changed', name: 'node_modules', said, back: 'install the packages again' }];
}

export { NOTHING, type Reach, type Seen };
