import { renamesBetween } from '../git/change.ts';
import type { GitPlace } from '../git/git.ts';
import type { Spec } from '../spec/model.ts';
import type { Around } from '../verify/compare.ts';

/** What excuses tests that are gone: declared deletions, renames, and what a person allowed. */
export async function aroundOf(
  place: GitPlace,
  spec: Pick<Spec, 'tasks'>,
  what: { readonly from: string; readonly to: string; readonly allowedTests?: readonly string[] },
): Promise<Around> {
  const files = spec.tasks.flatMap((task) => task.files);
  return {
    deleted: files.filter((file) => file.verb === 'DELETE').map((file) => file.path),
    renamed: await renamesBetween(place, what.from, what.to),
    allowedTests: what.allowedTests ?? [],
  };
}
