import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { IDENTITY } from '../git/change.ts';
import { git } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import { subject } from '../quote.ts';
import type { Result } from './result.ts';

/** Larger than this is no change that a spec asked for. */
const LARGEST_PATCH = 20 * 1024 * 1024;

/** What binds a result to its patch. Throws where the file cannot be read. */
export const patchDigest = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

export interface PatchCall {
  readonly patch: Buffer;
  readonly base: string;
  readonly result: Pick<Result, 'title' | 'run' | 'spec'>;
}

/** The commit of a patch on its base, made with a private index; nothing of the checkout is touched. */
export async function commitPatch(repo: Repo, { patch, base, result }: PatchCall): Promise<string> {
  if (patch.length > LARGEST_PATCH) throw refuse('gate', 'The patch is larger than 20 MB.');
  const folder = join(repo.commonDir, 'kimi-dispatch', `patch-${result.run}-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'changes.patch');
  writeFileSync(file, patch);
  const env = { GIT_INDEX_FILE: join(folder, 'index'), ...IDENTITY };
  try {
    await git(repo, ['read-tree', base], { env });
    if (patch.length > 0)
      await git(repo, ['apply', '--cached', '--whitespace=nowarn', file], { env }).catch(() => {
        throw refuse('gate', 'The patch does not apply to its base.', 'Run the spec again.');
      });
    const tree = await git(repo, ['write-tree'], { env });
    const message = `${subject(result.title) || 'Kimi run'}\n\nKimi-Dispatch-Run: ${result.run}\nKimi-Dispatch-Spec: sha256:${result.spec.digest}`;
    return await git(repo, ['commit-tree', tree, '-p', base, '-m', message], { env });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
