import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findKimi } from '../flavour/find.ts';
import { planHome } from '../flavour/home.ts';
import type { RunState } from '../ledger/events.ts';
import { runsFolder } from '../ledger/store.ts';
import { loadProfile } from '../profile/profile.ts';
import { checkQuota, QuotaBook } from '../profile/quota.ts';
import { specOf } from './later.ts';
import { placesOf } from './places.ts';
import { decideSandbox, type Prepared, type RunRequest } from './run.ts';
import { storedPlan } from './stored.ts';
import { distrustSlot } from './tree.ts';

export interface AgainRequest extends Pick<RunRequest, 'repo' | 'env' | 'root' | 'now'> {
  readonly run: RunState;
  readonly options: Pick<RunRequest['options'], 'sandbox' | 'timeoutSeconds' | 'maxSteps' | 'model'>;
}

/** Prepares another attempt in a run that exists and has its worktree: same home, same session. */
export async function prepareAgain(request: AgainRequest): Promise<Prepared> {
  const { repo, env, run, root, now, options } = request;
  const stored = storedPlan(repo, run);
  const places = placesOf(env, repo);
  const named = loadProfile(stored.profile, places.config);
  const profile = { ...named, ...(options.model === undefined ? {} : { model: options.model }) };
  const limits = {
    ...stored.limits,
    ...(options.maxSteps === undefined ? {} : { steps: options.maxSteps }),
    ...(options.timeoutSeconds === undefined ? {} : { wallSeconds: options.timeoutSeconds }),
  };
  const kimi = await findKimi(env, join(places.cache, 'kimi.json'));
  const home = planHome(env, { ...limits, swarm: profile.swarm, keeps: profile }, kimi.flavour);
  checkQuota(new QuotaBook(env).week(home.account, now().getTime()), profile.requestsPerWeek);
  const specText = readFileSync(join(runsFolder(repo.commonDir), run.id, 'spec.md'), 'utf8');
  const spec = specOf({ repo, run });
  const full: RunRequest = {
    repo,
    spec,
    specText,
    env,
    root,
    now,
    options: { ...options, baseline: false, allowedTests: run.allowed?.tests ?? [] },
  };
  const sandbox = await decideSandbox(full);
  const plan = {
    ...stored,
    base: run.base,
    dir: run.dir,
    limits,
    sandbox: sandbox.on ? 'on' : 'off',
    kimi: { file: kimi.file, version: kimi.version, flavour: kimi.flavour },
  };
  if (!sandbox.on) distrustSlot(run.dir);
  const none = { copies: [], copiesDigest: '', dependencies: { how: 'none' }, setup: undefined, key: '' } as const;
  return { request: full, plan, profile, kimi, home, provision: none, places, sandbox, warnings: [] };
}
