import type { EngineInterface, Register } from 'claude-code';
import { atom, read, update } from 'claude-code';
import {
  backCommand,
  buttons,
  commandOf,
  decides,
  filesOf,
  head,
  keyOf,
  newlyEnded,
  ranked,
  rankingOf,
  refusal,
  starts,
  startsFromPlan,
  windows,
} from './pure';
import type { Band, Run } from './state.d.ts';

// The mod asks, shows, wakes and merges inside the client. What it asks, and whether, is decided by the hook program.

const BAND = { plugin: 'kimi-dispatch', key: 'band' } as const;
const WAITING = { plugin: 'kimi-dispatch', key: 'waiting' } as const;
const VIEW = { plugin: 'kimi-dispatch', key: 'view' } as const;
const band = atom(BAND, null);
/** What the pane shows, and for which run a text is being written. */
const wait = atom(WAITING, null);
const view = atom(VIEW, { files: [], writing: '' });
const PANE = 'kimi';
const NOTHING = 'Nothing was chosen, so nothing was started. Say "kimi" or "claude", or approve the plan again.';

let ready = false;
/** A plan that was asked about without an answer; the next words may choose. */
let open: { plan: string; title: string } | undefined;
let timer: (() => void) | undefined;
/** Ends of runs that need no wake: they were there when this window came. */
let seen: Set<string> | undefined;

type Told = Record<string, unknown>;
type Waiting = { plan?: string; prompt?: string };

/** Asks the hook program; an empty answer is "no". */
async function ask($: EngineInterface, event: Told): Promise<Told> {
  const input = { ...event, session_id: await $.session.id(), cwd: await $.session.cwd() };
  const said = await $.process.run(['node', `${$.plugin.root}/dist/hook.cjs`], { stdin: JSON.stringify(input) });
  return said.stdout.trim() === '' ? {} : (JSON.parse(said.stdout) as Told);
}

/** Runs a command of kimi-dispatch, as the person and for this session. */
async function command($: EngineInterface, args: readonly string[]) {
  const env = { CLAUDE_CODE_SESSION_ID: await $.session.id() };
  return $.process.run([`${$.plugin.root}/bin/kimi-dispatch`, ...args], { env, timeoutMs: 300_000 });
}

async function look($: EngineInterface): Promise<void> {
  const told = (await ask($, { hook_event_name: 'ModRuns' })) as unknown as Band;
  const runs = told.runs ?? [];
  await update($, band, () => ({ runs, onto: told.onto ?? '' }));
  seen ??= new Set(runs.filter((run) => run.state === 'ended').map(keyOf));
  for (const run of newlyEnded(runs, seen)) {
    seen.add(keyOf(run));
    await wake($, run);
  }
  if (runs.some((run) => run.state === 'working')) watch($);
  else rest();
}

async function wake($: EngineInterface, run: Run): Promise<void> {
  const { text } = await ask($, { hook_event_name: 'ModWake', run: run.run, end: run.end });
  if (typeof text !== 'string') return;
  $.ui.notify(`${run.title}: ${run.outcome ?? 'ended'}`, { title: 'Kimi' }).catch(() => {});
  await $.prompt.submit({ text });
}

function watch($: EngineInterface): void {
  timer ??= stopper($.clock.every(2000, () => void look($).catch(() => {})));
}

/** Kits and clients hand a timer back as a function or as an object. */
const stopper =
  (made: unknown): (() => void) =>
  () =>
    typeof made === 'function' ? made() : (made as { cancel(): void }).cancel();

function rest(): void {
  timer?.();
  timer = undefined;
}

const hold = ($: EngineInterface, plan: Waiting | null) => update($, wait, () => plan);

/** Whether Kimi could begin: login, quota, the plan's own faults; its words if not. */
async function tries($: EngineInterface, told: Told): Promise<{ why?: string; note: string }> {
  const said = await command($, told.tries as string[]);
  if (said.exitCode !== 0) return { why: refusal(said.stderr), note: '' };
  return { note: /^(\d+ of \d+ requests of this week are used)/m.exec(said.stderr)?.[1] ?? '' };
}

/** The sentence that ends the turn, or undefined when Claude goes on. */
async function decide($: EngineInterface, plan: Waiting, words: string): Promise<string | undefined> {
  const usage = await $.session.usage().catch(() => undefined);
  const told = await ask($, { hook_event_name: 'ModOffer', ...plan, more: windows(usage?.rateLimits ?? []) });
  if (typeof told.say === 'string') $.ui.log(told.say);
  if (typeof told.plan !== 'string') return undefined;
  if (/^\s*claude\b/i.test(words)) return undefined;
  const { why, note } = await tries($, told);
  if (why !== undefined) {
    $.ui.log(`Kimi cannot take this plan: ${why}`);
    return undefined;
  }
  const kept = { plan: told.plan, title: String(told.title) };
  if (/^\s*kimi\b/i.test(words)) return begin($, kept, words);
  const question = note === '' ? String(told.question) : `${String(told.question)} ${note}.`;
  const answer = await $.ui
    .ask(question, { options: told.options as string[], header: 'Implementer' })
    .catch(() => undefined);
  return begin($, kept, answer ?? '');
}

async function begin(
  $: EngineInterface,
  kept: { plan: string; title: string },
  words: string,
): Promise<string | undefined> {
  const { who, args } = await ask($, { hook_event_name: 'ModAnswer', plan: kept.plan, answer: words });
  if (who === 'claude') return undefined;
  if (who !== 'kimi') {
    open = kept;
    return NOTHING;
  }
  const said = await command($, args as string[]);
  if (said.exitCode !== 0) return `Kimi did not start: ${refusal(said.stderr)}`;
  await look($).catch(() => {});
  return `Kimi implements "${kept.title}" (run ${said.stdout.trim()}). I will be woken with the result.`;
}

async function press($: EngineInterface, verb: 'merge' | 'discard', run: Run): Promise<void> {
  const shown = await read($, band);
  const said = await command($, commandOf(verb, run, shown?.onto ?? ''));
  const text = said.exitCode === 0 ? (said.stdout.trim().split('\n')[0] ?? '') : refusal(said.stderr);
  $.ui.toast(`Kimi: ${text}`);
  const done = said.exitCode === 0 ? 'pressed' : 'pressed, and it was refused:';
  await note($, `The user ${done} ${verb} for run ${run.run}: ${text}`);
  await look($);
}

async function sendBack($: EngineInterface, run: Run, words: string): Promise<void> {
  const said = words.trim() === '' ? undefined : await command($, backCommand(run, words));
  await update($, view, (before) => ({ ...before, writing: '' }));
  if (said === undefined) return;
  $.ui.toast(said.exitCode === 0 ? `Kimi: ${run.title} was sent back` : `Kimi: ${refusal(said.stderr)}`);
  if (said.exitCode === 0) await note($, `The user sent run ${run.run} back: ${words}`);
  await look($);
}

/** For the next turn; it begins none. */
const note = ($: EngineInterface, text: string) =>
  $.session.append({ message: { type: 'user', content: [{ type: 'text', text }] } });

async function diff($: EngineInterface, run: Run): Promise<void> {
  const [shown, patch] = [await command($, ['show', run.run]), await command($, ['diff', run.run])];
  const files = ranked(filesOf(patch.stdout), rankingOf(shown.stdout)).slice(0, 40);
  await update($, view, (before) => ({ ...before, files }));
  await $.ui.open({ id: PANE, title: `Kimi: ${run.title}`, focus: true, closeOnEscape: true });
}

const writes = ($: EngineInterface, run: Run) => update($, view, (before) => ({ ...before, writing: run.run }));

type Drawing = Parameters<EngineInterface['ui']['resolve']>[0];

function row($: EngineInterface, e: Drawing, run: Run, writing: boolean) {
  const { Box, Text, Button, Input, Progress } = $.ui.resolve(e);
  const has = buttons(run);
  return (
    <Box flexDirection="column" key={run.run}>
      {run.state === 'working' && run.limit > 0 ? (
        <Progress label={head(run)} value={run.step} max={run.limit} />
      ) : (
        <Text>{head(run)}</Text>
      )}
      {run.tasks.length > 0 ? <Text dimColor>{run.tasks.join(' · ')}</Text> : null}
      {run.reason === undefined ? null : <Text dimColor>{run.reason}</Text>}
      {writing ? (
        <Input
          key={`text ${run.run}`}
          label={run.outcome === 'blocked' ? 'Answer: ' : 'What to change: '}
          autoFocus
          onSubmit={(text: string) => void sendBack($, run, text)}
        />
      ) : null}
      <Box flexDirection="row" columnGap={1}>
        {has.includes('merge') ? (
          <Button key={`merge ${run.run}`} variant="primary" hotkey="m" onPress={() => void press($, 'merge', run)}>
            Merge
          </Button>
        ) : null}
        {has.includes('back') ? (
          <Button key={`back ${run.run}`} hotkey="b" onPress={() => void writes($, run)}>
            {run.outcome === 'blocked' ? 'Answer' : 'Send back'}
          </Button>
        ) : null}
        {has.includes('discard') ? (
          <Button key={`discard ${run.run}`} hotkey="x" onPress={() => void press($, 'discard', run)}>
            Discard
          </Button>
        ) : null}
        {has.includes('diff') ? (
          <Button key={`diff ${run.run}`} hotkey="d" onPress={() => void diff($, run)}>
            Diff
          </Button>
        ) : null}
      </Box>
    </Box>
  );
}

/** Everything that is used later is tried once; what is missing means that the hooks ask, as they do without us. */
async function probe($: EngineInterface): Promise<boolean> {
  try {
    if ((await $.env.get('KIMI_DISPATCH_MOD')) === 'off') return false;
    await $.session.id();
    await $.session.cwd();
    await read($, band);
    const description = 'The Kimi runs of this session';
    await $.command.register({ name: 'kimi', description }).catch(() => {});
    return (await $.process.run(['node', '--version'])).exitCode === 0;
  } catch {
    return false;
  }
}

const shows = async ($: EngineInterface): Promise<boolean> =>
  ((await read($, band))?.runs ?? []).some((run) => run.state === 'ended');

export const register: Register = (on) => {
  on('session.start', async ($, e, next) => {
    const out = await next(e);
    ready = e.isInteractive && (await probe($));
    if (ready) await look($).catch(() => {});
    return out;
  });

  // The claim: while this call runs our settings hooks see its id and stay silent. Without it they speak.
  on('tool.call', { tool: 'ExitPlanMode' }, async ($, e, next) => {
    if (!ready || e.agentId !== undefined) return next(e);
    await update($, wait, () => null);
    await $.env.set('KIMI_DISPATCH_MOD', e.tool_use_id);
    const out = await next(e);
    if (out.deny === undefined && !out.isError && !out.result?.isAgent && typeof out.result?.plan === 'string')
      await hold($, { plan: out.result.plan });
    return out;
  }).catch(async ($, e, next) => {
    const out = await next(e);
    if (
      ready &&
      e.agentId === undefined &&
      out.deny === undefined &&
      !out.isError &&
      typeof out.result?.plan === 'string'
    )
      await hold($, { plan: out.result.plan });
    return out;
  });

  on('turn.start', async ($, e, next) => {
    if (e.agentId === undefined) {
      if (ready) await hold($, startsFromPlan(e.text) ? { prompt: e.text } : null);
      if (open !== undefined && !/^\s*(?:kimi|claude)\b/i.test(e.text)) open = undefined;
    }
    return next(e);
  });

  // Approved, approved with words, and "clear context" all come here before any request about the plan is sent.
  on('turn.step', async function* ($, e, next) {
    if (!ready || e.agentId !== undefined) return yield* next(e);
    const [plan, asked] = [await read($, wait), open];
    if (plan === null && asked === undefined) return yield* next(e);
    await hold($, null);
    open = undefined;
    const last = (await $.session.messages()).at(-1);
    const words = plan?.prompt === undefined && last?.role === 'user' ? String(last.text) : '';
    const work = plan !== null ? decide($, plan, words) : asked === undefined ? undefined : begin($, asked, words);
    // Whatever fails here, nobody begins to write unasked.
    const text = await work?.catch(
      (error: unknown) => `The question about Kimi failed: ${String(error).slice(0, 200)}`,
    );
    if (text === undefined) return yield* next(e);
    yield { kind: 'text', index: 0, text };
    yield { kind: 'stop', stopReason: 'end_turn', usage: null };
    return { turnId: e.turnId, index: e.index, answer: text, toolUses: [], stopReason: 'end_turn', usage: null };
  });

  on('tool.call', { tool: 'Bash' }, async ($, e, next) => {
    if (ready && decides(e.command) && (await shows($)))
      return { deny: 'Merging, discarding and taking back are decided by the user: the buttons of the Kimi band.' };
    const out = await next(e);
    if (ready && starts(e.command)) await look($).catch(() => {});
    return out;
  }).catch((_$, e, next) =>
    decides(e.command) && !next.called ? { deny: 'The guard of merges failed; ask the user to merge.' } : next(e),
  );

  on('turn.complete', async ($, e, next) => {
    const out = await next(e);
    if (ready && e.agentId === undefined) void look($).catch(() => {});
    return out;
  });

  on('ui.render', { component: 'AbovePrompt' }, async ($, e, next) => {
    const runs = (await read($, band))?.runs ?? [];
    const { writing } = await read($, view);
    const { Box } = $.ui.resolve(e);
    if (runs.length === 0) return next(e);
    return <Box flexDirection="column">{runs.slice(-3).map((run) => row($, e, run, writing === run.run))}</Box>;
  });

  on('ui.render', { component: 'Pane', requestId: PANE }, async ($, e) => {
    const { files } = await read($, view);
    const { Box, Text, Code } = $.ui.resolve(e);
    return (
      <Box flexDirection="column">
        {files.length === 0 ? <Text dimColor>No change.</Text> : null}
        {files.map(({ path, hunks }) => (
          <Box flexDirection="column" key={path}>
            <Text bold>{path}</Text>
            {hunks === '' ? <Text dimColor>no text</Text> : <Code format="diff" source={hunks.slice(0, 20_000)} />}
          </Box>
        ))}
      </Box>
    );
  });

  on('command.run', { command: 'kimi' }, async ($) => {
    await look($).catch(() => {});
    const runs = (await read($, band))?.runs ?? [];
    return { text: runs.length === 0 ? 'No Kimi run of this session is open.' : runs.map(head).join('\n') };
  });
};
