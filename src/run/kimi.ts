import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../files.ts';
import { checkConfig } from '../flavour/find.ts';
import type { AgentEvent } from '../flavour/flavour.ts';
import { briefsOf, makeHome } from '../flavour/home.ts';
import { kimiCli } from '../flavour/kimi-cli.ts';
import { kimiCode } from '../flavour/kimi-code.ts';
import type { NewEvent } from '../ledger/events.ts';
import { type ProcessCall, runProcess } from '../process/run.ts';
import { QuotaBook } from '../profile/quota.ts';
import { attach } from './attach.ts';
import { type Attempt, runAttempt } from './attempt.ts';
import { fill } from './brief.ts';
import type { Enclosure } from './enclosure.ts';
import type { AttemptLimits } from './limits.ts';
import { giveMailbox } from './outbox.ts';
import { readProject } from './project.ts';
import type { Prepared } from './run.ts';

/** Why an attempt is started. The first and the fresh one get the whole brief, the others resume a session. */
export type AttemptKind = 'first' | 'nudge' | 'stronger' | 'fresh' | 'revise' | 'answer' | 'resume';

export interface Turn {
  readonly kind: AttemptKind;
  /** What Kimi is told; for `first` and `fresh` the brief is made here. */
  readonly text?: string;
  readonly session?: string;
}

export interface KimiPlace {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly enclosure: Enclosure | undefined;
  readonly say: (event: NewEvent) => void;
  readonly signal: AbortSignal | undefined;
}

/** Carries out one turn with Kimi; a silent worker is nudged, more strongly, and then begun afresh. */
export async function runKimi(prepared: Prepared, place: KimiPlace, turn: Turn): Promise<Attempt> {
  const { plan, profile, kimi, home, places } = prepared;
  makeHome(plan.home, home);
  // The mailbox costs a second process at each start: it is there where the repository was initialised for it.
  if (readProject(prepared.request.repo.commonDir) !== undefined) giveMailbox(prepared);
  const config = {
    text: home.config,
    digest: home.digest,
    cacheFile: join(places.cache, 'kimi.json'),
  };
  await checkConfig(kimi, config, place.env);
  const until = performance.now() + plan.limits.wallSeconds * 1000;
  let attempt = await oneAttempt(prepared, place, turn, until);
  for (const next of LADDER.slice(0, profile.nudges)) {
    if (attempt.outcome !== 'idle-timeout' && attempt.outcome !== 'no-first-output') break;
    if (place.signal?.aborted === true || until - performance.now() < 1000) break;
    const { session } = attempt;
    const kind = session === undefined ? 'fresh' : next;
    const resumed = kind === 'fresh' || session === undefined ? {} : { session };
    attempt = await oneAttempt(prepared, place, { kind, text: nudge(prepared, kind), ...resumed }, until);
  }
  return attempt;
}

const LADDER = ['nudge', 'stronger', 'fresh'] as const;

function nudge({ request, plan }: Prepared, kind: AttemptKind): string {
  const why =
    kind === 'nudge'
      ? 'Nothing was heard from you for a long time, so you were interrupted.'
      : 'You were interrupted twice because nothing was heard from you. Do not wait for anything: no watch mode, no server in the foreground, no prompt.';
  return fill(request.root, 'resume.hbs', { why, dir: plan.dir });
}

async function oneAttempt(prepared: Prepared, place: KimiPlace, turn: Turn, until: number): Promise<Attempt> {
  const { plan, request, profile, kimi } = prepared;
  const number = attemptsIn(place.folder) + 1;
  const folder = join(place.folder, `attempt-${number}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const brief = join(briefsOf(plan.home), `brief-${number}.md`);
  const text =
    turn.kind === 'first'
      ? wholeBrief(prepared)
      : turn.kind === 'fresh'
        ? `${wholeBrief(prepared)}\n${turn.text ?? ''}`
        : (turn.text ?? '');
  for (const file of [brief, join(folder, 'prompt.md')]) writeWhole(file, text);
  const flavour = kimi.flavour === 'kimi-cli' ? kimiCli : kimiCode;
  const invocation = flavour.build({
    run: plan.run,
    brief,
    home: plan.home,
    steps: plan.limits.steps,
    attempts: plan.limits.attempts,
    ...(profile.model === undefined ? {} : { model: profile.model }),
    ...(turn.session === undefined ? {} : { session: turn.session }),
    ...(kimi.compileCache === undefined ? {} : { compileCache: kimi.compileCache }),
  });
  place.say({ type: 'attempt-started', attempt: number, why: turn.kind, limit: plan.limits.steps });
  const { enclosure } = place;
  const attempt = await runAttempt({
    file: kimi.file,
    flavour,
    invocation,
    dir: plan.dir,
    home: plan.home,
    ...(enclosure === undefined ? {} : { scratch: enclosure.scratch }),
    env: place.env,
    marker: `${plan.run}/kimi`,
    folder,
    limits: limitsOf(prepared, until),
    ...(place.signal === undefined ? {} : { signal: place.signal }),
    run: enclosure === undefined ? runProcess : (call: ProcessCall) => enclosure.attempt(call, request.repo.commonDir),
    onEvent: (event, step) => tell(place, number, event, step),
  });
  const { steps, session, tokens, outcome } = attempt;
  const { home } = prepared;
  new QuotaBook(request.env).add({ t: request.now().getTime(), account: home.account, requests: steps, run: plan.run });
  place.say({
    type: 'attempt-ended',
    attempt: number,
    steps,
    tokens,
    ...(session === undefined ? {} : { session }),
    ...(outcome === undefined ? {} : { outcome }),
  });
  return attempt;
}

function tell(place: KimiPlace, attempt: number, event: AgentEvent, step: number): void {
  // The whole stream is in stream.ndjson; the ledger holds what tells the story.
  if (event.kind === 'text' || event.kind === 'tool-result') return;
  place.say({ type: 'agent', attempt, event: { ...event, step } });
}

function wholeBrief({ request, plan }: Prepared): string {
  const to = join(briefsOf(plan.home), 'files');
  const { given, refused } = attach(request.spec.plan, { checkout: request.repo.root, worktree: plan.dir, to });
  return fill(request.root, 'brief.hbs', {
    files: given.join(', '),
    refused: refused.join(', '),
    dir: plan.dir,
    generated: request.spec.generated.map((line) => line.text).join(', '),
    review: plan.review === true ? 'yes' : '',
    task: request.spec.number,
    run: plan.run,
    guess: request.spec.scope === 'guess' ? 'yes' : '',
    only: request.options.parent === undefined || request.spec.plan === '' ? '' : (request.spec.tasks[0]?.title ?? ''),
    spec: request.specText,
  });
}

const MB = 1024 * 1024;

function limitsOf({ plan, profile }: Prepared, until: number): AttemptLimits {
  return {
    wallMs: Math.max(1, until - performance.now()),
    firstOutputMs: profile.firstOutputSeconds * 1000,
    idleMs: profile.idleSeconds * 1000,
    toolMs: profile.toolSeconds * 1000,
    steps: plan.limits.steps,
    outputBytes: profile.outputMegabytes * MB,
    diskBytes: profile.diskMegabytes * MB,
    retryMs: profile.retrySeconds * 1000,
  };
}

/** How many attempts a run folder holds. */
export const attemptsIn = (folder: string): number =>
  existsSync(folder) ? readdirSync(folder).filter((name) => /^attempt-\d+$/.test(name)).length : 0;
