import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TRANSITIONS } from '../../src/mailbox/model.ts';
import { Mailbox } from '../../src/mailbox/store.ts';
import { Lab, ROOT, spec } from '../helpers/repo.ts';

let lab: Lab;
beforeEach(() => {
  lab = new Lab({ 'greet.txt': 'hello\n' });
});
afterEach(() => lab.remove());
const box = (): Mailbox => new Mailbox(lab.env, () => new Date());

describe('the store', () => {
  it('fifty processes at once: nothing lost, nothing twice, order per sender kept, every update under the lease counted', async () => {
    const task = box().createTask({ title: 'Shared', assignee: 'kimi', assigner: 'claude' });
    const writers = Array.from({ length: 50 }, (_, index) => {
      const args = [
        '--experimental-transform-types',
        '--disable-warning=ExperimentalWarning',
        join(ROOT, 'test', 'helpers', 'mail-writer.ts'),
        `w${index}`,
        '20',
        task,
      ];
      const child = spawn(process.execPath, args, { env: lab.env, stdio: 'ignore' });
      return new Promise((done) => child.on('close', done));
    });
    expect(await Promise.all(writers)).toEqual(Array(50).fill(0));
    const { messages, tasks } = box().read();
    expect(messages.size).toBe(1000);
    for (let index = 0; index < 50; index++) {
      const mine = [...messages.values()]
        .filter((message) => message.from === `w${index}`)
        .map((message) => message.subject);
      expect(mine).toEqual(Array.from({ length: 20 }, (_, number) => `w${index} ${number}`));
    }
    expect(tasks.get(task)).toMatchObject({ version: 51 });
    expect(tasks.get(task)?.notes).toHaveLength(50);
  }, 120_000);

  it('refuses what is too long, and cuts nothing', () => {
    const mail = box();
    const send = (more: object) => () => mail.send({ from: 'claude', to: 'kimi', subject: 's', content: 'c', ...more });
    expect(send({ subject: 'x'.repeat(201) })).toThrow(/limit is 200/);
    expect(send({ content: 'x'.repeat(64 * 1024 + 1) })).toThrow(/64 KB/);
    expect(send({ content: ' ' })).toThrow(/empty/);
    expect(send({ to: 'claude' })).toThrow(/oneself/);
    expect(send({ to: 'kimmi' })).toThrow(/No agent is called kimmi/);
    expect(send({ to: '../../etc' })).toThrow(/is a name of/);
    expect(send({ type: 'spam' })).toThrow(/A type is one of/);
    expect(() => mail.createTask({ title: 'x'.repeat(201), assignee: 'kimi', assigner: 'claude' })).toThrow(
      /limit is 200/,
    );
    expect(() =>
      mail.createTask({ title: 'x', requirements: ['y'.repeat(501)], assignee: 'kimi', assigner: 'claude' }),
    ).toThrow(/limit is 500/);
    expect(() => mail.register('x'.repeat(51), '/', '')).toThrow(/limit is 50/);
    expect(mail.read().messages.size).toBe(0);
  });

  it('keeps the rest when a line is torn, and refuses a newer format', () => {
    const mail = box();
    mail.send({ from: 'claude', to: 'kimi', subject: 'one', content: 'c' });
    appendFileSync(mail.file, '{"t":"torn\n');
    mail.send({ from: 'claude', to: 'kimi', subject: 'two', content: 'c' });
    expect(
      box()
        .inbox('kimi')
        .map((message) => message.subject),
    ).toEqual(['one', 'two']);
    writeFileSync(join(mail.file, '..', 'version'), '2\n');
    expect(() => box().read()).toThrow(/newer version/);
  });

  it('guards the transitions of tasks, with compare and set', async () => {
    const mail = box();
    const id = mail.createTask({ title: 'T', assignee: 'kimi', assigner: 'claude' });
    for (const [from, to] of Object.entries(TRANSITIONS)) expect(to).not.toContain(from);
    await expect(mail.updateTask(id, { state: 'approved', by: 'claude' })).rejects.toThrow(
      /is pending; it cannot become approved/,
    );
    const begun = await mail.updateTask(id, { state: 'in_progress', by: 'kimi', version: 1 });
    await expect(mail.updateTask(id, { state: 'completed', by: 'kimi', version: 1 })).rejects.toThrow(
      /changed meanwhile/,
    );
    await mail.updateTask(id, { state: 'completed', by: 'kimi', version: begun.version });
    await mail.updateTask(id, { state: 'approved', by: 'claude' });
    await expect(mail.updateTask(id, { state: 'in_progress', by: 'kimi' })).rejects.toThrow(
      /is approved; it cannot become in_progress/,
    );
  });

  it('an escalation stays visible until somebody resolves it', () => {
    const mail = box();
    const id = mail.send({ from: 'kimi', to: 'claude', subject: 's', content: 'c' });
    mail.readMessage(id, 'claude');
    expect(mail.inbox('claude')).toEqual([]);
    mail.escalate(id, 'kimi', 'needs a decision');
    expect(mail.inbox('claude')).toHaveLength(1);
    mail.resolve(id, 'human');
    expect(mail.inbox('claude')).toEqual([]);
    expect(mail.search('c')).toHaveLength(1);
    // The boxes are a memory: without them the journal tells the same.
    mail.send({ from: 'kimi', to: 'claude', subject: 'again', content: 'c' });
    const told = mail.inbox('claude');
    rmSync(join(mail.file, '..', 'boxes'), { recursive: true });
    expect(box().inbox('claude')).toEqual(told);
  });
});

it.skipIf(process.getuid?.() !== 0)('a full disk: nothing is sent, and it says so (needs mount)', async () => {
  const small = join(lab.folder, 'small');
  mkdirSync(small);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24k', 'tmpfs', small]);
  try {
    const env = { XDG_DATA_HOME: small };
    const ended = await lab.run(['msg', 'send', 'kimi', 'x'.repeat(60_000)], { env });
    expect([ended.code, ended.stderr]).toEqual([6, expect.stringContaining('The disk is full')]);
    expect((await lab.run(['inbox', '--as', 'kimi'], { env })).stdout).toContain('No unread mail');
  } finally {
    execFileSync('umount', ['-l', small]);
  }
});

describe('the command line', () => {
  it('sends, reads, answers and searches; hostile subjects are inert', async () => {
    const sent = await lab.run(['msg', 'send', 'kimi', 'Look at it', '--subject', 'Hi \u001b]0;evil\u0007\nthere']);
    const id = sent.stdout.trim();
    const inbox = await lab.run(['inbox', '--as', 'kimi']);
    expect(inbox.stdout).toMatch(new RegExp(`^${id}  claude: Hi`));
    expect(inbox.stdout).not.toMatch(/[\u001b\u0007]/);
    expect((await lab.run(['msg', 'read', id, '--as', 'kimi'])).stdout).toContain('Look at it');
    expect((await lab.run(['msg', 'read', id, '--as', 'human'])).code).toBe(2);
    await lab.run(['msg', 'reply', id, 'I did', '--as', 'kimi']);
    expect((await lab.run(['inbox'])).stdout).toContain('Re: Hi');
    expect((await lab.run(['msg', 'search', 'i did'])).stdout).toContain('kimi → claude');
    const unknown = await lab.run(['msg', 'send', 'kim', 'x']);
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('Did you mean kimi?')]);
  });

  it('an escalation reaches the person: first in the summary, and by the command they set', async () => {
    lab.write(
      {
        '.config/kimi-dispatch/config.toml': `notify = "echo $KIMI_DISPATCH_OUTCOME $KIMI_DISPATCH_TITLE > ${lab.folder}/told"\n`,
      },
      lab.home,
    );
    const id = (await lab.run(['msg', 'send', 'kimi', 'Which format?', '--subject', 'Format'])).stdout.trim();
    await lab.run(['escalate', id, 'nobody', 'knows']);
    expect(readFileSync(join(lab.folder, 'told'), 'utf8')).toBe('escalated Format\n');
    expect((await lab.run(['summary'])).stdout).toMatch(
      new RegExp(`^For a person: Format\\n {6}kimi-dispatch resolve ${id}`),
    );
    await lab.run(['resolve', id, '--as', 'human']);
    expect((await lab.run(['summary'])).stdout).not.toContain('For a person');
  });

  it('quick files a task with its message, and relay carries it inline', async () => {
    const id = (await lab.run(['quick', 'Describe the format', '--to', 'kimi'])).stdout.trim();
    const prompt = (await lab.run(['relay', 'kimi'])).stdout;
    expect(prompt).toContain(id);
    expect(prompt).toContain('Describe the format');
    expect((await lab.run(['relay', 'human'])).stdout).toContain('Nothing waits');
    expect((await lab.run(['task', 'update', id, '--status', 'approved'])).stderr).toContain('cannot become approved');
  });
});

describe('the MCP server, with the official client', () => {
  const connect = async (): Promise<Client> => {
    const client = new Client({ name: 'test', version: '1' });
    const command = {
      command: process.execPath,
      args: [join(ROOT, 'bin', 'kimi-dispatch.js'), 'mcp'],
      cwd: lab.repo,
      env: lab.env,
    };
    await client.connect(new StdioClientTransport(command));
    return client;
  };
  const call = async (client: Client, name: string, input: Record<string, unknown> = {}) => {
    const answer = (await client.callTool({ name, arguments: input })) as {
      isError?: boolean;
      content: { text: string }[];
    };
    const said = answer.content[0]?.text ?? '';
    return { error: answer.isError === true, said, data: answer.isError === true ? undefined : JSON.parse(said) };
  };

  it('has the tools of both seeds and those of runs, binds identity, and errors are errors', async () => {
    const [one, two] = [await connect(), await connect()];
    try {
      const names = (await one.listTools()).tools.map((tool) => tool.name);
      for (const name of [
        'register_agent',
        'list_agents',
        'get_agent',
        'send_message',
        'check_inbox',
        'read_message',
        'reply_message',
        'escalate',
        'publish_spec',
        'get_spec',
        'list_specs',
        'set_status',
        'get_status',
        'get_all_statuses',
      ])
        expect(names).toContain(name);
      for (const name of [
        'get_inbox',
        'mark_read',
        'list_tasks',
        'get_task',
        'update_task',
        'create_task',
        'ask_user',
        'get_answer',
        'dispatch',
        'status',
        'result',
        'answer',
      ])
        expect(names).toContain(name);
      expect((await call(one, 'check_inbox')).error).toBe(true);
      for (const [client, name] of [
        [one, 'alpha'],
        [two, 'beta'],
      ] as const)
        await call(client, 'register_agent', { name, workspace_path: '/w', description: 'd' });
      expect((await call(two, 'register_agent', { name: 'alpha', workspace_path: '/w', description: 'd' })).error).toBe(
        true,
      );
      const third = await connect();
      expect(
        (await call(third, 'register_agent', { name: 'alpha', workspace_path: '/w', description: 'd' })).said,
      ).toContain('another session');
      await third.close();
      const sent = await call(one, 'send_message', { from: 'alpha', to: 'beta', subject: 'Hi', content: 'There' });
      expect(
        (await call(one, 'send_message', { from: 'beta', to: 'alpha', subject: 'x', content: 'y' })).said,
      ).toContain('This connection is alpha');
      const inbox = await call(two, 'check_inbox', { agent_name: 'beta' });
      expect(inbox.data).toHaveLength(1);
      expect((await call(two, 'read_message', { message_id: sent.data.id, reader: 'alpha' })).error).toBe(true);
      await call(two, 'reply_message', {
        original_message_id: sent.data.id,
        subject: 'Re',
        content: 'Yes',
        mark_complete: true,
      });
      expect((await call(one, 'check_inbox')).data[0]).toMatchObject({ from: 'beta', subject: 'Re' });
      for (const version of [1, 2])
        expect((await call(one, 'publish_spec', { name: 'api', content: `v${version}` })).data.version).toBe(version);
      expect((await call(two, 'get_spec', { name: 'api', version: 1 })).data.content).toBe('v1');
      expect((await call(two, 'get_spec', { name: '../../etc/passwd' })).error).toBe(true);
      const asked = await call(one, 'ask_user', { question: 'Which?' });
      expect((await call(one, 'get_answer', { question_id: asked.data.question_id })).data.answered).toBe(false);
      await lab.run(['msg', 'reply', asked.data.question_id, 'This one', '--as', 'human']);
      expect((await call(one, 'get_answer', { question_id: asked.data.question_id })).data).toEqual({
        answered: true,
        answer: 'This one',
      });
    } finally {
      await one.close();
      await two.close();
    }
  }, 60_000);

  it('dispatches a run, tells its status and gives its result', async () => {
    writeFileSync(join(lab.repo, 'spec.md'), spec('success'));
    const client = await connect();
    try {
      expect((await call(client, 'dispatch', { file: 'gone.md' })).error).toBe(true);
      const { data } = await call(client, 'dispatch', { file: 'spec.md' });
      expect((await lab.run(['wait', data.run])).code).toBe(0);
      expect((await call(client, 'status')).data.runs[0]).toMatchObject({
        run: data.run,
        outcome: 'succeeded',
        need: 'review',
      });
      expect((await call(client, 'result', { run: data.run })).data.outcome).toBe('succeeded');
      expect((await call(client, 'result', { run: '../x' })).error).toBe(true);
    } finally {
      await client.close();
    }
  }, 60_000);
});

describe('a task that is a run', () => {
  it('moves when it is dispatched, when it ends, when it is sent back and when it is merged; a YAML report lies beside', async () => {
    const task = (await lab.run(['task', 'create', 'Be polite', '--to', 'kimi'])).stdout.trim();
    const state = (): string => box().task(task).state;
    writeFileSync(join(lab.folder, 'spec.md'), spec('success'));
    await lab.run(['run', '../spec.md', '--no-baseline', '--task', task]);
    expect(state()).toBe('completed');
    expect(box().task(task).requirements).toEqual(['The greeting is polite.']);
    const { files, run } = await lab.result();
    expect(readFileSync(join(files.folder, 'report.yaml'), 'utf8')).toMatch(
      new RegExp(`worker_id: kimi\\ntask_id: ${task}[\\s\\S]*parent: ${run}`),
    );
    writeFileSync(join(lab.folder, 'findings.md'), 'greet.txt:1 SCENARIO wrong');
    await lab.run(['revise', '@last', '--findings', '../findings.md']);
    expect(state()).toBe('failed');
    expect((await lab.run(['dashboard'])).stdout).toMatch(new RegExp(`\\| ${task} \\| .Be polite. \\| failed`));
    writeFileSync(join(lab.folder, 'findings.md'), 'greet.txt:1 SCENARIO success');
    await lab.run(['revise', '@last', '--findings', '../findings.md']);
    expect(state()).toBe('completed');
    await lab.run(['merge', '@last']);
    expect(state()).toBe('approved');
    expect(box().task(task).notes.length).toBeGreaterThan(4);
  });
});

describe('update-template', () => {
  it('prints a bounded prompt; an answer is validated and shown as a diff before it replaces anything', async () => {
    const template = join(lab.folder, 'template.md');
    const old = '# Spec: 001 -- Title\n\n## Tasks\n\n### Task 1: X\nFiles:\n- CREATE a.ts\n';
    writeFileSync(template, old);
    const prompt = await lab.run(['update-template', template, '--focus', 'tests']);
    expect(prompt.stdout).toMatch(/at most[\s\S]*tests[\s\S]*# Spec: 001/);
    expect(prompt.stdout.length).toBeLessThan(20_000);
    writeFileSync(join(lab.folder, 'bad.md'), '# Spec: 001 -- T\n\n## Tasks\n\n```\nnever closed\n');
    const bad = await lab.run(['update-template', template, '--answer', '../bad.md', '--yes']);
    expect([bad.code, readFileSync(template, 'utf8')]).toEqual([2, old]);
    writeFileSync(join(lab.folder, 'good.md'), `${old}Verification:\n- \`npm test\`\n`);
    const shown = await lab.run(['update-template', template, '--answer', '../good.md']);
    expect(shown.stdout).toContain('+- `npm test`');
    expect(readFileSync(template, 'utf8')).toBe(old);
    await lab.run(['update-template', template, '--answer', '../good.md', '--yes']);
    expect(readFileSync(template, 'utf8')).toContain('npm test');
  });
});

describe('import mailbox', () => {
  it('lists first, takes over messages, tasks, agents and specs of older systems, and changes nothing of theirs', async () => {
    const old = join(lab.folder, 'old');
    const write = (path: string, data: unknown): void =>
      lab.write({ [path]: typeof data === 'string' ? data : JSON.stringify(data) }, old);
    write('messages/pending/msg-1.json', {
      id: 'msg-1',
      from: 'claude',
      to: 'kimi',
      subject: 'Hello',
      content: 'There',
    });
    write('messages/archive/msg-2.json', '{ torn');
    write('tasks/active/task-1.json', {
      id: 'task-1',
      title: 'Old task',
      assignee: 'kimi',
      assigner: 'claude',
      requirements: ['one'],
    });
    const listed = await lab.run(['import', 'mailbox', '../old']);
    expect(listed.stdout).toMatch(/message: claude → kimi: Hello\ntask: Old task\n2 found/);
    expect(box().read().messages.size).toBe(0);
    expect((await lab.run(['import', 'mailbox', '../old', '--yes'])).stdout).toContain('2 taken over');
    expect(box().message(box().inbox('kimi')[0]?.id ?? '').content).toBe('There');
    expect([...box().read().tasks.values()][0]?.requirements).toEqual(['one']);
    const server = join(lab.folder, 'server');
    lab.write(
      {
        'registry.json': '{"agents":{"web":{"name":"web","workspace_path":"/w","description":"d"}}}',
        'messages-meta/u.json': '{"from":"web","to":"claude","subject":"S"}',
        'messages/u.md': 'Body',
        'specs/api.md': '# Api',
      },
      server,
    );
    await lab.run(['import', 'mailbox', '../server', '--yes']);
    expect(box().read().specs.get('api')?.[0]?.content).toBe('# Api');
    const arrived = box();
    expect(arrived.inbox('claude').map((header) => arrived.message(header.id).content)).toEqual(['Body']);
    expect(readFileSync(join(old, 'messages/archive/msg-2.json'), 'utf8')).toBe('{ torn');
  });
});

it('the journal is one file that only grows', async () => {
  await lab.run(['msg', 'send', 'kimi', 'one']);
  const before = readFileSync(box().file, 'utf8');
  await lab.run(['inbox', '--as', 'kimi']);
  await lab.run(['quick', 'two']);
  expect(readFileSync(box().file, 'utf8').startsWith(before)).toBe(true);
});
