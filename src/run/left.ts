import type { Collected } from '../git/collect.ts';

/** What of a worker's work is not in the change, as notes of the result. `edited` are paths inside of submodules. */
export function notesOnLeft({ left, ignored }: Collected, edited: readonly string[] = []): string[] {
  const some = (paths: readonly string[]): string =>
    `${paths.slice(0, 5).join(', ')}${paths.length > 5 ? ` and ${paths.length - 5} more` : ''}`;
  return [
    ...left.slice(0, 3).map(({ path, why }) => `not in the change: ${path} (${why}); it lies in the worktree`),
    ...(left.length > 3 ? [`not in the change either: ${some(left.slice(3).map(({ path }) => path))}`] : []),
    ...(edited.length === 0 ? [] : [`changed inside of a submodule, so not in the change: ${some(edited)}`]),
    ...(ignored.length === 0 ? [] : [`ignored by git, so not in the change: ${some(ignored)}`]),
  ];
}
