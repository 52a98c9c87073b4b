import { join } from 'node:path';
import type { Repo } from '../git/repo.ts';
import { isReviewed } from '../git/reviewed.ts';
import { type Runner, runProcess } from '../process/run.ts';
import type { Profile } from '../profile/profile.ts';
import { agreed, notAgreed } from './agreement.ts';
import type { Enclosure } from './enclosure.ts';
import type { Provision } from './provision.ts';
import { registryHosts } from './registries.ts';

export interface ProvisionerCall {
  readonly repo: Repo;
  readonly enclosure: Enclosure | undefined;
  readonly profile: Pick<Profile, 'provisionHosts'>;
  /** The state folder of the repository. */
  readonly state: string;
  readonly env: Readonly<Record<string, string>>;
  /** The commit whose lock files may name hosts. */
  readonly base: string;
}

/**
 * What starts package managers and `setup` for a tree at `commit`: inside the sandbox, where there is one. Credentials of
 * registries are there only for a tree that the user has reviewed, and so is the cache that outlives the run. Without a
 * sandbox a tree that the user has not reviewed needs the user's word.
 */
export async function provisionerFor(call: ProvisionerCall, plan: Provision, commit: string): Promise<Runner> {
  const { enclosure, repo, base, env, profile, state } = call;
  if (enclosure === undefined)
    return async (start) => {
      if (agreed(repo.env) || (await isReviewed(repo, commit))) return runProcess(start);
      throw notAgreed(`\`${[start.file, ...start.args].join(' ')}\``);
    };
  // About the environment of the dispatcher, and not of what it runs.
  const reviewed = repo.env.CI === undefined && (await isReviewed(repo, base));
  const hosts = await registryHosts(repo, plan, { base, trusted: reviewed, env });
  const trusted = reviewed && commit === base;
  return enclosure.provisioning({
    hosts: [...hosts, ...profile.provisionHosts],
    trusted,
    cache: join(state, 'cache'),
  });
}
