import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { locateKimi } from '../flavour/locate.ts';
import { currentBranch, locateCommonDir } from '../git/locate.ts';
import { mailboxFolder, takeSignals } from '../mailbox/signal.ts';
import { ownerLives } from '../process/alive.ts';
import { sandboxProven } from '../process/proven.ts';
import { planId, type SessionRun, type Sessions } from '../session/store.ts';
import { readAnswer, withNote } from './answer.ts';
import { bandRun } from './band.ts';
import { textInside } from './inside.ts';
import { permit } from './permission.ts';
import { adviceFor, describeSize, sizeOf, unchecked } from './size.ts';
import { type Facts, factsOf, headOf, standingOf } from './standing.ts';
import * as words from './words.ts';

type Env = Readonly<Record<string, string | undefined>>;
type Json = Readonly<Record<string, unknown>>;

/** What Claude Code sends on stdin, as far as we read it. Every field may be missing or of another type. */
export interface HookInput extends Json {
  readonly hook_event_name?: string;
  readonly session_id?: string;
  readonly cwd?: string;
  readonly permission_mode?: string;
  readonly tool_name?: string;
  readonly tool_use_id?: string;
  readonly tool_input?: Json;
  readonly tool_response?: Json;
  readonly agent_id?: string;
  readonly stop_hook_active?: boolean;
  readonly transcript_path?: string;
  readonly source?: string;
  readonly reason?: string;
  readonly prompt?: string;
  /** From our mod: a plan that was approved, or what the user answered about one. */
  readonly plan?: string;
  readonly answer?: string;
  readonly more?: string;
  readonly run?: string;
  readonly end?: string;
}

/** `output` goes to Claude Code as JSON; `why` goes to the log. */
export interface Decision {
  readonly output?: Json;
  readonly why: string;
}

/** A plan whose dialog is open, by the session that shows it. It waits until the turn ends. */
interface Pending {
  readonly session: string;
  readonly place: string;
  readonly plan: string;
  readonly file?: string;
  /** The call of ExitPlanMode. */
  readonly call?: string;
  /** The process of Claude Code; the same before and after "clear context". */
  readonly client?: string;
  /** True when "clear context" ended the session: a new one takes the plan over. */
  readonly cleared?: boolean;
  /** When it was shown or cleared, in milliseconds. */
  readonly at: number;
}

const MINUTES = 60_000;
const NO_KIMI = 'Kimi is not installed';
const nothing = (why: string): Decision => ({ why });

interface Context {
  readonly env: Env;
  readonly now: () => Date;
  readonly sessions: Sessions;
  /** The rule that a session begins with, as a file; undefined for none. */
  readonly rule?: string;
}

/** One decision for one event. Throws nothing that the caller does not turn into "no decision". */
export function decide(input: HookInput, context: Context): Decision {
  const hook = new Hook(input, context);
  const tool = input.tool_name;
  switch (input.hook_event_name) {
    case 'PreToolUse':
      return tool === 'ExitPlanMode' ? hook.planShown() : tool === 'Bash' ? hook.command() : nothing('not ours');
    case 'PostToolUse':
      return tool === 'ExitPlanMode'
        ? hook.planApproved()
        : tool === 'AskUserQuestion'
          ? hook.answered()
          : nothing('not ours');
    case 'ModOffer':
      return hook.modOffers();
    case 'ModAnswer':
      return hook.modAnswered();
    case 'ModRuns':
      return hook.modRuns();
    case 'ModWake':
      return hook.modWakes();
    case 'SessionEnd':
      return hook.sessionEnded();
    case 'SessionStart':
      return hook.sessionStarted();
    case 'Stop':
      return hook.stopping();
    case 'UserPromptSubmit':
      return hook.prompted();
    default:
      return nothing('an event that is not ours');
  }
}

class Hook {
  readonly #session: string;
  readonly #cwd: string;

  readonly env: Env;
  readonly now: () => Date;
  readonly sessions: Sessions;

  constructor(
    readonly input: HookInput,
    readonly context: Context,
  ) {
    ({ env: this.env, now: this.now, sessions: this.sessions } = context);
    this.#session = text(input.session_id) ?? '';
    this.#cwd = text(input.cwd) ?? '/';
  }

  /** The plan dialog is about to open: a banner in it, and a record for "clear context", which skips PostToolUse. */
  planShown(): Decision {
    const plan = text(this.input.tool_input?.plan) ?? '';
    const why = this.#silent(plan);
    if (why !== undefined) return nothing(why);
    const file = text(this.input.tool_input?.planFilePath);
    const call = text(this.input.tool_use_id);
    const client = this.env.CLAUDE_PID;
    this.sessions.note<Pending>('pending', this.#session, {
      session: this.#session,
      place: this.#place(),
      plan: this.sessions.keepPlan(plan),
      ...(file === undefined ? {} : { file }),
      ...(call === undefined ? {} : { call }),
      ...(client === undefined ? {} : { client }),
      at: this.now().getTime(),
    });
    if (this.#claimed(call)) return nothing('the mod asks');
    if (this.env.KIMI_DISPATCH_BANNER === 'off') return nothing('the banner is switched off');
    const reason = words.banner(describeSize(sizeOf(plan)));
    // `ask` shows its reason in the dialog only beside updatedInput (2.1.330); the plan itself is never altered.
    return {
      output: {
        hookSpecificOutput: {
          hookEventName: 'PreToolUse',
          permissionDecision: 'ask',
          permissionDecisionReason: reason,
          updatedInput: this.input.tool_input,
        },
      },
      why: 'the plan dialog opens: banner',
    };
  }

  planApproved(): Decision {
    const plan = text(this.input.tool_response?.plan) ?? text(this.input.tool_input?.plan) ?? '';
    const { call } = this.sessions.noted<Pending>('pending', this.#session) ?? {};
    if (call === undefined || call === this.input.tool_use_id) this.sessions.forget('pending', this.#session);
    if (this.#claimed(text(this.input.tool_use_id))) return nothing('the mod asks');
    return this.#offer(plan, (said) => said, 'PostToolUse');
  }

  /** Our mod asks whether to ask: about an approved plan, or about the text that a cleared session begins with. */
  modOffers(): Decision {
    const plan = text(this.input.plan) ?? this.#startedFrom(text(this.input.prompt) ?? '');
    if (plan === undefined) return nothing('no plan that was shown here');
    const why = this.#silent(plan);
    if (why === NO_KIMI && this.sessions.once('hint', 'no kimi')) return { output: { say: words.noKimi }, why };
    if (why !== undefined) return nothing(why);
    const id = this.sessions.keepPlan(plan);
    if (!this.sessions.once('asked', `${this.#place()} ${id}`, this.#session))
      return nothing('asked about this plan before');
    const size = sizeOf(plan);
    const advice = adviceFor(size);
    const more = text(this.input.more);
    const output = {
      plan: id,
      title: words.titleOf(plan),
      question: words.question(describeSize(size), more === undefined || more === '' ? [] : [more]),
      options: advice === 'kimi' ? ['Kimi', 'Claude'] : ['Claude', 'Kimi'],
      // Before the choice it is seen whether Kimi could begin at all.
      tries: ['run', `plan:${id}`, '--dry-run'],
    };
    return { output, why: `the mod asks about plan ${id} (${describeSize(size)})` };
  }

  /** What the user chose in the mod's dialog, or typed with the approval, as a command. */
  modAnswered(): Decision {
    const { who, profile, note } = readAnswer(text(this.input.answer) ?? '');
    const kept = text(this.input.plan) ?? '';
    const plan = this.sessions.plan(kept);
    if (who !== 'kimi' || plan === undefined) return { output: { who }, why: `the user chose: ${who}` };
    const id = note === undefined ? kept : this.sessions.keepPlan(withNote(plan, note));
    const sandbox = sandboxProven(this.env) ? ['--sandbox', 'required'] : [];
    const limits = profile === undefined ? [] : ['--profile', profile];
    const args = ['run', `plan:${id}`, '--background', ...sandbox, ...limits];
    return { output: { who, args }, why: `the user chose Kimi for plan ${id}` };
  }

  /** The plan of "clear context", which begins a session with its text; only one that was shown in this repository. */
  #startedFrom(prompt: string): string | undefined {
    if (!prompt.startsWith('Implement the following plan:')) return undefined;
    const place = this.#place();
    for (const item of this.sessions.allNoted<Pending>('pending')) {
      const plan = item.place === place ? this.sessions.plan(item.plan) : undefined;
      if (plan === undefined || !prompt.includes(plan.trim())) continue;
      this.sessions.forget('pending', item.session);
      return plan;
    }
    return undefined;
  }

  /** The runs of this session that are at work or wait for the user, for the mod's band. */
  modRuns(): Decision {
    const runs = this.sessions.runsOf(this.#session).flatMap((owner) => {
      const run = bandRun(owner.run, owner.folder, this.now());
      if (run === undefined) return [];
      return run.state === 'working' && !ownerLives(owner) ? [{ ...run, at: 'lost: kimi-dispatch recover' }] : [run];
    });
    return { output: { runs, onto: currentBranch(this.#cwd) ?? '' }, why: '' };
  }

  /** The text that wakes Claude, for the first of all windows that delivers it. */
  modWakes(): Decision {
    const run = this.#runNamed(text(this.input.run) ?? '');
    const facts = run === undefined ? undefined : factsOf(run.folder);
    if (run === undefined || facts === undefined) return nothing('no such run');
    if (!this.sessions.once('told', `${run.run} ${text(this.input.end) ?? ''}`)) return nothing('told already');
    return { output: { text: words.woken(facts, facts.title) }, why: `run ${run.run} wakes` };
  }

  /** True when our mod in the client asks about this very call. */
  #claimed = (call: string | undefined): boolean => call !== undefined && this.env.KIMI_DISPATCH_MOD === call;

  /** "Clear context" ends the session and begins another; every other end takes the plan with it. */
  sessionEnded(): Decision {
    const pending = this.sessions.noted<Pending>('pending', this.#session);
    this.#turnEnded();
    if (this.input.reason !== 'clear') return nothing('the session ended');
    const client = this.env.CLAUDE_PID;
    if (client !== undefined) this.sessions.note('window', client, { session: this.#session });
    if (pending === undefined) return nothing('the session was cleared');
    this.sessions.note<Pending>('pending', this.#session, { ...pending, cleared: true, at: this.now().getTime() });
    return nothing(`plan ${pending.plan} waits for the session that begins now`);
  }

  /** The rule, and what there is to tell: a session that is resumed has heard the rule. */
  sessionStarted(): Decision {
    const told = this.#begun();
    const rule = this.input.source === 'resume' ? undefined : this.#rule();
    const said = (told.output?.hookSpecificOutput as { additionalContext?: string } | undefined)?.additionalContext;
    if (rule === undefined || (told.output !== undefined && said === undefined)) return told;
    return inject('SessionStart', said === undefined ? rule : `${rule}\n\n${said}`, `the rule; ${told.why}`);
  }

  /** Nothing is said where no plan would be offered: without Kimi, without a repository, or where it is off. */
  #rule(): string | undefined {
    const { agent_id } = this.input;
    const common = agent_id === undefined ? locateCommonDir(this.#cwd) : undefined;
    if (common === undefined || existsSync(join(common, 'kimi-dispatch', 'off'))) return undefined;
    if (this.env.KIMI_DISPATCH === 'off' || locateKimi(this.env) === undefined) return undefined;
    return readText(this.context.rule)?.trim();
  }

  #begun(): Decision {
    if (this.input.source !== 'clear') return this.#tidings('SessionStart');
    this.#takeOverRuns();
    const pending = this.#handedOver();
    if (pending === undefined) return this.#tidings('SessionStart');
    if (this.#claimed(pending.call)) return nothing('the mod asks');
    this.sessions.forget('pending', pending.session);
    const plan = readText(pending.file) ?? this.sessions.plan(pending.plan) ?? '';
    return this.#offer(plan, words.offerAfterClear, 'SessionStart');
  }

  /** "Clear" gives the window another session; its runs go along. */
  #takeOverRuns(): void {
    const client = this.env.CLAUDE_PID;
    const before = client === undefined ? undefined : this.sessions.noted<{ session: string }>('window', client);
    if (client === undefined || before === undefined) return;
    this.sessions.forget('window', client);
    for (const run of this.sessions.runsOf(before.session)) this.sessions.addRun(this.#session, run);
  }

  /**
   * The plan of the session that "clear context" ended in this window. Its process tells which one; where that is not
   * known, only a plan that is alone is taken: another window's plan is worse than none.
   */
  #handedOver(): Pending | undefined {
    const client = this.env.CLAUDE_PID;
    const place = this.#place();
    const fresh = this.sessions
      .allNoted<Pending>('pending')
      .filter((item) => item.place === place && this.now().getTime() - item.at <= 30 * MINUTES);
    const same = fresh.filter((item) => client !== undefined && item.client === client);
    const found = same.length > 0 ? same : fresh.filter((item) => item.cleared && !(item.client && client));
    return found.length === 1 ? found[0] : undefined;
  }

  /** A plan that was neither chosen nor cleared in its turn is no longer in question. */
  #turnEnded(): void {
    for (const kind of ['pending', 'question'] as const) this.sessions.forget(kind, this.#session);
  }

  /** The user's choice: only a clear Kimi starts anything; no answer is no choice. */
  answered(): Decision {
    // The client's own dialog, opened by a mod: its answer has been heard.
    if (text(this.input.tool_use_id)?.startsWith('toolu_plugin_') === true) return nothing('a mod asked');
    const transcript = text(this.input.transcript_path);
    if (transcript !== undefined) this.sessions.addTranscript(this.#session, transcript);
    const answers = this.input.tool_response?.answers;
    const all = typeof answers === 'object' && answers !== null ? (answers as Json) : {};
    const ours = Object.entries(all).find(([question]) => question.trim() === words.QUESTION);
    if (ours === undefined) return nothing('another question, or no answer');
    const plan = this.sessions.noted<{ plan: string }>('question', this.#session)?.plan;
    if (plan === undefined) return nothing('no plan of this session is in question');
    const answer = text(ours[1]) ?? '';
    if (!/^\W*(?:delegate to )?kimi\b/i.test(answer)) return nothing('the answer is not Kimi');
    this.sessions.forget('question', this.#session);
    const title = words.titleOf(this.sessions.plan(plan) ?? '');
    const said = words.chosen(plan, title, sandboxProven(this.env));
    return inject('PostToolUse', said, `the user chose Kimi for plan ${plan}`);
  }

  command(): Decision {
    const command = text(this.input.tool_input?.command) ?? '';
    const verdict = permit(command, {
      mode: text(this.input.permission_mode),
      proven: sandboxProven(this.env),
      read: (name) =>
        name.startsWith('plan:') ? this.sessions.plan(name.slice('plan:'.length)) : textInside(this.#cwd, name),
    });
    const [, verb = '', name = ''] = command.trim().split(/\s+/);
    const run = this.#runNamed(name);
    // Whoever reads the question or answers it need not be told of it before stopping.
    if (run !== undefined && /^(?:show|answer)$/.test(verb))
      this.sessions.once('told', `${run.run} stop ${standingOf(run.folder)?.end}`);
    if (verdict === undefined) return nothing('no decision on this command');
    const facts = run === undefined ? undefined : factsOf(run.folder);
    const reason =
      verdict === 'ask' ? words.asks(verb, facts) : 'kimi-dispatch: looks, or works in its own worktree and sandbox';
    const bound = verdict === 'ask' && facts !== undefined ? this.#bound(command, facts) : undefined;
    return {
      output: {
        hookSpecificOutput: {
          hookEventName: 'PreToolUse',
          permissionDecision: verdict,
          permissionDecisionReason: reason,
          ...(bound === undefined ? {} : { updatedInput: { ...this.input.tool_input, command: bound } }),
        },
      },
      why: `${verdict} ${verb}`,
    };
  }

  /** A merge, tied to the commit and the branch that its dialog shows; undefined where there is nothing to tie. */
  #bound(command: string, { run, commit }: Facts): string | undefined {
    if (!/^kimi-dispatch merge \S+$/.test(command.trim()) || commit === undefined) return undefined;
    const branch = currentBranch(this.#cwd);
    const onto = branch !== undefined && /^\w[\w./-]*$/.test(branch) ? ` --onto ${branch}` : '';
    return `kimi-dispatch merge ${run} --commit ${commit}${onto}`;
  }

  /** A run by id, by a prefix that only one has, or `@last`; of this repository. */
  #runNamed(name: string): SessionRun | undefined {
    const folder = join(locateCommonDir(this.#cwd) ?? '/nowhere', 'kimi-dispatch', 'runs');
    if (!/^(?:@last|\d{6}[\w-]*)$/.test(name) || !existsSync(folder)) return undefined;
    const all = readdirSync(folder).filter((run) => /^\d{6}-\d{4}-\w+$/.test(run));
    const found = name === '@last' ? all.sort().slice(-1) : all.filter((run) => run.startsWith(name));
    const [run] = found;
    return run === undefined || found.length > 1 ? undefined : { run, folder: join(folder, run), pid: 0 };
  }

  /** Before Claude stops: only for a run of this session that waits for an answer, once, and never in a loop. */
  stopping(): Decision {
    if (this.input.agent_id !== undefined) return nothing('inside a subagent');
    this.#turnEnded();
    if (this.input.stop_hook_active === true) return nothing('stopping already');
    for (const { run, folder } of this.sessions.runsOf(this.#session)) {
      const standing = standingOf(folder);
      if (standing?.state !== 'ended' || standing.outcome !== 'blocked') continue;
      if (!this.sessions.once('told', `${run} stop ${standing.end}`)) continue;
      return {
        output: { decision: 'block', reason: words.waits(run, sandboxProven(this.env)) },
        why: `run ${run} waits for an answer`,
      };
    }
    return nothing('nothing of this session waits');
  }

  prompted(): Decision {
    const woken = (text(this.input.prompt) ?? '').startsWith('<task-notification>');
    // Esc ends a turn without an event; the user's next words tell.
    if (!woken) this.#turnEnded();
    return this.#tidings('UserPromptSubmit', woken);
  }

  /** Runs that ended or were lost and were not told yet, from the ledger and never from an exit code. */
  #tidings(event: string, woken = false): Decision {
    if (this.input.agent_id !== undefined) return nothing('inside a subagent');
    const begins = event === 'SessionStart';
    const said = woken ? this.#wokenBy() : [];
    const over: Facts[] = [];
    for (const owner of this.sessions.runsOf(this.#session)) {
      const standing = standingOf(owner.folder);
      // A session that begins is told once; else each end of a run is told to one session.
      const key = `${owner.run} ${standing?.end ?? ''}${begins ? ` ${this.#session}` : ''}`;
      if (standing?.state === 'ended' && over.length < 3 && this.sessions.once('told', key)) {
        const facts = factsOf(owner.folder);
        if (facts !== undefined) over.push(facts);
      }
      if (standing?.state !== 'working') continue;
      if (!ownerLives(owner)) {
        if (this.sessions.once('told', `${owner.run} lost`)) said.push(words.lost(owner.run));
      } else if (begins && this.sessions.once('told', `${key} works`)) said.push(words.works(owner.run));
    }
    if (over.length > 0) said.push(words.ended(over));
    const mail = this.#mail();
    const all = [...said, ...(mail === undefined ? [] : [mail])];
    if (all.length === 0) return nothing('nothing new about the runs of this session');
    return inject(event, all.join('\n'), (all[0] ?? '').slice(0, 80));
  }

  /** What a background shell of ours that ended means: its output names the run, whichever session began it. */
  #wokenBy(): string[] {
    const file = /<output-file>([^<]{1,500})<\/output-file>/.exec(text(this.input.prompt) ?? '')?.[1];
    const head = (file === undefined ? undefined : headOf(file)) ?? '';
    const run = this.#runNamed(/^run (\d{6}-\d{4}-\w+)$/m.exec(head)?.[1] ?? '');
    if (run === undefined) {
      const refusal = /^kimi-dispatch: [\s\S]+/m.exec(head)?.[0];
      return refusal === undefined ? [] : [words.refused(refusal)];
    }
    const standing = standingOf(run.folder);
    if (standing?.state === 'ended') {
      const facts = this.sessions.once('told', `${run.run} ${standing.end}`) ? factsOf(run.folder) : undefined;
      return facts === undefined ? [] : [words.ended([facts])];
    }
    if (standing?.state !== 'working') return [];
    const owner = this.sessions.runsOf(this.#session).find((one) => one.run === run.run);
    return owner !== undefined && !ownerLives(owner) ? [] : [words.stillRunning(run.run)];
  }

  /** Unread mail for Claude, once: a count and subjects; the bodies are data of others and come on request. */
  #mail(): string | undefined {
    const mail = takeSignals(mailboxFolder(this.env), this.env.KIMI_DISPATCH_AGENT ?? 'claude');
    return mail.length === 0 ? undefined : words.mail(mail);
  }

  #offer(plan: string, wrap: (said: string) => string, event: string): Decision {
    const why = this.#silent(plan);
    if (why === NO_KIMI && this.sessions.once('hint', 'no kimi'))
      return { output: { systemMessage: words.noKimi }, why };
    if (why !== undefined) return nothing(why);
    const id = this.sessions.keepPlan(plan);
    if (!this.sessions.once('asked', `${this.#place()} ${id}`, this.#session))
      return nothing('asked about this plan before');
    this.sessions.note('question', this.#session, { plan: id });
    const size = sizeOf(plan);
    const said = wrap(
      words.offer({
        plan: id,
        title: words.titleOf(plan),
        size: describeSize(size),
        advice: adviceFor(size),
        proven: sandboxProven(this.env),
        unchecked: unchecked(plan),
      }),
    );
    return inject(event, said, `offered plan ${id} (${describeSize(size)})`);
  }

  /** Why there is no question about this plan; undefined when there is one. */
  #silent(plan: string): string | undefined {
    if (this.#session === '') return 'no session is named';
    if (this.input.agent_id !== undefined) return 'inside a subagent';
    if (this.env.KIMI_DISPATCH === 'off') return 'switched off by KIMI_DISPATCH=off';
    if ((this.env.CLAUDE_CODE_ENTRYPOINT ?? 'cli').startsWith('sdk')) return 'nobody is there to answer';
    if (plan.trim() === '') return 'the plan is empty';
    const common = locateCommonDir(this.#cwd);
    if (common === undefined) return 'not a git repository';
    if (existsSync(join(common, 'kimi-dispatch', 'off'))) return 'switched off in this repository';
    const size = sizeOf(plan);
    if (adviceFor(size) === 'claude') return `a small plan: ${describeSize(size)}`;
    if (locateKimi(this.env) !== undefined) return undefined;
    return NO_KIMI;
  }

  #place(): string {
    const common = locateCommonDir(this.#cwd);
    return common ?? (existsSync(this.#cwd) ? realpathSync(this.#cwd) : this.#cwd);
  }
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

function readText(file: string | undefined): string | undefined {
  try {
    return file === undefined ? undefined : readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

const inject = (event: string, said: string, why: string): Decision => ({
  output: { hookSpecificOutput: { hookEventName: event, additionalContext: said } },
  why,
});

/** For the log: which plan an event was about. */
export const planOf = (input: HookInput): string | undefined => {
  const plan = text(input.tool_response?.plan) ?? text(input.tool_input?.plan);
  return plan === undefined ? undefined : planId(plan);
};
