import type { Spec } from '../spec/model.ts';
import { matcher } from '../spec/patterns.ts';

export interface Scope {
  /** Changed although no task declares them, or although the spec protects them. */
  readonly violations: readonly { readonly path: string; readonly why: string }[];
  /** Declared and not changed. */
  readonly untouched: readonly string[];
}

/** Compares what changed with what was declared. Pure; a spec that declares no path allows every path. */
export function checkScope(spec: Spec, changed: readonly string[]): Scope {
  const declared = new Set(spec.tasks.flatMap((task) => task.files.map((file) => file.path)));
  const allowed = new Set(
    spec.tasks.flatMap((task) => task.files.filter((file) => file.allowProtected).map((file) => file.path)),
  );
  const isProtected = matcher(spec.protected);
  const isGenerated = matcher(spec.generated);
  const violations = changed.flatMap((path) => {
    if (isProtected(path) && !allowed.has(path)) return [{ path, why: 'protected by the spec' }];
    if (declared.size === 0 || declared.has(path) || isGenerated(path)) return [];
    return [{ path, why: 'declared by no task' }];
  });
  const touched = new Set(changed);
  return { violations, untouched: [...declared].filter((path) => !touched.has(path)) };
}
