// Run by the client's own kit, `claude plugin test`: what stands for the engine is declared in the test.
import { describe, expect, mock, test } from 'claude-code/testing';

const PLAN = '0123456789ab';
const RUN = {
  run: '260101-0101-abcde',
  title: 'Polite',
  at: 'step 3/100 · Write a',
  step: 3,
  limit: 100,
  seconds: 5,
  tokens: 0,
  tasks: [],
  commit: 'a'.repeat(40),
};

/** The hook program, kimi-dispatch and the client, as far as the mod meets them. */
function lab(on, { answer, said, offers = true, refuses = '' }) {
  const seen = { asks: 0, requests: 0, claims: [], commands: [], woke: [], ended: false };
  const done = (stdout, stderr = '', exitCode = 0) => ({
    value: { exitCode, stdout, stderr, isStdoutTruncated: false, isStderrTruncated: false },
  });
  const decided = (input) => {
    if (input.hook_event_name === 'ModRuns') {
      const run = {
        ...RUN,
        ...(seen.ended ? { state: 'ended', outcome: 'succeeded', end: 't' } : { state: 'working', end: '' }),
      };
      return { runs: seen.commands.some((words) => words.includes('--background')) ? [run] : [], onto: 'main' };
    }
    if (input.hook_event_name === 'ModWake') return { text: `run ${input.run} ended` };
    if (input.hook_event_name === 'ModOffer')
      return offers
        ? { plan: PLAN, title: 'Polite', question: 'Who?', options: ['Kimi', 'Claude'], tries: ['run', '--dry-run'] }
        : {};
    const who = /^kimi/i.test(input.answer) ? 'kimi' : /^claude/i.test(input.answer) ? 'claude' : 'nobody';
    return { who, args: ['run', `plan:${PLAN}`, '--background'] };
  };
  on('session.start', (_$, e) => ({ cwd: e.cwd }));
  on('session.id', () => ({ value: 's1' }));
  on('session.cwd', () => ({ value: '/p' }));
  on('session.usage', () => ({ value: { context: { tokens: 1, window: 2, percent: 50 }, rateLimits: [] } }));
  on('session.messages', () => ({
    value: [{ role: said === undefined ? 'assistant' : 'user', text: said ?? '', toolUses: [] }],
  }));
  on('command.register', () => ({ value: undefined }));
  on('env.get', () => ({ value: undefined }));
  on('env.set', (_$, e) => {
    seen.claims.push(e.value);
    return { value: { isSet: true } };
  });
  on('process.run', (_$, e) => {
    if (e.argv[0] === 'node')
      return done(e.argv[1] === '--version' ? 'v24' : JSON.stringify(decided(JSON.parse(e.stdin ?? e.init?.stdin))));
    seen.commands.push(e.argv.slice(1));
    if (refuses !== '' && e.argv.includes('--dry-run')) return done('', `kimi-dispatch: ${refuses}\n`, 2);
    return done(RUN.run);
  });
  on('tool.call', { tool: 'ExitPlanMode' }, () => ({ result: { plan: '# P', isAgent: false, filePath: '/x' } }));
  on('tool.call', { tool: 'AskUserQuestion' }, (_$, e) => {
    seen.asks++;
    return answer === undefined
      ? { deny: 'dismissed' }
      : { result: { questions: e.questions, answers: { [e.questions[0].question]: answer } } };
  });
  on('turn.start', (_$, e) => ({ turnId: e.turnId }));
  on('turn.step', async function* (_$, e) {
    seen.requests++;
    yield { kind: 'stop', stopReason: 'end_turn', usage: null };
    return { turnId: e.turnId, index: e.index, answer: 'MODEL', toolUses: [], stopReason: 'end_turn', usage: null };
  });
  on('ui.notify', () => ({ value: { isSent: false, reason: 'no-surface' } }));
  on('prompt.submit', (_$, e) => {
    seen.woke.push(e.text);
    return { text: e.text };
  });
  return seen;
}

async function approve($, isInteractive = true) {
  await $.session.start({ cwd: '/p', surface: 'terminal', isInteractive });
  await $.turn.start({ text: 'plan', turnId: 't1' });
  await $.tool.call({ tool: 'ExitPlanMode', plan: '# P' });
  const steps = $.turn.step({ turnId: 't1', index: 1, model: 'm', messageCount: 3 });
  let step = await steps.next();
  while (!step.done) step = await steps.next();
  return step.value;
}

describe('hand-over', () => {
  test('Kimi: a run, no request, woken once at the end', async ($, on) => {
    const clock = mock.clock(on);
    const seen = lab(on, { answer: 'Kimi' });
    expect((await approve($)).answer).toContain('Kimi implements "Polite"');
    expect([seen.asks, seen.requests, seen.claims.length]).toEqual([1, 0, 1]);
    seen.ended = true;
    await clock.advance(10_000);
    expect(seen.woke).toEqual([`run ${RUN.run} ended`]);
  });
  test('Claude: the request goes out', async ($, on) => {
    mock.clock(on);
    const seen = lab(on, { answer: 'Claude' });
    await approve($);
    expect(seen.requests).toBe(1);
  });
  test('no answer: neither begins', async ($, on) => {
    mock.clock(on);
    const seen = lab(on, { answer: undefined });
    expect((await approve($)).answer).toContain('Nothing was chosen');
    expect(seen.requests).toBe(0);
  });
  test('"kimi" with the approval: no question', async ($, on) => {
    mock.clock(on);
    const seen = lab(on, { answer: 'Claude', said: 'kimi' });
    await approve($);
    expect([seen.asks, seen.requests]).toEqual([0, 0]);
  });
  test('no offer: the request goes out unasked', async ($, on) => {
    mock.clock(on);
    const seen = lab(on, { answer: 'Kimi', offers: false });
    await approve($);
    expect([seen.asks, seen.requests]).toEqual([0, 1]);
  });
  test('Kimi could not begin: said before any choice, and Claude goes on', async ($, on) => {
    mock.clock(on);
    const seen = lab(on, { answer: 'Kimi', refuses: 'Kimi is not logged in.' });
    await approve($);
    expect([seen.asks, seen.requests]).toEqual([0, 1]);
  });
  test('nobody at the prompt: no claim', async ($, on) => {
    mock.clock(on);
    const seen = lab(on, { answer: 'Kimi' });
    await approve($, false);
    expect([seen.asks, seen.claims.length]).toEqual([0, 0]);
  });
});

for (const surface of ['terminal', 'desktop', 'vscode', 'mobile'])
  test(`Merge by the button, tied to what was shown: ${surface}`, async ($, on) => {
    const clock = mock.clock(on);
    const seen = lab(on, { answer: 'Kimi' });
    await approve($);
    seen.ended = true;
    await clock.advance(3000);
    const ui = await $.ui.mount({
      plugin: 'kimi-dispatch',
      surface,
      component: 'AbovePrompt',
      props: { bodyColumns: 80 },
    });
    await ui.press({ key: `merge ${RUN.run}` });
    expect(seen.commands.at(-1)).toEqual(['merge', RUN.run, '--commit', RUN.commit, '--onto', 'main']);
  });
