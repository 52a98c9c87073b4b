import { createHash, randomBytes } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { refuse } from '../errors.ts';
import { findKimi, type KimiProgram } from '../flavour/find.ts';
import { briefsOf, type HomePlan, planHome } from '../flavour/home.ts';
import { checkScope } from '../gate/scope.ts';
import { type Repo, refuseKimiBranch, resolveBase, uncommitted } from '../git/repo.ts';
import { nextSlot, type SlotCall } from '../git/slot.ts';
import { runsFolder } from '../ledger/store.ts';
import { isLock, LOCK_FILES } from '../path-classes.ts';
import { allowed } from '../process/environment.ts';
import { probeSandbox } from '../process/sandbox.ts';
import { versionsFor } from '../process/versions.ts';
import { currentProfile, loadProfile, type Profile } from '../profile/profile.ts';
import { checkQuota, QuotaBook } from '../profile/quota.ts';
import type { Spec } from '../spec/model.ts';
import { describeShared } from './dependencies.ts';
import type { Walls } from './enclosure.ts';
import { type Places, placesOf } from './places.ts';
import { planRun, type RunPlan } from './plan.ts';
import { readProject } from './project.ts';
import { type Provision, planProvision } from './provision.ts';

export interface RunRequest {
  readonly repo: Repo;
  readonly spec: Spec;
  readonly specText: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The program's own folder: templates lie in it. */
  readonly root: string;
  readonly now: () => Date;
  readonly options: RunOptions;
  /** What was looked up already, for this very base and profile. */
  readonly known?: Known;
}

export interface Known {
  readonly base?: string;
  /** Uncommitted paths of the checkout. */
  readonly uncommitted?: readonly string[];
  readonly provision?: Provision;
  /** False where no Kimi will work, which needs no quota: the integration of a wave. */
  readonly model?: boolean;
}

export type SandboxMode = 'auto' | 'required' | 'off';

export interface RunOptions {
  readonly profile?: string;
  readonly model?: string;
  readonly maxSteps?: number;
  readonly timeoutSeconds?: number;
  readonly idleSeconds?: number;
  /** `off`, or an effort. */
  readonly thinking?: string;
  readonly base?: string;
  readonly sandbox: SandboxMode;
  readonly baseline: boolean;
  /** The id of the run, when the caller made it. */
  readonly id?: string;
  /** The run in waves that this one is a task of. */
  readonly parent?: string;
  readonly review?: boolean;
  /** The task of the mailbox that this run carries out. */
  readonly task?: string;
  /** Test files whose tests may be gone: a person allowed it. */
  readonly allowedTests?: readonly string[];
}

/** A run that passed every check that needs no model: ready to be printed or carried out. */
export interface Prepared {
  readonly request: RunRequest;
  readonly plan: RunPlan;
  readonly profile: Profile;
  readonly kimi: KimiProgram;
  readonly home: HomePlan;
  readonly provision: Provision;
  readonly places: Places;
  readonly sandbox: { readonly on: boolean; readonly why: string };
  /** What the user should know before the run begins. */
  readonly warnings: readonly string[];
}

/** What the policies of a run are computed from. */
export const wallsOf = ({ plan, request, profile, home, places, kimi }: Prepared): Walls => ({
  home: request.env.HOME ?? '/',
  checkout: request.repo.root,
  worktree: plan.dir,
  records: join(request.repo.commonDir, 'kimi-dispatch'),
  kimiHome: plan.home,
  kimiHomes: join(places.state, 'homes'),
  briefs: briefsOf(plan.home),
  userKimi: home.source,
  login: home.login,
  apiUrls: home.urls,
  hosts: profile.hosts,
  verifyHosts: profile.verifyHosts,
  denyRead: profile.denyRead,
  allowRead: profile.allowRead,
  tools: [
    ...programIn(request.root),
    programFolder(kimi.file),
    ...(kimi.compileCache === undefined ? [] : [kimi.compileCache]),
  ],
  ours: oursOf(request.env, places),
  claudeHome: request.env.CLAUDE_CONFIG_DIR,
  readOnly: plan.review === true,
});

/** What our own program needs of its folder, which may be the checkout itself. */
export const programIn = (root: string): string[] =>
  ['bin', 'dist', 'node_modules', 'package.json'].map((name) => join(root, name));

/** State, data, settings and caches of kimi-dispatch, of all repositories: closed to what runs in the sandbox. */
export const oursOf = (env: RunRequest['env'], places: Places): string[] => [
  dirname(places.state),
  join(env.XDG_DATA_HOME ?? join(env.HOME ?? '/tmp', '.local', 'share'), 'kimi-dispatch'),
  join(places.config, 'kimi-dispatch'),
  places.cache,
];

/** The folder of the package that a program belongs to, or where it lies. */
function programFolder(file: string): string {
  const real = existsSync(file) ? realpathSync(file) : file;
  for (let folder = dirname(real); folder !== dirname(folder); folder = dirname(folder))
    if (existsSync(join(folder, 'package.json'))) return folder;
  return dirname(real);
}

export const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Preflight: everything that can be refused is refused here, before anything exists. Writes no file. */
export async function prepare(request: RunRequest): Promise<Prepared> {
  const { repo, spec, env, options, known } = request;
  const places = placesOf(env, repo);
  const base = known?.base ?? (await resolveBase(repo, options.base ?? (spec.base === '' ? 'HEAD' : spec.base)));
  const profileName =
    options.profile ??
    (spec.profile === '' ? currentProfile(places.config, env.CI === undefined ? repo.root : undefined) : spec.profile);
  const named = loadProfile(profileName, places.config);
  const profile: Profile = {
    ...named,
    ...(options.model === undefined ? {} : { model: options.model }),
    ...(options.idleSeconds === undefined ? {} : { idleSeconds: options.idleSeconds }),
    ...(options.thinking === undefined ? {} : { thinking: options.thinking }),
  };
  const limits = {
    steps: options.maxSteps ?? spec.limits.steps ?? profile.steps,
    wallSeconds: options.timeoutSeconds ?? spec.limits.wallSeconds ?? profile.wallSeconds,
    attempts: profile.attempts,
  };
  const kimi = await findKimi(env, join(places.cache, 'kimi.json'));
  const home = planHome(env, { ...limits, swarm: profile.swarm, keeps: profile }, kimi.flavour);
  const week = new QuotaBook(env).week(home.account, request.now().getTime());
  const warning = known?.model === false ? undefined : checkQuota(week, profile.requestsPerWeek);
  const [provision, dirty] = await Promise.all([
    known?.provision ?? planProvision(repo, base, profile.setup),
    known?.uncommitted ?? uncommitted(repo),
    refuseKimiBranch(repo),
  ]);
  const review = options.review ?? readProject(repo.commonDir)?.mode === 'review';
  const sandbox = await decideSandbox(request);
  if (review && !sandbox.on)
    throw refuse(
      'preflight',
      'A review run is read-only by the sandbox, and there is none.',
      `Install its parts (kimi-dispatch doctor); ${sandbox.why}`,
    );
  const id = options.id ?? newId(request.now());
  const plan = planRun({
    run: id,
    title: spec.title,
    ...(options.parent === undefined ? {} : { parent: options.parent }),
    ...(review ? { review } : {}),
    ...(options.task === undefined ? {} : { task: options.task }),
    profileName,
    digest: digestOf(request.specText),
    base,
    branch: `kimi/${id}-${slug(spec.title)}`,
    dir: nextSlot(
      places.worktrees,
      slotCall(repo, { run: id, key: provision.key, sandboxed: sandbox.on, most: profile.pool }),
    ),
    home: join(places.state, 'homes', id),
    kimi: { file: kimi.file, version: kimi.version, flavour: kimi.flavour },
    limits,
    sandbox: sandbox.on ? 'on' : 'off',
    uncommitted: dirty,
    spec,
    profile,
    baseline: options.baseline,
    provision: describeProvision(provision),
  });
  return {
    request,
    plan,
    profile,
    kimi,
    home,
    provision,
    places,
    sandbox,
    warnings: [...(warning === undefined ? [] : [warning]), ...versionsFor(repo.root, env).missing],
  };
}

/** What a claim on a slot says; a slot whose run is on record is that run's, alive or not. */
export const slotCall = (repo: Repo, call: Omit<SlotCall, 'known'>): SlotCall => ({
  ...call,
  known: (run) => existsSync(join(runsFolder(repo.commonDir), run)),
});

/** Whether dependency folders are kept for later runs: nobody may write them then, so not where the spec lets a lock file change. */
export const keepsDependencies = ({ sandbox, request }: Pick<Prepared, 'sandbox' | 'request'>): boolean =>
  sandbox.on &&
  checkScope(request.spec, LOCK_FILES).violations.length === LOCK_FILES.length &&
  !request.spec.tasks.some((task) => task.files.some((file) => isLock(file.path))) &&
  !request.spec.generated.some((line) => LOCK_FILES.some((name) => line.text.includes(name)));

/** The flag, else the user's own setting; in CI, where nobody watches, the sandbox is required. */
export function sandboxMode(flag: string | undefined, env: RunRequest['env']): SandboxMode {
  const wanted = flag ?? (env.KIMI_DISPATCH_SANDBOX || undefined) ?? (env.CI === undefined ? 'auto' : 'required');
  if (wanted === 'auto' || wanted === 'required' || wanted === 'off') return wanted;
  throw refuse('usage', `KIMI_DISPATCH_SANDBOX is auto, required or off, not "${wanted}".`);
}

/** `auto` means that a probe ran inside; `required` refuses where it did not. */
export async function decideSandbox({
  options,
  root,
  env,
}: Pick<RunRequest, 'root' | 'env'> & { options: Pick<RunOptions, 'sandbox'> }): Promise<Prepared['sandbox']> {
  if (options.sandbox === 'off') return { on: false, why: '' };
  const probe = await probeSandbox(root, env);
  if (probe.works) return { on: true, why: '' };
  if (options.sandbox === 'auto') return { on: false, why: probe.reason };
  throw refuse(
    'preflight',
    `The sandbox is required, and ${probe.reason}.`,
    'Mend that, or use --sandbox off in a container you trust.',
  );
}

function describeProvision(plan: Provision): string[] {
  const { dependencies } = plan;
  return [
    ...plan.copies.map((path) => `copy ${path}`),
    ...(dependencies.how === 'share' ? dependencies.folders.map(describeShared) : []),
    ...(dependencies.how === 'install' ? [dependencies.argv.join(' ')] : []),
    ...(plan.setup === undefined ? [] : [plan.setup]),
  ];
}

/** `260115-0930-x7f2`: sorts by time, short enough to type, unique enough for one repository. */
export function newId(now: Date): string {
  const stamp = now.toISOString().replace(/[-:T]/g, '');
  return `${stamp.slice(2, 8)}-${stamp.slice(8, 12)}-${randomBytes(3).toString('hex').slice(0, 5)}`;
}

export function slug(title: string): string {
  const text = title
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 40)
    .replace(/-+$/, '');
  return text === '' ? 'run' : text;
}

/** The environment of what a run starts. Kimi has the user's own tools: it needs the Node that it was installed with. */
export const runEnvironment = (env: RunRequest['env'], profile: Pick<Profile, 'env'>): Record<string, string> =>
  allowed(env, profile.env);

/** The environment of provisioning and verification: with the versions of tools that the checkout asks for. */
export function checkEnvironment(
  env: RunRequest['env'],
  profile: Pick<Profile, 'env'>,
  checkout: string,
): Record<string, string> {
  const own = allowed(env, profile.env);
  const { path } = versionsFor(checkout, own);
  return path.length === 0 ? own : { ...own, PATH: [...path, own.PATH ?? ''].join(delimiter) };
}
