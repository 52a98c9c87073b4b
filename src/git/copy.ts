import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { withLock } from '../process/lock.ts';
import { at, git, gitAnswer } from './git.ts';
import { openRepo, type Repo } from './repo.ts';

/**
 * A repository of our own for a checkout that cannot be written (a CI job may mount one so): it stands at the same
 * commit, names the same remote, and what runs make is there. `folder` is where it lies, and nothing else.
 */
export async function copyOf(repo: Repo, folder: string): Promise<Repo> {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch {
    throw refuse(
      'preflight',
      `Neither ${repo.commonDir} nor ${folder} can be written, and a run needs one of them.`,
      'Set XDG_STATE_HOME to a folder that can be written.',
    );
  }
  const dir = join(folder, repo.name);
  await withLock({ file: join(folder, 'lock'), what: 'The copy', waitMs: 120_000 }, async () => {
    // --shared borrows the objects; of a shallow repository git copies them instead.
    if (!existsSync(join(dir, '.git'))) await git(repo, ['clone', '-q', '--shared', '--no-checkout', repo.root, dir]);
    const copy = at(repo, dir);
    const remote = await gitAnswer(repo, ['remote', 'get-url', 'origin'], { answers: [2, 128] });
    if (remote.code === 0) await git(copy, ['remote', 'set-url', 'origin', remote.stdout.trim()]);
    await git(copy, ['fetch', '-q', '--update-shallow', repo.root, 'HEAD']);
    const known = await gitAnswer(copy, ['merge-base', '--is-ancestor', 'FETCH_HEAD', 'HEAD'], { answers: [1, 128] });
    // What was merged here stands on the commit already.
    if (known.code === 0 && existsSync(join(dir, '.git', 'index'))) return;
    await git(copy, ['checkout', '-q', '--force', '--detach', 'FETCH_HEAD']);
  });
  return openRepo(dir, repo.env);
}
