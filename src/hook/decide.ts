import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { locateKimi } from '../flavour/locate.ts';
import { locateCommonDir } from '../git/locate.ts';
import { mailboxFolder, takeSignals } from '../mailbox/signal.ts';
import { ownerLives } from '../process/alive.ts';
import { sandboxProven } from '../process/proven.ts';
import { planId, type Sessions } from '../session/store.ts';
import { textInside } from './inside.ts';
import { permit } from './permission.ts';
import { adviceFor, describeSize, sizeOf } from './size.ts';
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

/** One decision for one event. Throws nothing that the caller does not turn into "no decision". */
export function decide(input: HookInput, context: { env: Env; now: () => Date; sessions: Sessions }): Decision {
  const hook = new Hook(input, context.env, context.now, context.sessions);
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

  constructor(
    readonly input: HookInput,
    readonly env: Env,
    readonly now: () => Date,
    readonly sessions: Sessions,
  ) {
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
    return this.#offer(plan, (said) => said, 'PostToolUse');
  }

  /** "Clear context" ends the session and begins another; every other end takes the plan with it. */
  sessionEnded(): Decision {
    const pending = this.sessions.noted<Pending>('pending', this.#session);
    this.#turnEnded();
    if (this.input.reason !== 'clear' || pending === undefined) return nothing('the session ended');
    this.sessions.note<Pending>('pending', this.#session, { ...pending, cleared: true, at: this.now().getTime() });
    return nothing(`plan ${pending.plan} waits for the session that begins now`);
  }

  sessionStarted(): Decision {
    if (this.input.source === 'clear') {
      const pending = this.#handedOver();
      if (pending === undefined) return nothing('no plan is waiting, or two are');
      this.sessions.forget('pending', pending.session);
      const plan = readText(pending.file) ?? this.sessions.plan(pending.plan) ?? '';
      return this.#offer(plan, words.offerAfterClear, 'SessionStart');
    }
    return this.#tidings('SessionStart');
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
    return inject('PostToolUse', words.chosen(plan, sandboxProven(this.env)), `the user chose Kimi for plan ${plan}`);
  }

  command(): Decision {
    const command = text(this.input.tool_input?.command) ?? '';
    const verdict = permit(command, {
      mode: text(this.input.permission_mode),
      proven: sandboxProven(this.env),
      read: (name) =>
        name.startsWith('plan:') ? this.sessions.plan(name.slice('plan:'.length)) : textInside(this.#cwd, name),
    });
    if (verdict === undefined) return nothing('no decision on this command');
    const verb = command.trim().split(/\s+/)[1] ?? '';
    const reason =
      verdict === 'ask' ? words.asks(verb) : 'kimi-dispatch: looks, or works in its own worktree and sandbox';
    return {
      output: {
        hookSpecificOutput: {
          hookEventName: 'PreToolUse',
          permissionDecision: verdict,
          permissionDecisionReason: reason,
        },
      },
      why: `${verdict} ${verb}`,
    };
  }

  /** Before Claude stops: only for a run of this session that waits for an answer, once, and never in a loop. */
  stopping(): Decision {
    if (this.input.agent_id !== undefined) return nothing('inside a subagent');
    this.#turnEnded();
    if (this.input.stop_hook_active === true) return nothing('stopping already');
    for (const { run, folder } of this.sessions.runsOf(this.#session)) {
      if (outcomeOf(folder) !== 'blocked' || reviewed(folder)) continue;
      if (!this.sessions.once('told', `${run} stop`)) continue;
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

  /** Runs of this session that ended and were not told yet, from result.json and never from an exit code. */
  #tidings(event: string, woken = false): Decision {
    if (this.input.agent_id !== undefined) return nothing('inside a subagent');
    const said: string[] = [];
    for (const owner of this.sessions.runsOf(this.#session)) {
      const { run, folder } = owner;
      const outcome = outcomeOf(folder);
      if (outcome !== undefined && !reviewed(folder)) {
        if (
          said.length === 0 &&
          this.sessions.once('told', `${run} ended ${event === 'SessionStart' ? this.#session : outcome}`)
        )
          said.push(words.ended(run, outcome));
      } else if (outcome === undefined && existsSync(folder)) {
        if (!ownerLives(owner)) {
          if (this.sessions.once('told', `${run} lost`)) said.push(words.lost(run));
        } else if (woken && (text(this.input.prompt) ?? '').includes('kimi-dispatch'))
          said.push(words.stillRunning(run));
      }
    }
    const mail = this.#mail();
    if (said[0] === undefined && mail === undefined) return nothing('nothing new about the runs of this session');
    const all = [said[0], mail].filter((line) => line !== undefined);
    return inject(event, all.join('\n'), (all[0] ?? '').slice(0, 80));
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
      words.offer({ plan: id, size: describeSize(size), advice: adviceFor(size), proven: sandboxProven(this.env) }),
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

function outcomeOf(folder: string): string | undefined {
  const text_ = readText(join(folder, 'result.json'));
  const found = text_ === undefined ? undefined : /"outcome":\s*"([a-z-]{1,40})"/.exec(text_)?.[1];
  return found;
}

const reviewed = (folder: string): boolean =>
  /"type":"(?:merged|discarded)"/.test(readText(join(folder, 'events.ndjson'))?.slice(-4000) ?? '');

/** For the log: which plan an event was about. */
export const planOf = (input: HookInput): string | undefined => {
  const plan = text(input.tool_response?.plan) ?? text(input.tool_input?.plan);
  return plan === undefined ? undefined : planId(plan);
};
