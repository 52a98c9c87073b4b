import { fields, git } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';

/** Names of what a checkout holds beside its commits because its tests need it: settings, certificates, generated code. */
const LIKELY =
  /(^|\/)(\.env(\.[\w.-]+)?|\.dev\.vars|local\.(properties|settings\.json)|[\w.-]+\.local(\.[\w-]+)?|[\w.-]+\.(pem|crt|cer|key|p12|jks|keystore|mobileprovision)|google-services\.json|certs?\/|fixtures?\/|__?generated__?\/|generated\/|gen\/)$/i;

/** Ignored files and folders of the checkout that a worktree lacks and its checks may need; folders end with a slash. */
export async function lackingIn(repo: Repo, copies: readonly string[]): Promise<string[]> {
  const args = ['ls-files', '-z', '--others', '--ignored', '--exclude-standard', '--directory'];
  const there = new Set(copies);
  return fields(await git(repo, args)).filter(
    (path) =>
      LIKELY.test(path) && !there.has(path) && !(path.endsWith('/') && copies.some((copy) => copy.startsWith(path))),
  );
}

/** The sentence about them; none where the worktree lacks nothing. */
export const sayLacking = (paths: readonly string[]): string[] =>
  paths.length === 0
    ? []
    : [
        `the checkout has ${paths.slice(0, 4).join(', ')}${paths.length > 4 ? ` and ${paths.length - 4} more` : ''}, but the worktree does not; list what the checks need in .worktreeinclude`,
      ];
