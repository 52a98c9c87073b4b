import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { refuse } from '../errors.ts';
import { commandFor, needOf } from '../ledger/state.ts';
import { listRuns, runsFolder } from '../ledger/store.ts';
import { LIMITS, MESSAGE_TYPES, TASK_STATES } from '../mailbox/model.ts';
import type { Mailbox } from '../mailbox/store.ts';
import { ownerHere } from '../process/alive.ts';

/** What a tool works with: the mailbox, the agent that this connection registered as, and a way to start runs. */
export interface Connection {
  readonly mailbox: Mailbox;
  /** Bound by register_agent; nobody acts or reads as another. */
  agent: string | undefined;
  /** The common git directory of the workspace, where there is one. */
  readonly commonDir: string | undefined;
  /** Runs the program itself, in the workspace: the same rules as for everybody. */
  readonly self: (args: readonly string[]) => Promise<{ code: number; text: string }>;
}

export interface Tool {
  readonly name: string;
  readonly description: string;
  readonly input: z.ZodRawShape;
  readonly run: (input: Record<string, unknown>, connection: Connection) => Promise<unknown> | unknown;
}

const name = z.string().max(LIMITS.id);
const text = z.string().max(LIMITS.text);
const body = z.string();

/** The agent of this connection, or a refusal; a name that is given must be that very agent. */
function me(connection: Connection, claimed: unknown): string {
  const { agent } = connection;
  if (agent === undefined) throw refuse('usage', 'This connection has no agent yet.', 'Call register_agent first.');
  if (claimed !== undefined && claimed !== agent)
    throw refuse('usage', `This connection is ${agent}, not ${String(claimed)}.`);
  return agent;
}
const tool = (definition: Tool): Tool => definition;

const AGENTS: Tool[] = [
  tool({
    name: 'register_agent',
    description: 'Register this connection as an agent; every later call acts as it',
    input: { name, workspace_path: text, description: text },
    run: (input, connection) => {
      if (connection.agent !== undefined && connection.agent !== input.name)
        throw refuse('usage', `This connection is ${connection.agent} already.`);
      connection.mailbox.register(
        String(input.name),
        String(input.workspace_path),
        String(input.description),
        ownerHere(),
      );
      connection.agent = String(input.name);
      return { registered: connection.agent };
    },
  }),
  tool({
    name: 'list_agents',
    description: 'All registered agents',
    input: {},
    run: (_input, { mailbox }) => [...mailbox.read().agents.values()],
  }),
  tool({
    name: 'get_agent',
    description: 'One agent',
    input: { name },
    run: (input, { mailbox }) => mailbox.read().agents.get(String(input.name)) ?? missing('agent', input.name),
  }),
  tool({
    name: 'set_status',
    description: 'Say what this agent is doing',
    input: { agent_name: name, status: text },
    run: (input, connection) => {
      connection.mailbox.setStatus(me(connection, input.agent_name), String(input.status));
      return { status: input.status };
    },
  }),
  tool({
    name: 'get_status',
    description: 'What an agent is doing; without a name, the runs of this repository',
    input: { agent_name: name.optional() },
    run: (input, { mailbox, commonDir }) =>
      input.agent_name === undefined
        ? runs(commonDir)
        : {
            status:
              (mailbox.read().agents.get(String(input.agent_name)) ?? missing('agent', input.agent_name)).status ??
              'none',
          },
  }),
  tool({
    name: 'get_all_statuses',
    description: 'What all agents are doing',
    input: {},
    run: (_input, { mailbox }) =>
      [...mailbox.read().agents.values()].map(({ name: agent, status, statusAt }) => ({ agent, status, statusAt })),
  }),
];

const MAIL: Tool[] = [
  tool({
    name: 'send_message',
    description: 'Send a message to an agent',
    input: {
      from: name.optional(),
      to: name,
      subject: z.string().max(LIMITS.title),
      content: body,
      type: z.enum(MESSAGE_TYPES).optional(),
      task_id: name.optional(),
    },
    run: (input, connection) => {
      const task = input.task_id === undefined ? {} : { task: String(input.task_id) };
      const type = input.type === undefined ? {} : { type: String(input.type) };
      const from = me(connection, input.from);
      return {
        id: connection.mailbox.send({
          from,
          to: String(input.to),
          subject: String(input.subject),
          content: String(input.content),
          ...task,
          ...type,
        }),
      };
    },
  }),
  ...['check_inbox', 'get_inbox'].map((which) =>
    tool({
      name: which,
      description: 'Unread messages, and escalations until they are resolved',
      input: { agent_name: name.optional(), agent: name.optional() },
      run: (input, connection) =>
        connection.mailbox
          .inbox(me(connection, input.agent_name ?? input.agent))
          .map(({ id, from, subject, type, at, escalation }) => ({
            id,
            from,
            subject,
            type,
            at,
            ...(escalation === undefined ? {} : { escalation }),
          })),
    }),
  ),
  tool({
    name: 'read_message',
    description: 'Read a message for this agent; it counts as read',
    input: { message_id: name, reader: name.optional() },
    run: (input, connection) => connection.mailbox.readMessage(String(input.message_id), me(connection, input.reader)),
  }),
  tool({
    name: 'mark_read',
    description: 'Mark a message as done without reading it again',
    input: { message_id: name },
    run: (input, connection) => {
      connection.mailbox.mark(String(input.message_id), 'completed', me(connection, undefined));
      return { done: input.message_id };
    },
  }),
  tool({
    name: 'reply_message',
    description: 'Answer a message; mark_complete ends the original',
    input: {
      original_message_id: name,
      from: name.optional(),
      subject: z.string().max(LIMITS.title),
      content: body,
      mark_complete: z.boolean().optional(),
    },
    run: (input, connection) => {
      const from = me(connection, input.from);
      const original = connection.mailbox.readMessage(String(input.original_message_id), from);
      const to = original.from === from ? original.to : original.from;
      const id = connection.mailbox.send({
        from,
        to,
        subject: String(input.subject),
        content: String(input.content),
        replyTo: original.id,
      });
      if (input.mark_complete === true) connection.mailbox.mark(original.id, 'completed', from);
      return { id };
    },
  }),
  tool({
    name: 'escalate',
    description: 'A message needs a human; it stays visible until somebody resolves it',
    input: {
      message_id: name,
      agent_name: name.optional(),
      reason: text,
      severity: z.enum(['low', 'medium', 'high', 'critical']).optional(),
    },
    run: (input, connection) => {
      connection.mailbox.escalate(
        String(input.message_id),
        me(connection, input.agent_name),
        String(input.reason),
        String(input.severity ?? 'high'),
      );
      return { escalated: input.message_id };
    },
  }),
  tool({
    name: 'ask_user',
    description: 'Ask the human; the answer is read with get_answer',
    input: {
      from_agent: name.optional(),
      question: z.string().max(LIMITS.description),
      blocking: z.boolean().optional(),
    },
    run: (input, connection) => {
      const from = me(connection, input.from_agent);
      if (!connection.mailbox.read().agents.has('human'))
        connection.mailbox.register('human', '', 'the person at this machine');
      const id = connection.mailbox.send({
        from,
        to: 'human',
        subject: 'A question',
        content: String(input.question),
        type: 'question',
      });
      connection.mailbox.escalate(id, from, 'waits for an answer', input.blocking === true ? 'high' : 'low');
      return { question_id: id };
    },
  }),
  tool({
    name: 'get_answer',
    description: 'The answer to a question, when there is one',
    input: { question_id: name },
    run: (input, { mailbox }) => {
      const answer = [...mailbox.read().messages.values()].find((message) => message.replyTo === input.question_id);
      return answer === undefined ? { answered: false } : { answered: true, answer: answer.content };
    },
  }),
];

const SPECS: Tool[] = [
  tool({
    name: 'publish_spec',
    description: 'Keep a spec under a name; earlier versions stay',
    input: { name, content: body, publisher: name.optional() },
    run: async (input, connection) => {
      const { version, digest } = await connection.mailbox.publishSpec(
        String(input.name),
        String(input.content),
        me(connection, input.publisher),
      );
      return { name: input.name, version, digest };
    },
  }),
  tool({
    name: 'get_spec',
    description: 'A spec by name, the newest or a version',
    input: { name, version: z.number().int().positive().optional() },
    run: (input, { mailbox }) => {
      const all = mailbox.read().specs.get(String(input.name)) ?? [];
      return (input.version === undefined ? all.at(-1) : all[Number(input.version) - 1]) ?? missing('spec', input.name);
    },
  }),
  tool({
    name: 'list_specs',
    description: 'All specs with version and digest',
    input: {},
    run: (_input, { mailbox }) =>
      [...mailbox.read().specs.values()].map((all) => {
        const { name: spec, version, digest, publisher, at } = all.at(-1) as (typeof all)[number];
        return { name: spec, version, digest, publisher, at };
      }),
  }),
];

const TASKS: Tool[] = [
  tool({
    name: 'create_task',
    description: 'File a task for an agent',
    input: {
      title: z.string().max(LIMITS.title),
      description: z.string().max(LIMITS.description).optional(),
      assignee: name,
      assigner: name.optional(),
      priority: z.enum(['low', 'medium', 'high', 'critical']).optional(),
      requirements: z.array(z.string().max(LIMITS.item)).optional(),
      acceptance_criteria: z.array(z.string().max(LIMITS.item)).optional(),
    },
    run: (input, connection) => ({
      id: connection.mailbox.createTask({
        title: String(input.title),
        description: String(input.description ?? ''),
        assignee: String(input.assignee),
        assigner: me(connection, input.assigner),
        priority: String(input.priority ?? 'medium'),
        requirements: (input.requirements as string[] | undefined) ?? [],
        criteria: (input.acceptance_criteria as string[] | undefined) ?? [],
      }),
    }),
  }),
  tool({
    name: 'list_tasks',
    description: 'Tasks that are not final, of all or of one agent',
    input: { agent: name.optional() },
    run: (input, { mailbox }) =>
      [...mailbox.read().tasks.values()].filter(
        (task) =>
          !['approved', 'cancelled'].includes(task.state) &&
          (input.agent === undefined || task.assignee === input.agent),
      ),
  }),
  tool({
    name: 'get_task',
    description: 'One task',
    input: { task_id: name },
    run: (input, { mailbox }) => mailbox.task(String(input.task_id)),
  }),
  tool({
    name: 'update_task',
    description: 'Move a task to another state, or add a note',
    input: {
      task_id: name,
      status: z.enum(TASK_STATES).optional(),
      note: text.optional(),
      agent: name.optional(),
      version: z.number().int().optional(),
    },
    run: (input, connection) =>
      connection.mailbox.updateTask(String(input.task_id), {
        by: me(connection, input.agent),
        ...(input.status === undefined ? {} : { state: input.status as (typeof TASK_STATES)[number] }),
        ...(input.note === undefined ? {} : { note: String(input.note) }),
        ...(input.version === undefined ? {} : { version: Number(input.version) }),
      }),
  }),
];

const RUNS: Tool[] = [
  tool({
    name: 'dispatch',
    description: 'Start a run of a spec or plan file with Kimi, in the background; returns its id',
    input: { file: z.string().max(LIMITS.text) },
    run: async (input, { self }) => {
      const { code, text: said } = await self(['run', '--background', '--', String(input.file)]);
      if (code !== 0) throw refuse('wrong-state', said.trim().slice(0, LIMITS.description));
      return { run: said.trim().split('\n')[0] };
    },
  }),
  tool({
    name: 'status',
    description: 'The runs of this repository and what each waits for',
    input: {},
    run: (_input, { commonDir }) => runs(commonDir),
  }),
  tool({
    name: 'result',
    description: 'The result of a run',
    input: { run: name },
    run: (input, { commonDir }) => {
      if (commonDir === undefined || !/^[\w-]+$/.test(String(input.run))) return missing('run', input.run);
      const file = join(runsFolder(commonDir), String(input.run), 'result.json');
      return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : missing('result of run', input.run);
    },
  }),
  tool({
    name: 'answer',
    description: "Answer a blocked worker's question; the run goes on in the background",
    input: { run: name, text: z.string().max(LIMITS.description) },
    run: async (input, { self }) => {
      const { code, text: said } = await self(['answer', '--background', '--', String(input.run), String(input.text)]);
      if (code !== 0) throw refuse('wrong-state', said.trim().slice(0, LIMITS.description));
      return { run: input.run, goesOn: true };
    },
  }),
];

function runs(commonDir: string | undefined): unknown {
  if (commonDir === undefined) return { runs: [] };
  return {
    runs: listRuns(commonDir)
      .filter((run) => run.parent === undefined && run.review !== 'discarded')
      .slice(-50)
      .map((run) => ({
        run: run.id,
        title: run.title,
        outcome: run.outcome ?? 'running',
        need: needOf(run),
        command: commandFor(run),
      })),
  };
}

function missing(what: string, which: unknown): never {
  throw refuse('not-found', `No ${what} is called ${String(which)}.`);
}

export const TOOLS: readonly Tool[] = [...AGENTS, ...MAIL, ...SPECS, ...TASKS, ...RUNS];
