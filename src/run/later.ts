import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Repo } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { runsFolder } from '../ledger/store.ts';
import { loadProfile } from '../profile/profile.ts';
import { withAllowed } from '../spec/allowed.ts';
import type { Spec } from '../spec/model.ts';
import { parseSpec } from '../spec/parse.ts';
import { readWalls } from './enclosure.ts';
import { Judge } from './judge.ts';
import { placesOf } from './places.ts';
import { findPlan } from './stored.ts';
import { ensureWalls } from './tree.ts';

export interface LaterCall {
  readonly repo: Repo;
  readonly run: RunState;
  /** The program's own folder. */
  readonly root: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The spec of a run, as it was given, with what a person allowed since. */
export const specOf = ({ repo, run }: Pick<LaterCall, 'repo' | 'run'>): Spec =>
  withAllowed(
    parseSpec(readFileSync(join(runsFolder(repo.commonDir), run.id, 'spec.md'), 'utf8')).spec,
    run.allowed?.paths ?? [],
  );

/** A judge for a verification after the run, behind the walls that the run had. `base` is a commit of the user's. */
export async function judgeLater(call: LaterCall, base: string): Promise<Judge> {
  const { repo, run, root, env } = call;
  const folder = join(runsFolder(repo.commonDir), run.id);
  await ensureWalls(run, call);
  const places = placesOf(env, repo);
  const profile = loadProfile(findPlan(repo, run)?.profile ?? 'default', places.config);
  const walls = readWalls(folder);
  return new Judge({ repo, root, env, run: run.id, spec: specOf(call), base, profile, places, folder, walls });
}
