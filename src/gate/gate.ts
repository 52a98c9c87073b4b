import { entriesOf } from '../git/blobs.ts';
import type { Change } from '../git/change.ts';
import { whyUnfiltered } from '../git/filters.ts';
import type { Repo } from '../git/repo.ts';
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
  const lower = new Map([...before.keys()].map((path) => [path.toLowerCase(), path]));
  const raw = [...(input.unfiltered ?? [])].map(([path, filter]) => ({ path, why: whyUnfiltered(filter) }));
  const found = [
    { violations: raw, flags: [] },
    { violations: [...scope.violations, ...notDeleted(declared, { changed, after })], flags: [] },
    ...input.changes.map((change) => judgePath(change, { declared, before, after, lower })),
    await judgeContents(repo, input, { declared, before, after }),
  ];
  return {
    violations: found.flatMap(({ violations }) => violations),
    flags: found.flatMap(({ flags }) => flags),
    untouched: scope.untouched,
  };
}
