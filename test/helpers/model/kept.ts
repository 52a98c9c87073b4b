import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Result } from '../../../src/review/result.ts';
import type { Lab } from '../repo.ts';
import type { Violation } from './laws.ts';
import { filledTreeOf } from './snapshot.ts';

const lf = (text: string | undefined): string | undefined => text?.replaceAll('\r\n', '\n');

/** What the worker left is in the commit, or git ignores it and no task declares it, or the result names it. */
export function workIsKept(lab: Lab, result: Result, declared: readonly string[]): Violation[] {
  const file = join(lab.home, 'worked.json');
  if (!existsSync(file) || result.commit === undefined) return [];
  const worked = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  const tree = filledTreeOf(lab, result.commit);
  // That a declared file was not touched says nothing of a file that is there.
  const told = JSON.stringify({ ...result, spec: undefined, scope: result.scope.violations });
  const absent = Object.keys(worked).filter(
    (path) =>
      worked[path] !== 'p ' && lf(tree[path]) !== lf(worked[path]) && !path.includes('/.git/') && !isNamed(told, path),
  );
  const ignored = ignoredIn(lab, result.worktree, absent);
  const lost = absent.filter((path) => declared.includes(path) || !ignored.has(path));
  return lost.length === 0 ? [] : [{ kind: 'work of the worker lost in silence', text: lost.slice(0, 4).join(', ') }];
}

function ignoredIn(lab: Lab, worktree: string, paths: readonly string[]): Set<string> {
  if (paths.length === 0 || !existsSync(worktree)) return new Set();
  try {
    const args = ['check-ignore', '--no-index', '-z', '--stdin'];
    const input = paths.join('\0');
    const out = execFileSync('git', args, { cwd: worktree, env: lab.env, input, stdio: ['pipe', 'pipe', 'ignore'] });
    return new Set(out.toString().split('\0'));
  } catch {
    // Exit 1: none of them is ignored.
    return new Set();
  }
}

/** A path, or the nested repository that holds it. */
const isNamed = (told: string, path: string): boolean =>
  [path, /^.*?\.repo(?=\/)/.exec(path)?.[0]].some(
    (name) => name !== undefined && told.includes(JSON.stringify(name).slice(1, -1)),
  );
