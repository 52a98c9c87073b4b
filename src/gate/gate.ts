import { entriesOf } from '../git/blobs.ts';
import type { Change } from '../git/change.ts';
import { whyUnfiltered } from '../git/filters.ts';
import type { Repo } from '../git/repo.ts';
import { isNameable } from '../names.ts';
import type { Spec } from '../spec/model.ts';
import { judgeContents } from './contents.ts';
import type { KnownKey } from './known-keys.ts';
import { judgePath } from './paths.ts';
import { checkScope } from './scope.ts';
import { declaredIn, notDeleted } from './verbs.ts';

export interface Remark {
  readonly path: string;
  readonly why: string;
}

export interface Remarks {
  readonly violations: readonly Remark[];
  readonly flags: readonly Remark[];
}

/** A violation gates the merge; a flag only ranks the review. */
export interface Gate extends Remarks {
  readonly untouched: readonly string[];
}

export interface GateInput {
  readonly changes: readonly Change[];
  readonly base: string;
  readonly commit: string;
  /** Keys of the user's own that no file may hold. */
  readonly known?: readonly KnownKey[];
  /** Changed files whose clean filter was not run: path → filter. */
  readonly unfiltered?: ReadonlyMap<string, string>;
}

/** Judges a change without a model: scope, verbs, protected classes, links, submodules, tests, secrets, sizes. */
export async function checkGate(repo: Repo, spec: Spec, input: GateInput): Promise<Gate> {
  const changed = input.changes.map((change) => change.path);
  const scope = checkScope(spec, changed);
  const declared = declaredIn(spec);
  const [before, after] = await Promise.all([entriesOf(repo, input.base), entriesOf(repo, input.commit)]);
  const stays = [...before.keys()].filter((path) => after.has(path));
  const lower = new Map([...after.keys(), ...stays].map((path) => [path.toLowerCase(), path]));
  const kept = notDeleted(declared, { changed, after });
  const raw = [...(input.unfiltered ?? [])].map(([path, filter]) => ({ path, why: whyUnfiltered(filter) }));
  const found = [
    { violations: raw, flags: [] },
    // What a plan says of a file was read out of its words: a file that stays is a question, not a breach.
    spec.scope === 'guess'
      ? { violations: scope.violations, flags: [...scope.flags, ...kept] }
      : { violations: [...scope.violations, ...kept], flags: scope.flags },
    { violations: unnameable(input), flags: [] },
    ...input.changes.map((change) => judgePath(change, { declared, before, after, lower })),
    await judgeContents(repo, input, { declared, before, after }),
  ];
  return {
    violations: found.flatMap(({ violations }) => violations),
    flags: found.flatMap(({ flags }) => flags),
    untouched: scope.untouched,
  };
}

/** Files whose name is not UTF-8: no spec can declare them, and many programs cannot open them. */
function unnameable({ changes, base, commit }: GateInput): Remark[] {
  const look = `git diff --name-only ${base.slice(0, 10)} ${commit.slice(0, 10)}`;
  return changes
    .filter(({ path }) => !isNameable(path))
    .map(({ path }) => ({ path, why: `its name is not UTF-8 (its bytes: ${look})` }));
}
