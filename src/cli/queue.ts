import { join } from 'node:path';
import { refuse } from '../errors.ts';
import type { Repo } from '../git/repo.ts';
import { resolveBase } from '../git/repo.ts';
import { versionIn } from '../install/runtime.ts';
import type { RunEvent, RunState } from '../ledger/events.ts';
import { currentProfile } from '../profile/profile.ts';
import type { DispatchCall } from '../queue/dispatch.ts';
import type { Order } from '../queue/order.ts';
import { type QueueSetting, queueSetting, withoutPassword } from '../queue/setting.ts';
import type { Result } from '../review/result.ts';
import { placesOf } from '../run/places.ts';
import { digestOf, newId, type RunOptions, sandboxMode, slug } from '../run/run.ts';
import { moveTask, stateAfter } from '../run/task-link.ts';
import type { Spec } from '../spec/model.ts';
import { gitEnvironment, type World } from '../world.ts';

type Options = Record<string, unknown>;

const configHome = (env: World['env']): string => env.XDG_CONFIG_HOME ?? join(env.HOME ?? '/tmp', '.config');

/** The queue that a run goes through, or none: `--no-queue`, or none set. */
export const queueFor = (world: World, options: Options): QueueSetting | undefined =>
  options.queue === false ? undefined : queueSetting(world.env, configHome(world.env));

export interface Ordered {
  readonly spec: Spec;
  readonly specText: string;
  readonly options: RunOptions;
}

/** The order of a run; refuses what no worker could carry out. Writes nothing. */
export async function makeOrder(world: World, repo: Repo, what: Ordered & { setting: QueueSetting }): Promise<Order> {
  const { spec, specText, options, setting } = what;
  const { shareableRemote, requirePushed } = await import('../queue/remote.ts');
  const base = await resolveBase(repo, options.base ?? (spec.base === '' ? 'HEAD' : spec.base));
  const remote = await shareableRemote(repo, setting.remote);
  await requirePushed(repo, setting.remote, base);
  const run = options.id ?? newId(world.now());
  const { model, maxSteps, timeoutSeconds, idleSeconds, baseline, review } = options;
  const given = Object.entries({ model, maxSteps, timeoutSeconds, idleSeconds, review });
  return {
    format: 1,
    version: versionIn(world.root) ?? 'unknown',
    run,
    title: spec.title,
    spec: specText,
    digest: digestOf(specText),
    base,
    branch: `kimi/${run}-${slug(spec.title)}`,
    remote,
    profile: options.profile ?? (spec.profile === '' ? currentProfile(configHome(world.env), repo.root) : spec.profile),
    options: { ...Object.fromEntries(given.filter(([, value]) => value !== undefined)), baseline },
  };
}

/** What `--dry-run` prints of an order. */
export function showOrder(order: Order, setting: QueueSetting): string {
  return [
    `Run ${order.run}: ${order.title}`,
    `1. Queue: ${withoutPassword(setting.url)}, profile ${order.profile}`,
    `2. A worker clones ${order.remote} at ${order.base.slice(0, 12)}, runs the spec, and pushes ${order.branch}`,
    '3. Here: take the change over, look at the gate again, write the result',
    'Nothing was started.\n',
  ].join('\n');
}

interface Through {
  readonly setting: QueueSetting;
  readonly watch: (event: RunEvent) => void;
}

/** Opens the queue for one call and closes it afterwards. */
async function through(
  world: World,
  repo: Repo,
  { setting, watch }: Through,
  work: (call: DispatchCall) => Promise<Result>,
): Promise<Result> {
  const { openQueue } = await import('../queue/connect.ts');
  const door = await openQueue(setting);
  const homes = join(placesOf(world.env, repo).state, 'homes');
  try {
    return await work({ door, repo, remote: setting.remote, homes, watch, now: world.now, signal: world.signal });
  } finally {
    door.close();
  }
}

/** Puts an order into the queue and waits for its result. */
export async function runThroughQueue(
  world: World,
  repo: Repo,
  what: Through & { order: Order; from: Partial<RunState> },
): Promise<Result> {
  const { awaitQueued, enqueue } = await import('../queue/dispatch.ts');
  return through(world, repo, what, async (call) => {
    await enqueue(call, what.order, what.from);
    return awaitQueued(call, what.order.run);
  });
}

/** Goes on waiting for a queued run whose waiter is gone. */
export async function waitAgain(
  world: World,
  repo: Repo,
  what: { run: RunState; watch: Through['watch'] },
): Promise<Result> {
  const setting = queueSetting(world.env, configHome(world.env));
  if (setting === undefined)
    throw refuse(
      'usage',
      `Run ${what.run.id} is in a queue, and none is set here.`,
      '[queue] with url = "redis://HOST:6379"',
    );
  const { awaitQueued } = await import('../queue/dispatch.ts');
  const result = await through(world, repo, { setting, watch: what.watch }, (call) => awaitQueued(call, what.run.id));
  const { id, task } = what.run;
  if (task !== undefined) await moveTask(world.env, world.now, { task, run: id, to: stateAfter(result.outcome) });
  return result;
}

/** `worker`: takes runs off the queue until it is told to end. */
export async function workerCommand(world: World, _args: readonly string[], options: Options): Promise<number> {
  const setting = queueSetting(world.env, configHome(world.env));
  if (setting === undefined)
    throw refuse(
      'usage',
      'A worker needs a queue.',
      'KIMI_DISPATCH_QUEUE_URL=redis://HOST:6379, or [queue] with url in config.toml',
    );
  const { openQueue } = await import('../queue/connect.ts');
  const { runWorker } = await import('../queue/worker.ts');
  const state = world.env.XDG_STATE_HOME ?? join(world.env.HOME ?? '/tmp', '.local', 'state');
  const place = {
    env: world.env,
    gitEnv: gitEnvironment(world.env),
    clones: join(state, 'kimi-dispatch', 'clones'),
    root: world.root,
    now: world.now,
    // Nobody watches a worker.
    sandbox: sandboxMode(typeof options.sandbox === 'string' ? options.sandbox : undefined, {
      ...world.env,
      CI: 'true',
    }),
    remotes: setting.remotes,
  };
  await requireSandbox(world, place.sandbox);
  const door = await openQueue(setting);
  const version = versionIn(world.root) ?? 'unknown';
  const concurrency = typeof options.concurrency === 'number' ? options.concurrency : 1;
  const say = (line: string): void => world.err(`${world.now().toISOString().slice(11, 23)} ${line}\n`);
  if (setting.remotes.length === 0)
    say('works for every git remote: remotes = [...] in [queue] names those that it is for');
  try {
    await runWorker({ door, setting, place, version, concurrency, signal: world.signal, say });
  } finally {
    door.close();
  }
  return 0;
}

/** A worker that cannot hold what it runs takes nothing off the queue. */
async function requireSandbox(world: World, mode: string): Promise<void> {
  if (mode !== 'required') return;
  const { probeSandbox } = await import('../process/sandbox.ts');
  const probe = await probeSandbox(world.root, world.env);
  if (!probe.works)
    throw refuse(
      'preflight',
      `A worker runs in the sandbox, and ${probe.reason}.`,
      'Mend that, or use --sandbox off in a container you trust.',
    );
}
