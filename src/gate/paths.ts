import type { Entry } from '../git/blobs.ts';
import type { Change } from '../git/change.ts';
import { decidesVerification, isTest, protectedClass } from '../path-classes.ts';
import type { Remark, Remarks } from './gate.ts';
import { type Declared, verbProblem } from './verbs.ts';

export interface Trees {
  readonly declared: ReadonlyMap<string, Declared>;
  readonly before: ReadonlyMap<string, Entry>;
  readonly after: ReadonlyMap<string, Entry>;
}

const LINK = '120000';
const SUBMODULE = '160000';

/** Judges what a change does to one path, without its content. `lower` holds the paths of the tree by their lower case, older ones first. */
export function judgePath(change: Change, trees: Trees & { lower: ReadonlyMap<string, string> }): Remarks {
  const { path, status } = change;
  const violations: Remark[] = [];
  const flags: Remark[] = [];
  const say = (list: Remark[], why: string | undefined): void => {
    if (why !== undefined) list.push({ path, why });
  };
  const declared = trees.declared.get(path);
  const [was, is] = [trees.before.get(path)?.mode, trees.after.get(path)?.mode];
  const guard = protectedClass(path);
  if (guard !== undefined) {
    const allowed = declared?.allowProtected === true || (!guard.strict && declared !== undefined);
    say(allowed ? flags : violations, `${guard.name} was changed`);
  }
  say(violations, verbProblem(declared?.verbs ?? new Set(), status));
  if (is === SUBMODULE || was === SUBMODULE)
    say(declared === undefined ? violations : flags, 'a submodule was changed');
  else if (status === 'T' && is === LINK)
    say(declared?.allowProtected === true ? flags : violations, 'a file became a link');
  else if (status === 'A' && is === LINK && wasFolder(path, trees.before))
    say(declared?.allowProtected === true ? flags : violations, 'a folder became a link');
  else if (status === 'T') say(flags, 'a link became a file');
  const twin = trees.lower.get(path.toLowerCase());
  if (status === 'A' && twin !== undefined && twin !== path) say(violations, `differs from ${twin} only in its case`);
  if (was === '100644' && is === '100755') say(flags, 'became executable');
  if (status === 'D') say(flags, isTest(path) ? 'a test file was removed' : 'was deleted');
  if (change.binary) say(flags, 'is binary');
  if (decidesVerification(path)) say(flags, 'may decide what the verification runs');
  return { violations, flags };
}

const wasFolder = (path: string, before: Trees['before']): boolean =>
  [...before.keys()].some((other) => other.startsWith(`${path}/`));
