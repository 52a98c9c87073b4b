import type { Change } from '../git/change.ts';
import { fileAt, filesOf, type Repo } from '../git/repo.ts';
import type { Spec } from '../spec/model.ts';
import { PROTECTED, RUNNER_CONFIG, TEST_FILE } from './classes.ts';
import { checkScope } from './scope.ts';
import { weakened } from './tests.ts';

export interface Remark {
  readonly path: string;
  readonly why: string;
}

/** A violation gates the merge; a flag only ranks the review. */
export interface Gate {
  readonly violations: readonly Remark[];
  readonly flags: readonly Remark[];
  readonly untouched: readonly string[];
}

export interface GateInput {
  readonly changes: readonly Change[];
  readonly base: string;
  readonly commit: string;
}

/** Larger than this is hardly source; it is gated unless the spec allows it as generated. */
const LARGEST = 5 * 1024 * 1024;
/** Contents are read of so many files; beyond that the number itself is what a reviewer must see. */
const MOST = 400;

/** Judges a change without a model: scope, protected classes, links, submodules, tests, secrets, sizes. */
export async function checkGate(repo: Repo, spec: Spec, input: GateInput): Promise<Gate> {
  const scope = checkScope(
    spec,
    input.changes.map((change) => change.path),
  );
  const declared = new Map(spec.tasks.flatMap((task) => task.files.map((file) => [file.path, file.allowProtected])));
  const [before, after] = await Promise.all([filesOf(repo, input.base), filesOf(repo, input.commit)]);
  const violations: Remark[] = [...scope.violations];
  const flags: Remark[] = [];
  const lower = new Map([...before.keys()].map((path) => [path.toLowerCase(), path]));
  for (const change of input.changes) {
    const { path } = change;
    const say = (list: Remark[], why: string): void => void list.push({ path, why });
    const protectedBy = PROTECTED.find((item) => item.pattern.test(path));
    if (protectedBy !== undefined) {
      const allowed = declared.get(path) === true || (!protectedBy.strict && declared.has(path));
      say(allowed ? flags : violations, `${protectedBy.name} was changed`);
    }
    if (after.get(path) === '160000' || before.get(path) === '160000')
      say(declared.has(path) ? flags : violations, 'a submodule was changed');
    const twin = lower.get(path.toLowerCase());
    if (change.status === 'A' && twin !== undefined && twin !== path)
      say(violations, `differs from ${twin} only in its case`);
    if (before.get(path) === '100644' && after.get(path) === '100755') say(flags, 'became executable');
    if (change.status === 'D') say(flags, 'was deleted');
    if (change.binary) say(flags, 'is binary');
    if (RUNNER_CONFIG.test(path)) say(flags, 'may decide what the verification runs');
  }
  const contents = await judgeContents(repo, input, { declared, after });
  if (input.changes.length > MOST)
    flags.push({ path: '', why: `${input.changes.length} files changed; the contents of ${MOST} were looked at` });
  return {
    violations: [...violations, ...contents.violations],
    flags: [...flags, ...contents.flags],
    untouched: scope.untouched,
  };
}

interface Known {
  readonly declared: ReadonlyMap<string, boolean>;
  readonly after: ReadonlyMap<string, string>;
}

async function judgeContents(repo: Repo, input: GateInput, known: Known): Promise<Pick<Gate, 'violations' | 'flags'>> {
  const violations: Remark[] = [];
  const flags: Remark[] = [];
  const { newSecrets } = await import('./secrets.ts');
  for (const { path, status, binary } of input.changes.slice(0, MOST)) {
    const is = status === 'D' ? undefined : await fileAt(repo, input.commit, path);
    const was = status === 'A' ? undefined : await fileAt(repo, input.base, path);
    if (known.after.get(path) === '120000') {
      if (leavesTree(path, is ?? ''))
        violations.push({ path, why: `a link that leaves the tree: ${(is ?? '').slice(0, 80)}` });
      continue;
    }
    if ((is?.length ?? 0) > LARGEST) {
      violations.push({ path, why: `is larger than ${LARGEST / 1024 / 1024} MB` });
      continue;
    }
    if (TEST_FILE.test(path) && !binary) for (const why of weakened(was, is)) flags.push({ path, why });
    if (is === undefined || binary) continue;
    if (/(^|\/)package\.json$/.test(path) && scriptsOf(is) !== scriptsOf(was))
      (known.declared.get(path) === true ? flags : violations).push({ path, why: 'package scripts were changed' });
    for (const found of await newSecrets(path, is, was)) violations.push({ path, why: `a secret, ${found}` });
  }
  return { violations, flags };
}

function scriptsOf(text: string | undefined): string {
  try {
    return JSON.stringify((JSON.parse(text ?? '{}') as { scripts?: unknown }).scripts ?? {});
  } catch {
    return text ?? '';
  }
}

/** True when a link's target is absolute or climbs above the root of the tree. */
function leavesTree(path: string, target: string): boolean {
  if (target.startsWith('/') || /^[A-Za-z]:/.test(target)) return true;
  let depth = path.split('/').length - 1;
  for (const part of target.split('/')) {
    if (part === '..') depth -= 1;
    else if (part !== '.' && part !== '') depth += 1;
    if (depth < 0) return true;
  }
  return false;
}
