import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kimiConfig, startModel } from '../../scripts/model-server.mjs';
import { probeSandbox } from '../../src/process/sandbox.ts';
import { Lab, ROOT, spec } from '../helpers/repo.ts';

const sandbox = await probeSandbox(ROOT, { PATH: process.env.PATH, HOME: tmpdir() });

// The real @moonshot-ai/kimi-code; only the model is scripted, over its own wire format, on loopback.
type Reply = Record<string, unknown>;
type Script = (request: {
  messages: { role: string; content: unknown }[];
  turn: number;
  tools?: { function: { name: string } }[];
}) => Reply;

const call = (name: string, input: Record<string, unknown>): Reply => ({ calls: [{ name, arguments: input }] });
const write = (text: string): Reply => call('Write', { path: 'greet.txt', content: text });
const done: Reply = {
  text: 'Done.\n```json\n{"worker_id":"kimi","task_id":"001","status":"done","result":{"summary":"ok","files_modified":["greet.txt"]}}\n```',
};
const turns =
  (...replies: Reply[]): Script =>
  ({ turn }) =>
    replies[turn] ?? done;

let lab: Lab;
let model: Awaited<ReturnType<typeof startModel>>;
let script: Script;

beforeEach(async () => {
  model = await startModel((request: never) => script(request));
  lab = new Lab({ 'greet.txt': 'hello\n' }, { kimi: 'real', config: kimiConfig(model.url) });
  writeFileSync(join(lab.folder, 'spec.md'), spec('real'));
});
afterEach(async () => {
  await model.close();
  lab.remove();
});

const run = (...more: string[]) => lab.run(['run', '../spec.md', ...more]);

/** A user's own Kimi: a skill, AGENTS.md, two MCP servers, a hook that would stop every call. */
function ownKimi(): void {
  const home = join(lab.home, '.kimi-code');
  mkdirSync(join(home, 'skills', 'polite'), { recursive: true });
  writeFileSync(
    join(home, 'skills', 'polite', 'SKILL.md'),
    '---\nname: polite\ndescription: POLITE-SKILL of the user\n---\nSay please.\n',
  );
  writeFileSync(join(home, 'AGENTS.md'), 'AGENTS-WORDS of the user\n');
  const server = { command: process.execPath, args: [join(ROOT, 'bin', 'kimi-dispatch.js'), 'mcp'] };
  writeFileSync(join(home, 'mcp.json'), JSON.stringify({ mcpServers: { docs: server, other: server } }));
  const config = kimiConfig(model.url).replace('type = "openai"', 'type = "kimi"');
  const hook =
    '\n[[hooks]]\nevent = "PreToolUse"\nmatcher = ".*"\ncommand = "exit 2"\n[tools]\ndisabled = ["FetchURL"]\n';
  writeFileSync(join(home, 'config.toml'), `${config}${hook}`);
}

describe("what a run keeps of the user's own Kimi", () => {
  const asked = (): string => JSON.stringify(model.requests);

  it('by default skills, AGENTS.md and what is denied; what stays behind is said', async () => {
    ownKimi();
    script = turns(write('hello please\n'));
    expect((await run('--no-baseline')).code).toBe(0);
    expect(asked()).toContain('POLITE-SKILL');
    expect(asked()).toContain('AGENTS-WORDS');
    expect(asked()).not.toContain('mcp__docs');
    expect(asked()).not.toContain('"name":"FetchURL"');
    const left = 'MCP servers docs, other (profile: mcp); 1 hooks (profile: hooks)';
    expect((await lab.result()).notes).toContainEqual(expect.stringContaining(left));
    expect((await lab.run(['doctor'])).stdout).toContain(left);
  });

  it("by the profile: an MCP server by name, hooks, no skills; and the model's thinking", async () => {
    ownKimi();
    mkdirSync(join(lab.home, '.config', 'kimi-dispatch'), { recursive: true });
    writeFileSync(
      join(lab.home, '.config', 'kimi-dispatch', 'profiles.toml'),
      '[own]\nmcp = ["docs"]\nskills = false\nagents = false\nhooks = true\n',
    );
    script = turns(write('hello please\n'));
    // The hook refuses every call, so nothing is changed.
    expect((await run('--no-baseline', '--profile', 'own', '--thinking', 'off')).code).toBe(5);
    expect(asked()).toContain('mcp__docs__');
    expect(asked()).not.toContain('mcp__other__');
    expect(asked()).not.toContain('POLITE-SKILL');
    expect(asked()).not.toContain('AGENTS-WORDS');
    expect(asked()).toContain('"thinking":{"type":"disabled"}');
  });
});

describe('kimi-code 2.1.0', () => {
  it('succeeds, with the tools that could wait for ever switched off', async () => {
    script = turns(write('hello please\n'));
    const before = lab.snapshot();
    const ended = await run();
    expect(ended.code).toBe(0);
    expect(lab.snapshot()).toEqual(before);
    const requests = model.requests as { tools?: { function: { name: string } }[] }[];
    const tools = requests.flatMap((request) => (request.tools ?? []).map((tool) => tool.function.name));
    expect(tools).toContain('Write');
    for (const off of ['AskUserQuestion', 'CreateGoal', 'CronCreate', 'EnterPlanMode'])
      expect(tools).not.toContain(off);
    const result = await lab.result();
    expect(result.kimi).toMatchObject({ version: '2.1.0', unreadableLines: 0, survivors: 0 });
    expect(result.kimi?.session).toMatch(/^session_/);
    expect(result.report?.status).toBe('done');
  });

  it('reads an approved plan whole, and the mockup that it shows', async () => {
    const mockup = join(lab.repo, 'mockup.png');
    writeFileSync(mockup, 'not tracked');
    const unusual = '## Tasks\n\n### Task 9: no task\n\n````md\n```sh\nnpm test\n```\n````\n\nŸ 計画 `a`` b`\r\n';
    const plan = `# Polite greeting\n\n## Files\n\n- MODIFY \`greet.txt\`\n\n## Verification\n\n- \`grep -q please greet.txt\`\n\n![how it looks](mockup.png)\n\n${unusual}`;
    writeFileSync(join(lab.folder, 'plan.md'), plan);
    const brief = (messages: unknown): string =>
      /Read the file (\S+) completely/.exec(JSON.stringify(messages))?.[1] ?? '';
    script = ({ turn, messages }) =>
      turn === 0 ? call('Read', { path: brief(messages) }) : turn === 1 ? write('hello please\n') : done;
    const ended = await lab.run(['run', '../plan.md']);
    expect(ended.code).toBe(0);
    const result = await lab.result();
    expect(result.scope.kind).toBe('guess');
    const sent = model.requests
      .map((request) => JSON.stringify((request as { messages: unknown }).messages))
      .join('\n');
    for (const line of plan.split(/\r?\n/).filter((one) => one !== ''))
      expect(sent).toContain(JSON.stringify(line).slice(1, -1));
    expect(sent).toContain('1-mockup.png');
    expect((await lab.run(['merge', '@last'])).code).toBe(0);
    expect(readFileSync(join(lab.repo, 'greet.txt'), 'utf8')).toBe('hello please\n');
  });

  it('ends with 3 when the verification fails', async () => {
    script = turns(write('rude\n'));
    expect((await run('--no-baseline')).code).toBe(3);
  });

  it('ends with 5 when nothing changed, whatever the report says', async () => {
    script = turns();
    expect((await run()).code).toBe(5);
    expect((await lab.result()).contradictions.join()).toContain('nothing changed');
  });

  it('really stops at the step limit', async () => {
    script = ({ turn }) => write(`hello please ${turn}\n`);
    expect((await run('--max-steps', '3')).code).toBe(6);
    const result = await lab.result();
    expect(result.outcome).toBe('step-limit');
    expect(model.requests).toHaveLength(3);
    expect(result.changes).toHaveLength(1);
  });

  it('ends at the deadline during `sleep 1000`, and the sleep is gone', async () => {
    script = turns(write('hello please\n'), call('Bash', { command: 'echo $$ > pid; exec sleep 1000', timeout: 300 }));
    expect((await run('--timeout', '6')).code).toBe(6);
    const result = await lab.result();
    expect(result.outcome).toBe('deadline');
    expect(result.reason).toContain('--timeout');
    const pid = lab.git('show', `${result.branch}:pid`);
    expect(() => readFileSync(`/proc/${pid}/cmdline`)).toThrow();
  });

  const errors: [number, string, Reply][] = [
    [401, 'auth', { status: 401 }],
    [429, 'rate-limit', { status: 429 }],
    [500, 'server', { status: 500 }],
    [
      403,
      'quota',
      {
        status: 403,
        body: {
          error: { message: "You've reached your usage limit for this billing cycle", type: 'access_terminated_error' },
        },
      },
    ],
  ];
  it.each(errors)('tells a %i of the service apart: %s', async (_, kind, reply) => {
    script = () => reply;
    mkdirSync(join(lab.home, '.config/kimi-dispatch'), { recursive: true });
    writeFileSync(join(lab.home, '.config/kimi-dispatch/profiles.toml'), '[quick]\nattempts = 2\n');
    const ended = await run('--profile', 'quick');
    expect(ended.code).toBe(7);
    expect((await lab.result()).reason).toMatch(new RegExp(`^${kind}: `));
  });

  it('takes a spec of 400 KB', async () => {
    const long = `${spec('real')}\n## Notes\n\n${'All work and no play makes a long brief. '.repeat(10_500)}\n\nTHE END OF THE BRIEF\n`;
    writeFileSync(join(lab.folder, 'spec.md'), long);
    expect(long.length).toBeGreaterThan(400_000);
    const brief = (messages: unknown): string =>
      /Read the file (\S+) completely/.exec(JSON.stringify(messages))?.[1] ?? '';
    script = ({ messages, turn }) =>
      turn === 0
        ? call('Bash', { command: `tail -c 200 ${brief(messages)}` })
        : turn === 1
          ? write('hello please\n')
          : done;
    expect((await run()).code).toBe(0);
    expect(JSON.stringify(model.requests)).toContain('THE END OF THE BRIEF');
  });

  it('runs two at once', async () => {
    script = turns(call('Bash', { command: 'sleep 1' }), write('hello please\n'));
    const both = await Promise.all([run(), run()]);
    expect(both.map((ended) => ended.code)).toEqual([0, 0]);
    const { runs } = JSON.parse((await lab.run(['status', '--json'])).stdout);
    expect(new Set(runs.map((item: { branch: string }) => item.branch)).size).toBe(2);
  });

  it('never writes into the home of the user', async () => {
    script = turns(write('hello please\n'));
    const config = readFileSync(join(lab.home, '.kimi-code/config.toml'), 'utf8');
    await run();
    expect(readFileSync(join(lab.home, '.kimi-code/config.toml'), 'utf8')).toBe(config);
    expect(readdirSync(join(lab.home, '.kimi-code'))).toEqual(['config.toml']);
  });
});

describe('the real Kimi, sent back, answered, resumed', () => {
  const findings = (text: string): string => {
    writeFileSync(join(lab.folder, 'findings.md'), text);
    return '../findings.md';
  };
  /** Waits until Kimi has written; the stream names a tool only when it has ended. */
  const atWork = async (): Promise<void> => {
    const { dir } = JSON.parse((await lab.run(['status', '--json'])).stdout).runs[0];
    while (!readFileSync(join(dir, 'greet.txt'), 'utf8').includes('please'))
      await new Promise((wait) => setTimeout(wait, 50));
    await new Promise((wait) => setTimeout(wait, 500));
  };
  /** Everything the model was sent with the last request. */
  const lastRequest = (): string => JSON.stringify(model.requests.at(-1));

  it('revise resumes the session: the second attempt holds the history of the first', async () => {
    script = turns(write('rude\n'), done, write('hello please\n'));
    expect((await run('--no-baseline')).code).toBe(3);
    const first = await lab.result();
    const ended = await lab.run(['revise', '@last', '--findings', findings('- greet.txt:1 say please')]);
    expect(ended.code).toBe(0);
    const second = await lab.result();
    expect(second.kimi?.session).toBe(first.kimi?.session);
    expect(lastRequest().includes('rude')).toBe(true);
    expect(lastRequest().includes('brief-2.md')).toBe(true);
    expect((await lab.run(['diff', '@last', '--since-review'])).stdout).toMatch(/-rude\n\+hello please/);
  });

  it('three rounds keep one history', async () => {
    script = turns(write('rude\n'), done, write('rude 1\n'), done, write('rude 2\n'), done, write('rude 3\n'));
    await run('--no-baseline');
    for (const round of [1, 2, 3])
      expect((await lab.run(['revise', '@last', '--findings', findings(`greet.txt:1 round ${round}`)])).code).toBe(3);
    for (const text of ['rude', 'rude 1', 'rude 2', 'rude 3'])
      expect([text, lastRequest().includes(text)]).toEqual([text, true]);
    expect((await lab.run(['revise', '@last', '--findings', findings('x')])).code).toBe(2);
  }, 60_000);

  it('an answer resumes the session that asked', async () => {
    const question =
      '{"worker_id":"kimi","task_id":"001","status":"blocked","result":{"summary":"?","files_modified":[]},"question":"Which tone?"}';
    script = turns({ text: question }, write('hello please\n'));
    expect((await run()).code).toBe(8);
    expect((await lab.run(['answer', '@last', 'Polite.'])).code).toBe(0);
    expect(lastRequest().includes('Which tone?')).toBe(true);
  });

  it('cancel during a tool, and resume', async () => {
    script = turns(call('Bash', { command: 'echo hello please > greet.txt; sleep 1000', timeout: 300 }), done);
    const id = (await run('--background')).stdout.trim();
    await atWork();
    const began = performance.now();
    expect((await lab.run(['cancel', id])).stdout).toContain('1 changed files are saved');
    expect(performance.now() - began).toBeLessThan(30_000);
    expect((await lab.run(['resume', id])).code).toBe(0);
    expect(lastRequest().includes('sleep 1000')).toBe(true);
  }, 60_000);

  it('SIGKILL of the dispatcher, recover, resume: same session, nothing lost', async () => {
    const first = turns(write('hello please\n'), call('Bash', { command: 'sleep 1000', timeout: 300 }));
    // An interrupted step may or may not be in the history: the resumed session is known by its brief.
    script = (request) => (JSON.stringify(request.messages).includes('brief-2.md') ? done : first(request));
    const id = (await run('--background')).stdout.trim();
    await atWork();
    process.kill(JSON.parse((await lab.run(['status', '--json'])).stdout).runs[0].pid, 'SIGKILL');
    expect((await lab.run(['recover'])).stdout).toContain('1 changed files saved');
    expect((await lab.run(['resume', id])).code).toBe(0);
    expect(lastRequest().includes('hello please')).toBe(true);
  }, 60_000);
});

describe.skipIf(!sandbox.works)(`the real Kimi in the sandbox${sandbox.reason}`, () => {
  it('works, resumes, and reaches its model on loopback', async () => {
    script = turns(
      write('rude\n'),
      call('Bash', { command: 'git add -A && git diff --cached --stat; touch ~/escaped' }),
      done,
      write('hello please\n'),
    );
    const on = { KIMI_DISPATCH_SANDBOX: 'required' };
    const before = lab.snapshot();
    const ended = await lab.run(['run', '../spec.md', '--no-baseline'], { env: on });
    expect([ended.code, ended.stdout]).toEqual([3, expect.stringContaining('sandbox on')]);
    writeFileSync(join(lab.folder, 'findings.md'), 'greet.txt:1 say please');
    expect((await lab.run(['revise', '@last', '--findings', '../findings.md'], { env: on })).code).toBe(0);
    expect(/Read-only file system|greet\.txt \|/.test(JSON.stringify(model.requests.at(-1)))).toBe(true);
    expect(lab.snapshot()).toEqual(before);
  }, 60_000);
});
