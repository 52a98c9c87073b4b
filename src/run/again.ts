import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { findKimi } from '../flavour/find.ts';
import { planHome } from '../flavour/home.ts';
import { git } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { runsFolder } from '../ledger/store.ts';
import { loadProfile } from '../profile/profile.ts';
import { checkQuota, QuotaBook } from '../profile/quota.ts';
import { parseSpec } from '../spec/parse.ts';
import type { RunPlan } from './plan.ts';
import { planProvision, provision } from './provision.ts';
import { decideSandbox, type Prepared, placesOf, type RunRequest, runEnvironment } from './run.ts';

export interface AgainRequest extends Pick<RunRequest, 'repo' | 'env' | 'root' | 'now'> {
  readonly run: RunState;
  readonly options: Pick<RunRequest['options'], 'sandbox' | 'timeoutSeconds' | 'maxSteps' | 'model'>;
}

/** The plan that a run was started with; refuses for a run whose record is incomplete. */
export function storedPlan(repo: Repo, run: RunState): RunPlan {
  const file = join(runsFolder(repo.commonDir), run.id, 'plan.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as RunPlan;
  throw refuse('wrong-state', `The plan of ${run.id} is not on record.`, `kimi-dispatch discard ${run.id}`);
}

/** Prepares another attempt in a run that exists: same worktree, same home, same session. */
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
  const home = planHome(env, { ...limits, swarm: profile.swarm }, kimi.flavour);
  checkQuota(new QuotaBook(env).week(home.account, now().getTime()), profile.requestsPerWeek);
  const specText = readFileSync(join(runsFolder(repo.commonDir), run.id, 'spec.md'), 'utf8');
  const { spec } = parseSpec(specText);
  const full: RunRequest = { repo, spec, specText, env, root, now, options: { ...options, baseline: false } };
  const sandbox = await decideSandbox(full);
  const plan = {
    ...stored,
    limits,
    sandbox: sandbox.on ? 'on' : 'off',
    kimi: { file: kimi.file, version: kimi.version, flavour: kimi.flavour },
  };
  await requireWorktree(request, plan);
  const none = { copies: [], dependencies: { how: 'none' }, setup: undefined } as const;
  return { request: full, plan, profile, kimi, home, provision: none, places, sandbox };
}

/** A worktree that was deleted by hand is made again at the same path: a session resumes only there. */
async function requireWorktree({ repo, run, env }: AgainRequest, plan: RunPlan): Promise<void> {
  if (existsSync(join(run.dir, '.git'))) return;
  await git(repo, ['worktree', 'prune'], { quiet: true });
  await git(repo, ['worktree', 'add', '-q', '--force', run.dir, run.branch], { quiet: true }).catch(() => {
    throw refuse(
      'wrong-state',
      `The worktree of ${run.id} is gone and its branch ${run.branch} too.`,
      `git apply ${join(runsFolder(repo.commonDir), run.id, 'changes.patch')}`,
    );
  });
  const place = {
    dir: run.dir,
    env: runEnvironment(env),
    marker: run.id,
    log: join(runsFolder(repo.commonDir), run.id, 'provision.log'),
  };
  const profile = loadProfile(plan.profile, placesOf(env, repo).config);
  await provision(repo, await planProvision(repo, plan.base, profile.setup), place);
}
