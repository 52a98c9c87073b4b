import { isTest, protectedClass } from '../path-classes.ts';
import type { Spec } from '../spec/model.ts';
import { matcher } from '../spec/patterns.ts';

export interface Scope {
  /** Changed although no task declares them, or although the spec protects them. */
  readonly violations: readonly { readonly path: string; readonly why: string }[];
  /** Undeclared, and plainly implied by the paths that were read out of a plan: they rank the review. */
  readonly flags: readonly { readonly path: string; readonly why: string }[];
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
  const implied = spec.scope === 'guess' ? impliedBy(spec, declared) : () => undefined;
  const violations: { path: string; why: string }[] = [];
  const flags: { path: string; why: string }[] = [];
  for (const path of changed) {
    if (isProtected(path) && !allowed.has(path)) violations.push({ path, why: 'protected by the spec' });
    else if (declared.size > 0 && !declared.has(path) && !isGenerated(path)) {
      const why = implied(path);
      if (why === undefined) violations.push({ path, why: 'declared by no task' });
      else flags.push({ path, why });
    }
  }
  const touched = new Set(changed);
  return { violations, flags, untouched: [...declared].filter((path) => !touched.has(path)) };
}

const INDEX = /^(index\.\w+|__init__\.pyi?|mod\.rs|lib\.rs)$/;

/** What a plan implies beside the paths it names: a test of one, an index that exports it, a snapshot, a file it checks. */
function impliedBy(spec: Spec, declared: ReadonlySet<string>): (path: string) => string | undefined {
  const stems = new Set([...declared].map(stemOf));
  const folders = new Set([...declared].flatMap((path) => [folderOf(path), folderOf(folderOf(path))]));
  const commands = [...spec.verification, ...spec.tasks.flatMap((task) => task.verification)].map(({ text }) => text);
  return (path) => {
    if (protectedClass(path) !== undefined) return undefined;
    if (isTest(path) && stems.has(stemOf(path))) return 'not named by the plan: a test of a file that is';
    if (INDEX.test(nameOf(path)) && folders.has(folderOf(path)))
      return 'not named by the plan: the index of its folder';
    if (/(^|\/)__snapshots__\/|\.snap$/.test(path) && stems.has(stemOf(path)))
      return 'not named by the plan: a snapshot';
    const named = commands.some((text) => text.split(/[\s'"=]+/).includes(path));
    return named ? 'named only by a verification command' : undefined;
  };
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));
/** `test_user.py`, `UserTests.swift`, `user.spec.ts`, `user.test.ts.snap` → `user`. */
const stemOf = (path: string): string =>
  nameOf(path)
    .replace(/\..*$/, '')
    .replace(/^test_|[_-](test|spec)s?$|Tests?$/g, '')
    .toLowerCase();
