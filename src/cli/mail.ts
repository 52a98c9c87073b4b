import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { refuse } from '../errors.ts';
import { writeWhole } from '../files.ts';
import { gitAnswer } from '../git/git.ts';
import { listRuns } from '../ledger/store.ts';
import { readOlder } from '../mailbox/import.ts';
import { TASK_STATES, type Task, within } from '../mailbox/model.ts';
import { Mailbox } from '../mailbox/store.ts';
import { quote } from '../quote.ts';
import { DASHBOARD, dashboard } from '../review/dashboard.ts';
import { fill } from '../run/brief.ts';
import { initProject, type Project } from '../run/project.ts';
import { gitEnvironment, type World } from '../world.ts';
import { readNamed } from './input.ts';
import { repoOf } from './look.ts';
import { notifyEscalation } from './notify.ts';
import { writeOutput } from './output.ts';
import { commonDirOf } from './status.ts';
import { refuseAlone, refuseOthers } from './taken.ts';
import { faultOf } from './template-answer.ts';

type Options = Record<string, unknown>;

const boxOf = (world: World): Mailbox => new Mailbox(world.env, world.now);
/** Who acts: `--as`, else the environment, else Claude. */
const actor = (world: World, options: Options): string =>
  typeof options.as === 'string' ? options.as : (world.env.KIMI_DISPATCH_AGENT ?? 'claude');
const text = (options: Options, name: string): string | undefined =>
  typeof options[name] === 'string' ? (options[name] as string) : undefined;

/** `init`: name, principal and mode of this repository; what exists is extended inside markers. */
export async function initCommand(world: World, _args: readonly string[], options: Options): Promise<number> {
  const repo = await repoOf(world);
  const mode = (text(options, 'mode') ?? 'hierarchical') as Project['mode'];
  const project: Project = {
    version: 1,
    name: text(options, 'project') ?? repo.name,
    principal: text(options, 'principal') ?? 'claude',
    mode,
  };
  boxOf(world).register(project.principal, repo.root, 'the principal');
  const files = initProject(repo, world.root, project, options.force === true);
  for (const file of files) world.out(`${file}\n`);
  world.out(`${project.name}: ${project.principal} is the principal, mode ${project.mode}.\n`);
  return 0;
}

/** What was done, as data with `--json`, else as a line. */
const tell = (world: World, options: Options, data: Record<string, unknown>, line: string): void =>
  world.out(options.json === true ? `${JSON.stringify({ version: 1, ...data })}\n` : `${line}\n`);

/** The options that a word of `msg` and `task` acts on. */
const TAKEN: Readonly<Record<string, readonly string[]>> = {
  'msg send': ['subject', 'type', 'file'],
  'msg reply': ['file'],
  'task create': ['to', 'description', 'priority'],
  'task list': ['to', 'priority', 'status'],
  'task update': ['status', 'note', 'expect'],
};

/** `agent list|add <name>`: who can write to whom. */
export async function agentCommand(world: World, args: readonly string[], options: Options): Promise<number> {
  const box = boxOf(world);
  const [verb = 'list', name = ''] = args;
  refuseOthers(`agent ${verb}`, options, verb === 'add' ? ['json', 'description'] : ['json']);
  if (verb === 'add') {
    box.register(name, world.cwd, text(options, 'description') ?? '');
    tell(world, options, { agent: name }, `${name} is registered.`);
    return 0;
  }
  if (verb !== 'list') throw refuse('usage', `agent does not know "${verb}".`, 'agent list, agent add NAME');
  const agents = [...box.read().agents.values()];
  if (options.json === true) world.out(`${JSON.stringify({ version: 1, agents })}\n`);
  else
    for (const agent of agents)
      world.out(`${agent.name}  ${quote(agent.status ?? '-', 40)}  ${quote(agent.description, 60)}\n`);
  return 0;
}

/** `msg send|read|reply|mark|search`: bodies from an argument, a file, or stdin with `-`. */
export async function msgCommand(world: World, args: readonly string[], options: Options): Promise<number> {
  const box = boxOf(world);
  const me = actor(world, options);
  const [verb = '', id = '', ...rest] = args;
  refuseOthers(`msg ${verb}`, options, ['as', 'json', ...(TAKEN[`msg ${verb}`] ?? [])]);
  if (verb === 'send') {
    const type = text(options, 'type');
    const sent = box.send({
      from: me,
      to: id,
      subject: text(options, 'subject') ?? rest.join(' ').slice(0, 60),
      content: bodyOf(world, rest, options),
      ...(type === undefined ? {} : { type }),
    });
    tell(world, options, { message: sent }, sent);
    return 0;
  }
  if (verb === 'reply') {
    const original = box.readMessage(id, me);
    const to = original.from === me ? original.to : original.from;
    const subject = `Re: ${original.subject}`.slice(0, 200);
    const sent = box.send({ from: me, to, subject, content: bodyOf(world, rest, options), replyTo: id });
    tell(world, options, { message: sent }, sent);
    return 0;
  }
  if (verb === 'read') {
    const message = box.readMessage(id, me);
    world.out(
      options.json === true
        ? `${JSON.stringify(message)}\n`
        : `From ${message.from}, ${message.at}\n${quote(message.subject, 200)}\n\n${inert(message.content)}\n`,
    );
    return 0;
  }
  if (verb === 'mark') {
    box.mark(id, 'completed', me);
    tell(world, options, { message: id }, `${id} is done.`);
    return 0;
  }
  if (verb !== 'search') throw refuse('usage', `msg does not know "${verb}".`, 'msg send, read, reply, mark or search');
  const found = box.search([id, ...rest].join(' ')).slice(0, 50);
  if (options.json === true) world.out(`${JSON.stringify({ version: 1, messages: found })}\n`);
  else
    for (const message of found)
      world.out(`${message.id}  ${message.from} → ${message.to}: ${quote(message.subject, 60)}\n`);
  return 0;
}

function bodyOf(world: World, rest: readonly string[], options: Options): string {
  const file = text(options, 'file');
  return file === undefined ? rest.join(' ') : readNamed(world, file);
}

/** Worker text on a terminal: its lines stay, its control characters do not. */
const inert = (value: string): string =>
  value
    .split('\n')
    .map((line) => quote(line, 2000))
    .join('\n');

/** `escalate <message> <reason>`, and `resolve <message>`. */
export async function escalateCommand(world: World, args: readonly string[], options: Options): Promise<number> {
  const [id = '', ...reason] = args;
  boxOf(world).escalate(id, actor(world, options), reason.join(' '), text(options, 'severity') ?? 'high');
  await notifyEscalation(world, boxOf(world).message(id).subject);
  tell(world, options, { message: id }, `${id} is escalated until somebody resolves it: kimi-dispatch resolve ${id}`);
  return 0;
}

export async function resolveCommand(world: World, args: readonly string[], options: Options): Promise<number> {
  boxOf(world).resolve(args[0] ?? '', actor(world, options));
  tell(world, options, { message: args[0] }, `${args[0]} is resolved.`);
  return 0;
}

/** `task create|list|show|update`: guarded transitions, compare and set. */
export async function taskCommand(world: World, args: readonly string[], options: Options): Promise<number> {
  const box = boxOf(world);
  const me = actor(world, options);
  const [verb = 'list', id = '', ...rest] = args;
  refuseOthers(`task ${verb}`, options, ['as', 'json', ...(TAKEN[`task ${verb}`] ?? [])]);
  const state = stateIn(options);
  if (verb === 'create') {
    const title = [id, ...rest].join(' ');
    const made = box.createTask({
      title,
      assignee: text(options, 'to') ?? 'kimi',
      assigner: me,
      description: text(options, 'description') ?? '',
      priority: text(options, 'priority') ?? 'medium',
    });
    tell(world, options, { task: made }, made);
    return 0;
  }
  if (verb === 'list') {
    const { to, priority } = options;
    const tasks = [...box.read().tasks.values()].filter(
      (task) =>
        (state === undefined || task.state === state) &&
        (to === undefined || task.assignee === to) &&
        (priority === undefined || task.priority === priority),
    );
    if (options.json === true) world.out(`${JSON.stringify({ version: 1, tasks })}\n`);
    else
      for (const task of tasks)
        world.out(`${task.id}  ${task.state.padEnd(14)}  ${task.assignee}: ${quote(task.title, 60)}\n`);
    return 0;
  }
  if (verb === 'show') {
    world.out(options.json === true ? `${JSON.stringify(box.task(id))}\n` : taskText(box.task(id)));
    return 0;
  }
  if (verb !== 'update') throw refuse('usage', `task does not know "${verb}".`, 'task create, list, show or update');
  const note = text(options, 'note');
  const version = typeof options.expect === 'number' ? { version: options.expect } : {};
  const task = await box.updateTask(id, {
    by: me,
    ...version,
    ...(state === undefined ? {} : { state }),
    ...(note === undefined ? {} : { note }),
  });
  const said = `${task.id} is ${task.state} (version ${task.version}).`;
  tell(world, options, { task: task.id, state: task.state, taskVersion: task.version }, said);
  return 0;
}

function stateIn(options: Options): Task['state'] | undefined {
  const given = text(options, 'status');
  const state = TASK_STATES.find((one) => one === given);
  if (given !== undefined && state === undefined)
    throw refuse('usage', `A state is one of ${TASK_STATES.join(', ')}, not "${given}".`);
  return state;
}

const taskText = (task: Task): string =>
  [
    `${task.id}: ${quote(task.title, 200)}`,
    `${task.state}, ${task.priority}, ${task.assigner} → ${task.assignee}, version ${task.version}`,
    ...(task.description === '' ? [] : [inert(task.description)]),
    ...task.requirements.map((item) => `- [ ] ${quote(item, 500)}`),
    ...task.criteria.map((item) => `- [ ] ${quote(item, 500)}`),
    ...task.notes.map((note) => `note ${quote(note, 500)}`),
    '',
  ].join('\n');

/** `quick <text>`: a task and its message in one. */
export async function quickCommand(world: World, args: readonly string[], options: Options): Promise<number> {
  const box = boxOf(world);
  const words = args.join(' ');
  const to = text(options, 'to') ?? 'kimi';
  const from = actor(world, options);
  const id = box.createTask({
    title: words.slice(0, 100),
    description: words.length > 100 ? words : '',
    assignee: to,
    assigner: from,
    priority: text(options, 'priority') ?? 'medium',
  });
  box.send({ from, to, subject: `Task ${id}`, content: words, type: 'delegation', task: id });
  tell(world, options, { task: id }, id);
  return 0;
}

/** `relay <agent>`: a prompt that carries everything inline, for a worker without a terminal. */
export async function relayCommand(world: World, args: readonly string[]): Promise<number> {
  const box = boxOf(world);
  const name = args[0] ?? '';
  const view = box.read();
  const agent = view.agents.get(name);
  if (agent === undefined) throw refuse('not-found', `No agent is called ${name}.`, 'kimi-dispatch agent list');
  const tasks = [...view.tasks.values()].filter(
    (task) => task.assignee === name && ['pending', 'needs_revision'].includes(task.state),
  );
  const mail = box
    .inbox(name)
    .slice(0, 5)
    .map((header) => box.message(header.id));
  if (tasks.length === 0 && mail.length === 0) {
    world.out(`Nothing waits for ${name}.\n`);
    return 0;
  }
  world.out(
    [
      `You are ${name}. This is all that waits for you; you need no terminal to read it.`,
      ...tasks.flatMap((task) => ['', taskText(task).trim()]),
      ...mail.flatMap((message) => [
        '',
        `Message ${message.id} from ${message.from}: ${quote(message.subject, 200)}`,
        inert(message.content),
      ]),
      '',
      'When you are done, answer with what you did for each task (done, failed or blocked), the files you changed, and open questions.',
      '',
    ].join('\n'),
  );
  return 0;
}

/** `dashboard`: one Markdown page, made anew each time. */
export async function dashboardCommand(world: World, _args: readonly string[], options: Options): Promise<number> {
  refuseAlone('dashboard', options, [['force', 'output']]);
  const view = boxOf(world).read();
  const page = dashboard(listRuns(await commonDirOf(world)), [...view.tasks.values()], [...view.messages.values()]);
  const file = text(options, 'output');
  if (file === undefined) world.out(page);
  else
    writeOutput(
      { name: file, cwd: world.cwd, ours: (old) => old.startsWith(DASHBOARD), force: options.force === true },
      page,
    );
  return 0;
}

/** `import mailbox <folder>`: a list first; with --yes it is taken over. Nothing of theirs is changed. */
export async function importMailbox(world: World, from: string, options: Options): Promise<number> {
  refuseOthers('import mailbox', options, ['yes']);
  const folder = resolve(world.cwd, from);
  if (!existsSync(folder))
    throw refuse('usage', `There is no folder ${from}.`, '.interagent, .agentweave or ~/.claude-interagent');
  const items = readOlder(folder);
  const box = boxOf(world);
  let taken = 0;
  for (const item of items) {
    world.out(`${item.what}: ${quote(item.name, 100)}\n`);
    if (options.yes !== true) continue;
    await item.run(box);
    taken += 1;
  }
  world.out(
    options.yes === true
      ? `${taken} taken over.\n`
      : `${items.length} found. To take them over: kimi-dispatch import mailbox ${from} --yes\n`,
  );
  return 0;
}

const LARGEST_TEMPLATE = 16_000;

/** `update-template <file>`: a bounded prompt; with `--answer` the answer is checked and shown as a diff, with `--yes` taken. */
export async function templateCommand(world: World, args: readonly string[], options: Options): Promise<number> {
  const file = resolve(world.cwd, args[0] ?? '');
  if (!existsSync(file))
    throw refuse('usage', `There is no file ${args[0]}.`, 'Name the template: kimi-dispatch update-template FILE');
  const template = readNamed(world, file);
  if (template.length > LARGEST_TEMPLATE) throw refuse('usage', 'A template has 16,000 characters at most.');
  const answerFile = text(options, 'answer');
  refuseOthers('update-template', options, answerFile === undefined ? ['focus'] : ['answer', 'yes']);
  if (answerFile === undefined) {
    world.out(
      fill(world.root, 'update.hbs', {
        focus: within('The focus', text(options, 'focus') ?? 'clarity', 1000),
        template,
      }),
    );
    return 0;
  }
  const answer = readNamed(world, answerFile);
  const wrong = answer.length > LARGEST_TEMPLATE ? 'it is too long' : faultOf(template, answer);
  if (wrong !== undefined)
    throw refuse('spec-invalid', `The answer is no template: ${wrong}`, 'Ask again, or correct the answer.');
  const shown = await gitAnswer(
    { dir: world.cwd, env: gitEnvironment(world.env), filters: [], disk: [] },
    ['diff', '--no-index', '--no-color', '--', file, resolve(world.cwd, answerFile)],
    { answers: [1] },
  );
  world.out(shown.stdout);
  if (options.yes === true) writeWhole(file, answer);
  else world.err('Nothing was replaced. To take it: the same with --yes\n');
  return 0;
}
