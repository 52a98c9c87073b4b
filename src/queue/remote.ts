import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { git, gitAnswer } from '../git/git.ts';
import { openRepo, type Repo } from '../git/repo.ts';
import { withLock } from '../process/lock.ts';
import { digestOf } from '../run/run.ts';

/** Ways of git that start no program of the remote's choice. */
const PROTOCOLS = { GIT_ALLOW_PROTOCOL: 'file:git:http:https:ssh' };

/** The address of a remote as it may lie in a queue: without user and password. */
export async function shareableRemote(repo: Repo, name: string): Promise<string> {
  const found = await gitAnswer(repo, ['remote', 'get-url', name], { answers: [2, 128] });
  if (found.code !== 0)
    throw refuse(
      'preflight',
      `There is no git remote "${name}": workers clone from it and push to it.`,
      `git remote add ${name} URL, or remote = "..." in [queue]`,
    );
  return withoutCredentials(found.stdout.trim());
}

/** The user stays for ssh, where it is no secret; for http a user may be a token. */
export function withoutCredentials(address: string): string {
  if (!/^[a-z+]+:\/\//i.test(address)) return address;
  if (!URL.canParse(address))
    throw refuse(
      'preflight',
      `The address of the git remote cannot be read: ${address}`,
      'git remote set-url NAME URL',
    );
  const url = new URL(address);
  url.password = '';
  if (url.protocol !== 'ssh:') url.username = '';
  return url.href;
}

/** Refuses when it is certain that no branch of the remote holds the base. */
export async function requirePushed(repo: Repo, remote: string, base: string): Promise<void> {
  const listed = await gitAnswer(repo, ['ls-remote', '--heads', '--end-of-options', remote], {
    ...OVER_THE_NET,
    answers: [128],
    env: PROTOCOLS,
  });
  if (listed.code !== 0)
    throw refuse(
      'preflight',
      `The git remote ${remote} does not answer: ${listed.stderr.trim().split('\n')[0]}`,
      'git fetch',
    );
  const tips = listed.stdout.split('\n').flatMap((line) => line.split('\t')[0] || []);
  const known = await git(repo, ['rev-list', '--no-walk', '--ignore-missing', ...tips, base]);
  const allKnown = new Set(known.split('\n')).size >= new Set([...tips, base]).size;
  const missing = await git(repo, ['rev-list', '-1', '--ignore-missing', base, '--not', ...tips]);
  if (missing !== '' && allKnown) throw notThere(base);
}

const notThere = (base: string): Error =>
  refuse('preflight', `The remote does not have the base ${base.slice(0, 12)}.`, 'git push, then run again');

/** The worker's clone of a remote: a repository without files; runs get worktrees of it. */
export async function cloneOf(folder: string, remote: string, env: Record<string, string>): Promise<Repo> {
  const dir = join(folder, digestOf(remote).slice(0, 16));
  await withLock({ file: `${dir}.lock`, what: 'The clone', waitMs: 60_000 }, async () => {
    if (existsSync(join(dir, '.git', 'HEAD'))) return;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    await git({ dir, env, filters: [], disk: [] }, ['init', '-q', '-b', 'kimi-dispatch-none']);
  });
  return openRepo(dir, { ...env, ...PROTOCOLS });
}

// With an empty refmap nothing but the named refs is written: the user's remote branches stay as they are.
const FETCH = ['fetch', '-q', '--no-tags', '--refmap=', '--no-write-fetch-head', '--end-of-options'];
/** A server that is silent for ever holds nobody up for ever. */
const OVER_THE_NET = { timeoutMs: 15 * 60_000 } as const;

const baseRef = (run: string): string => `refs/kimi-dispatch/base/${run}`;

/** Fetches a branch; the commit that it is at, or nothing. */
export async function fetchBranch(
  repo: Repo,
  remote: string,
  what: { branch: string; to: string },
): Promise<string | undefined> {
  const fetch = [...FETCH, remote, `+refs/heads/${what.branch}:${what.to}`];
  await gitAnswer(repo, fetch, { ...OVER_THE_NET, answers: [1, 128], env: PROTOCOLS });
  const found = await gitAnswer(repo, ['rev-parse', '-q', '--verify', what.to], { answers: [1, 128] });
  return found.code === 0 ? found.stdout.trim() : undefined;
}

/** Fetches one commit by its id; refuses when the remote does not have it. */
export async function fetchCommit(repo: Repo, remote: string, wanted: { commit: string; run: string }): Promise<void> {
  const { commit, run } = wanted;
  const known = await gitAnswer(repo, ['cat-file', '-e', `${commit}^{commit}`], { answers: [1, 128] });
  if (known.code !== 0) {
    const fetch = [...FETCH, remote];
    const by = await gitAnswer(repo, [...fetch, commit], { ...OVER_THE_NET, answers: [1, 128] });
    // A server may refuse ids that no branch ends at.
    if (by.code !== 0) {
      const heads = '+refs/heads/*:refs/kimi-dispatch/heads/*';
      const all = await gitAnswer(repo, [...fetch, heads], { ...OVER_THE_NET, answers: [1, 128] });
      if (all.code !== 0)
        throw refuse('preflight', `The remote does not answer: ${all.stderr.trim().split('\n')[0]}`, 'Look at it.');
    }
    const there = await gitAnswer(repo, ['cat-file', '-e', `${commit}^{commit}`], { answers: [1, 128] });
    if (there.code !== 0) throw notThere(commit);
  }
  await git(repo, ['update-ref', baseRef(run), commit]);
}

/** Brings many commits at once; what one call cannot bring is left to `fetchCommit`. */
export async function fetchMany(repo: Repo, remote: string, commits: readonly string[]): Promise<void> {
  for (const some of chunks(commits))
    await gitAnswer(repo, [...FETCH, remote, ...some], { ...OVER_THE_NET, answers: [1, 128] });
}

const chunks = <T>(items: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(items.length / 100) }, (_, index) => items.slice(index * 100, index * 100 + 100));

export const forgetCommit = (repo: Repo, run: string): Promise<unknown> =>
  gitAnswer(repo, ['update-ref', '-d', baseRef(run)], { answers: [1, 128] });

/**
 * Pushes one commit to one branch. Twice is once: what is there is replaced only if nobody else has replaced it since
 * we looked. Returns why the remote refused, or nothing.
 */
export async function pushCommit(
  repo: Repo,
  remote: string,
  what: { commit: string; branch: string },
): Promise<string | undefined> {
  const ref = `refs/heads/${what.branch}`;
  const listed = await gitAnswer(repo, ['ls-remote', '--end-of-options', remote, ref], {
    ...OVER_THE_NET,
    answers: [128],
  });
  const there = listed.stdout.split('\t')[0]?.trim() ?? '';
  if (there === what.commit) return undefined;
  const pushed = await gitAnswer(
    repo,
    [
      'push',
      '-q',
      '--no-verify',
      `--force-with-lease=${ref}:${there}`,
      '--end-of-options',
      remote,
      `${what.commit}:${ref}`,
    ],
    { ...OVER_THE_NET, answers: [1, 128] },
  );
  if (pushed.code === 0) return undefined;
  const lines = pushed.stderr.trim().split('\n');
  return (lines.find((line) => /rejected|denied|error|fatal/i.test(line)) ?? lines[0] ?? 'no reason').trim();
}

/** Takes branches off the remote; what is gone already, or may not go, stays so. */
export async function deleteBranches(repo: Repo, remote: string, branches: readonly string[]): Promise<void> {
  for (const some of chunks(branches)) {
    const refs = some.map((branch) => `:refs/heads/${branch}`);
    await gitAnswer(repo, ['push', '-q', '--no-verify', '--end-of-options', remote, ...refs], {
      ...OVER_THE_NET,
      answers: [1, 128],
    });
  }
}
