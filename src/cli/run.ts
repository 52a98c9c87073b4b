import { join, relative } from 'node:path';
import { exitOfOutcome, type Refusal, refuse } from '../errors.ts';
import type { Repo } from '../git/repo.ts';
import type { RunEvent } from '../ledger/events.ts';
import { runsFolder } from '../ledger/store.ts';
import type { TaskState } from '../mailbox/model.ts';
import { ownerHere } from '../process/alive.ts';
import type { QueueSetting } from '../queue/setting.ts';
import { presentResult } from '../review/present.ts';
import type { Result } from '../review/result.ts';
import { execute } from '../run/execute.ts';
import type { RunPlan } from '../run/plan.ts';
import { requirePrincipal } from '../run/project.ts';
import { recover } from '../run/recover.ts';
import { type Known, newId, prepare, type RunOptions, sandboxMode } from '../run/run.ts';
import { moveTask, stateAfter } from '../run/task-link.ts';
import { runWaves } from '../run/waves.ts';
import { combineSpecs } from '../schedule/combine.ts';
import { type Schedule, schedule, showSchedule } from '../schedule/waves.ts';
import { Sessions } from '../session/store.ts';
import type { Spec } from '../spec/model.ts';
import { renderSpec } from '../spec/render.ts';
import { showFindings } from '../spec/show.ts';
import type { World } from '../world.ts';
import { annotateFindings, requireCiPlaces, tellCi } from './ci.ts';
import { readPatch, repoOf } from './look.ts';
import { notify } from './notify.ts';
import { makeProgress, plainProgress } from './progress.ts';
import { makeOrder, type Ordered, queueFor, runThroughQueue, showOrder } from './queue.ts';
import { refusalJson } from './refusal.ts';
import { draft, hasErrors, readWithHeader } from './spec.ts';
import { refuseAlone, refuseTogether } from './taken.ts';
import { SUPERVISED, supervise } from './wait.ts';

/** `run <spec or plan...>`: the main job. */
export async function runCommand(
  world: World,
  args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  refuseFlags(options);
  requireCiPlaces(world, options);
  const repo = await repoOf(world);
  const supervised = world.env[SUPERVISED];
  if (
    supervised === undefined &&
    options.dryRun !== true &&
    (options.background === true || world.env.CLAUDECODE === '1')
  )
    return supervise(world, repo, newId(world.now()), options);
  if (options.dryRun !== true) await recover(repo, world.now);
  requirePrincipal(repo, world.env, 'Dispatching');
  if (args.length > 1 && options.waves !== true)
    throw refuse('usage', 'Several specs run in waves.', `kimi-dispatch run ${args.join(' ')} --waves`);
  const wanted = runOptions(options, world.env);
  const read: Read[] = [];
  for (const name of args) {
    const one = await readSpec(world, repo, {
      name,
      base: wanted.base,
      header: options.header,
      json: options.json === true,
    });
    if (one === undefined) return 2;
    read.push(one);
  }
  const spec = combineSpecs(read.map((one) => one.spec));
  const specText = read.length === 1 && read[0] !== undefined ? read[0].text : renderSpec(spec);
  const setting = queueFor(world, options);
  const chosen = supervised === undefined ? wanted : { ...wanted, id: supervised };
  if (setting !== undefined)
    return queuedRun(world, repo, {
      spec,
      specText,
      options: chosen,
      setting,
      flags: options,
    });
  const prepared = await prepare({
    repo,
    spec,
    specText,
    env: world.env,
    root: world.root,
    now: world.now,
    options: chosen,
    known: read[0]?.known ?? {},
  });
  for (const warning of prepared.warnings) world.err(`${warning}\n`);
  const waves = options.waves === true ? schedule(spec) : undefined;
  if (options.dryRun === true) {
    if (waves !== undefined) {
      return tellSchedule(world, waves, options);
    }
    world.out(options.json === true ? `${JSON.stringify(prepared.plan, null, 2)}\n` : showPlan(prepared.plan));
    return 0;
  }
  const { progress, watch } = await watcher(world, repo, { plan: prepared.plan, ndjson: options.ndjson === true });
  const concurrency = typeof options.concurrency === 'number' ? options.concurrency : prepared.profile.concurrency;
  const work =
    waves === undefined
      ? execute(prepared, watch, { signal: world.signal })
      : runWaves(prepared, watch, { concurrency, eachMerge: options.verifyEach === true, signal: world.signal });
  const result = await work.finally(() => progress.stop());
  return tellResult(world, result, options);
}

/** Flags that this run would not act on. */
function refuseFlags(options: Record<string, unknown>): void {
  const pairs = [
    ['json', 'ndjson'],
    ...['background', 'artifacts', 'junit', 'ndjson'].map((name) => ['dryRun', name]),
    ...['json', 'ndjson'].map((name) => ['background', name]),
  ];
  for (const pair of pairs) refuseTogether('run', options, pair);
  refuseAlone('run', options, [
    ['concurrency', 'waves'],
    ['verifyEach', 'waves'],
  ]);
}

function tellSchedule(world: World, waves: Schedule, options: Record<string, unknown>): number {
  world.out(
    options.json === true
      ? `${JSON.stringify({ version: 1, ...waves })}\n`
      : `${showSchedule(waves)}Nothing was started.\n`,
  );
  return 0;
}

interface Read {
  readonly spec: Spec;
  readonly text: string;
  readonly known: Known;
}

/** A spec, or a plan as a spec, after its checks; nothing when they found errors, which are told. */
async function readSpec(
  world: World,
  repo: Repo,
  what: { name: string; base?: string | undefined; header?: unknown; json: boolean },
): Promise<Read | undefined> {
  const input = readWithHeader(world, what.name, what.header);
  const { path, text } = input;
  const drafted = await draft(repo, input, { number: '001', base: what.base });
  const name = relative(world.cwd, path);
  world.err(showFindings(name, drafted.plan.lines, drafted.plan.findings));
  annotateFindings(world, name, [...drafted.plan.findings, ...(drafted.text === text ? drafted.findings : [])]);
  if (!hasErrors(drafted))
    return {
      spec: drafted.spec,
      text: drafted.text,
      known: { base: drafted.facts.commit, uncommitted: drafted.facts.dirty },
    };
  world.err(showFindings(drafted.text === text ? name : 'spec.md (from the plan)', drafted.lines, drafted.findings));
  world.err(
    `Nothing was started. ${drafted.text === text ? '' : `To correct the spec by hand: kimi-dispatch spec ${name}\n`}\n`,
  );
  const refusal: Refusal = { code: 'spec-invalid', message: `${name} has errors.`, fix: `kimi-dispatch check ${name}` };
  if (what.json) world.out(refusalJson(refusal, [...drafted.plan.findings, ...drafted.findings]));
  return undefined;
}

/** The same through the queue: a worker does the work, this process waits. */
async function queuedRun(
  world: World,
  repo: Repo,
  what: Ordered & { setting: QueueSetting; flags: Record<string, unknown> },
): Promise<number> {
  const { flags, setting } = what;
  for (const name of ['concurrency', 'sandbox'])
    if (flags[name] !== undefined)
      throw refuse(
        'usage',
        `--${name} belongs to the workers of a queue.`,
        `kimi-dispatch worker --${name} ${flags[name]}`,
      );
  const waves = flags.waves === true ? schedule(what.spec) : undefined;
  if (waves !== undefined && flags.dryRun === true) return tellSchedule(world, waves, flags);
  const plain = await makeOrder(world, repo, what);
  const order = waves === undefined ? plain : { ...plain, wave: { index: 0, eachMerge: flags.verifyEach === true } };
  if (flags.dryRun === true) {
    world.out(flags.json === true ? `${JSON.stringify(order, null, 2)}\n` : showOrder(order, setting));
    return 0;
  }
  const { progress, watch } = await watcher(world, repo, { ndjson: flags.ndjson === true });
  const claude = world.env.CLAUDE_CODE_SESSION_ID;
  const { task } = what.options;
  const from = { ...(claude === undefined ? {} : { claude }), ...(task === undefined ? {} : { task }) };
  const move = async (to: TaskState): Promise<void> => {
    if (task !== undefined) await moveTask(world.env, world.now, { task, run: order.run, to, spec: what.spec });
  };
  await move('in_progress');
  const result = await runThroughQueue(world, repo, { setting, watch, order, from }).finally(() => progress.stop());
  await move(stateAfter(result.outcome));
  return tellResult(world, result, flags);
}

/** Who is told of events: a person, a program, the session that started the run. */
async function watcher(world: World, repo: Repo, how: { plan?: RunPlan; ndjson: boolean }) {
  const progress = how.plan === undefined ? plainProgress(world) : await makeProgress(world, how.plan, how.ndjson);
  const watch = (event: RunEvent): void => {
    if (how.ndjson) world.out(`${JSON.stringify(event)}\n`);
    progress.take(event);
    if (event.type === 'run-started') rememberRun(world, repo, event.id);
  };
  return { progress, watch };
}

async function tellResult(world: World, result: Result, options: Record<string, unknown>): Promise<number> {
  await notify(world, result);
  tellCi(world, result, options);
  if (options.json === true) world.out(`${JSON.stringify(result, null, 2)}\n`);
  else if (options.ndjson !== true) world.out(`${presentResult(result, readPatch(result.files.patch))}\n`);
  return exitOfOutcome(result.outcome);
}

/** Claude Code's hooks find the run by the session that started it. */
export function rememberRun(world: World, repo: Repo, run: string): void {
  const session = world.env.CLAUDE_CODE_SESSION_ID;
  if (session === undefined) return;
  const folder = join(runsFolder(repo.commonDir), run);
  new Sessions(world.env, world.now).addRun(session, { run, folder, ...ownerHere() });
}

export function runOptions(options: Record<string, unknown>, env: World['env']): RunOptions {
  const text = (name: string): string | undefined =>
    typeof options[name] === 'string' ? (options[name] as string) : undefined;
  const number = (name: string): number | undefined =>
    typeof options[name] === 'number' ? (options[name] as number) : undefined;
  const given = {
    profile: text('profile'),
    model: text('model'),
    maxSteps: number('maxSteps'),
    timeoutSeconds: number('timeout'),
    idleSeconds: number('idle'),
    thinking: text('thinking'),
    base: text('base'),
    task: text('task'),
  };
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return {
    ...known,
    sandbox: sandboxMode(text('sandbox'), env),
    baseline: options.baseline !== false,
    ...(options.review === true ? { review: true } : {}),
  };
}

function showPlan(plan: RunPlan): string {
  const rows = plan.steps.map(
    (step, index) => `${index + 1}. ${step.run ? '' : '(skipped) '}${step.title}: ${step.detail}`,
  );
  const dirty =
    plan.uncommitted.length === 0
      ? []
      : [`Not in the run: ${plan.uncommitted.length} uncommitted paths (${plan.uncommitted.slice(0, 3).join(', ')})`];
  return `${[`Run ${plan.run}: ${plan.title}`, ...rows, ...dirty, 'Nothing was started.'].join('\n')}\n`;
}
