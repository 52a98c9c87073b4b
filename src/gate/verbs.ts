import type { Change } from '../git/change.ts';
import type { Spec, Verb } from '../spec/model.ts';

/** What the tasks of a spec say about one path. */
export interface Declared {
  readonly verbs: ReadonlySet<Verb>;
  readonly allowProtected: boolean;
}

/** Every declared path, with all that the tasks say about it. */
export function declaredIn(spec: Spec): Map<string, Declared> {
  const all = new Map<string, Declared>();
  for (const { path, verb, allowProtected } of spec.tasks.flatMap((task) => task.files)) {
    const earlier = all.get(path);
    all.set(path, {
      verbs: new Set([...(earlier?.verbs ?? []), ...(verb === undefined ? [] : [verb])]),
      allowProtected: allowProtected || earlier?.allowProtected === true,
    });
  }
  return all;
}

/** How a change differs from what the spec says is done to its path, or undefined when it does as told. */
export function verbProblem(verbs: ReadonlySet<Verb>, status: Change['status']): string | undefined {
  if (verbs.size === 0) return undefined;
  const said = `the spec says ${[...verbs].join(' and ')}`;
  if (status === 'D') return verbs.has('DELETE') ? undefined : `was deleted, but ${said}`;
  if (onlyDeletes(verbs)) return `was not deleted, but ${said}`;
  if (verbs.size === 1 && verbs.has('CREATE') && status !== 'A') return `existed before, but ${said}`;
  return undefined;
}

/** Files that are to be deleted and that the change left as they were. */
export function notDeleted(
  declared: ReadonlyMap<string, Declared>,
  seen: { changed: readonly string[]; after: ReadonlyMap<string, unknown> },
): { path: string; why: string }[] {
  const changed = new Set(seen.changed);
  return [...declared]
    .filter(([path, { verbs }]) => onlyDeletes(verbs) && seen.after.has(path) && !changed.has(path))
    .map(([path]) => ({ path, why: 'was not deleted, but the spec says DELETE' }));
}

const onlyDeletes = (verbs: ReadonlySet<Verb>): boolean => verbs.size === 1 && verbs.has('DELETE');
