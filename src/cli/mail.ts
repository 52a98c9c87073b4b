import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { refuse } from '../errors.ts';
import { gitAnswer } from '../git/git.ts';
import { listRuns, writeWhole } from '../ledger/store.ts';
import { readOlder } from '../mailbox/import.ts';
import { TASK_STATES, type Task, within } from '../mailbox/model.ts';
import { Mailbox } from '../mailbox/store.ts';
import { quote } from '../quote.ts';
import { dashboard } from '../review/dashboard.ts';
import { fill } from '../run/brief.ts';
import { initProject, type Project } from '../run/project.ts';
import { parseSpec } from '../spec/parse.ts';
import { gitEnvironment, type World } from '../world.ts';
import { repoOf } from './look.ts';
import { notifyEscalation } from './notify.ts';
import { commonDirOf } from './status.ts';

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

/** `agent list|add <name>`: who can write to whom. */
export async function agentCommand(world: World, args: readonly string[], options: Options): Promise<number> {
  const box = boxOf(world);
  const [verb = 'list', name = ''] = args;
  if (verb === 'add') {
    box.register(name, world.cwd, text(options, 'description') ?? '');
    world.out(`${name} is registered.\n`);
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
  if (verb === 'send') {
    const type = text(options, 'type');
    const sent = box.send({
      from: me,
      to: id,
      subject: text(options, 'subject') ?? rest.join(' ').slice(0, 60),
      content: bodyOf(world, rest, options),
      ...(type === undefined ? {} : { type }),
    });
    world.out(`${sent}\n`);
    return 0;
  }
  if (verb === 'reply') {
    const original = box.readMessage(id, me);
    const to = original.from === me ? original.to : original.from;
    world.out(
      `${box.send({ from: me, to, subject: `Re: ${original.subject}`.slice(0, 200), content: bodyOf(world, rest, options), replyTo: id })}\n`,
    );
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
    world.out(`${id} is done.\n`);
    return 0;
  }
  if (verb !== 'search') throw refuse('usage', `msg does not know "${verb}".`, 'msg send, read, reply, mark or search');
  for (const message of box.search([id, ...rest].join(' ')).slice(0, 50))
    world.out(`${message.id}  ${message.from} → ${message.to}: ${quote(message.subject, 60)}\n`);
  return 0;
}

function bodyOf(world: World, rest: readonly string[], options: Options): string {
  const file = text(options, 'file');
  if (file === '-') return readFileSync(0, 'utf8');
  return file === undefined ? rest.join(' ') : readFileSync(resolve(world.cwd, file), 'utf8');
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
  world.out(`${id} is escalated until somebody resolves it: kimi-dispatch resolve ${id}\n`);
  return 0;
}

export async function resolveCommand(world: World, args: readonly string[], options: Options): Promise<number> {
  boxOf(world).resolve(args[0] ?? '', actor(world, options));
  world.out(`${args[0]} is resolved.\n`);
  return 0;
}

/** `task create|list|show|update`: guarded transitions, compare and set. */
export async function taskCommand(world: World, args: readonly string[], options: Options): Promise<number> {
  const box = boxOf(world);
  const me = actor(world, options);
  const [verb = 'list', id = '', ...rest] = args;
  if (verb === 'create') {
    const title = [id, ...rest].join(' ');
    world.out(
      `${box.createTask({ title, assignee: text(options, 'to') ?? 'kimi', assigner: me, description: text(options, 'description') ?? '', priority: text(options, 'priority') ?? 'medium' })}\n`,
    );
    return 0;
  }
  if (verb === 'list') {
    const tasks = [...box.read().tasks.values()];
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
  const state = text(options, 'status');
  if (state !== undefined && !(TASK_STATES as readonly string[]).includes(state))
    throw refuse('usage', `A state is one of ${TASK_STATES.join(', ')}, not "${state}".`);
  const note = text(options, 'note');
  const version = typeof options.expect === 'number' ? { version: options.expect } : {};
  const task = await box.updateTask(id, {
    by: me,
    ...version,
    ...(state === undefined ? {} : { state: state as Task['state'] }),
    ...(note === undefined ? {} : { note }),
  });
  world.out(`${task.id} is ${task.state} (version ${task.version}).\n`);
  return 0;
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
  world.out(`${id}\n`);
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
  const view = boxOf(world).read();
  const page = dashboard(listRuns(await commonDirOf(world)), [...view.tasks.values()], [...view.messages.values()]);
  const file = text(options, 'output');
  if (file === undefined) world.out(page);
  else writeWhole(resolve(world.cwd, file), page);
  return 0;
}

/** `import mailbox <folder>`: a list first; with --yes it is taken over. Nothing of theirs is changed. */
export async function importMailbox(world: World, from: string, options: Options): Promise<number> {
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
  const template = readFileSync(file, 'utf8');
  if (template.length > LARGEST_TEMPLATE) throw refuse('usage', 'A template has 16,000 characters at most.');
  const answerFile = text(options, 'answer');
  if (answerFile === undefined) {
    world.out(
      fill(world.root, 'update.hbs', {
        focus: within('The focus', text(options, 'focus') ?? 'clarity', 1000),
        template,
      }),
    );
    return 0;
  }
  const answer = readFileSync(resolve(world.cwd, answerFile), 'utf8');
  const { findings } = parseSpec(answer);
  const errors = findings.filter((finding) => finding.severity === 'error');
  if (answer.length > LARGEST_TEMPLATE || errors.length > 0)
    throw refuse(
      'spec-invalid',
      `The answer is no template: ${errors[0]?.message ?? 'it is too long'}`,
      'Ask again, or correct the answer.',
    );
  const shown = await gitAnswer(
    { dir: world.cwd, env: gitEnvironment(world.env), filters: [] },
    ['diff', '--no-index', '--no-color', '--', file, resolve(world.cwd, answerFile)],
    { answers: [1] },
  );
  world.out(shown.stdout);
  if (options.yes === true) writeWhole(file, answer);
  else world.err('Nothing was replaced. To take it: the same with --yes\n');
  return 0;
}
