import {
  appendFileSync,
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { type Owner, ownerLives, sameOwner } from '../process/alive.ts';
import { withLock } from '../process/lock.ts';
import { quote } from '../quote.ts';
import { addToBox, beginBoxes, type Header, headerOf, readBox } from './box.ts';
import type { Agent, Entry, Message, SpecEntry, Task, TaskState } from './model.ts';
import * as model from './model.ts';
import { mailboxFolder, signal } from './signal.ts';

type Env = Readonly<Record<string, string | undefined>>;

export interface View {
  readonly agents: Map<string, Agent>;
  readonly messages: Map<string, Message>;
  readonly tasks: Map<string, Task>;
  readonly specs: Map<string, SpecEntry[]>;
}

/** An entry before it gets its time. */
type Unstamped<One extends Entry = Entry> = One extends unknown ? Omit<One, 't'> : never;

/**
 * Agents, messages, tasks and specs of this machine: one append-only journal, from which everything is computed. One
 * line is one write, so fifty writers at once lose nothing; what depends on the state before it is done under a lease.
 */
export class Mailbox {
  readonly #folder: string;
  readonly #now: () => Date;
  readonly #view: View = { agents: builtIn(), messages: new Map(), tasks: new Map(), specs: new Map() };
  #offset = 0;

  constructor(env: Env, now: () => Date) {
    this.#folder = mailboxFolder(env);
    this.#now = now;
  }

  get file(): string {
    return join(this.#folder, 'journal.ndjson');
  }

  #append(entry: Unstamped): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const version = join(this.#folder, 'version');
    if (!existsSync(version)) {
      writeFileSync(version, '1\n', { mode: 0o600 });
      if (!existsSync(this.file)) beginBoxes(this.#folder);
    }
    this.#requireVersion(version);
    try {
      appendFileSync(this.file, `${JSON.stringify({ t: this.#now().toISOString(), ...entry })}\n`, { mode: 0o600 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      throw refuse('disk-full', `The disk is full: ${this.file}`, 'Make room, then send it again. Nothing was sent.');
    }
  }

  #requireVersion(file: string): void {
    const found = readFileSync(file, 'utf8').trim();
    if (found === '1' || found === '') return;
    throw refuse(
      'wrong-state',
      `The mailbox was written by a newer version (format ${found}).`,
      'npx kimi-dispatch@latest upgrade',
    );
  }

  /** Everything, computed from the journal; what was read before is not read again. A torn line loses itself alone. */
  read(): View {
    const version = join(this.#folder, 'version');
    if (existsSync(version)) this.#requireVersion(version);
    if (!existsSync(this.file)) return this.#view;
    const handle = openSync(this.file, 'r');
    try {
      const { size } = fstatSync(handle);
      const more = Buffer.alloc(Math.max(0, size - this.#offset));
      const length = readSync(handle, more, 0, more.length, this.#offset);
      // Only whole lines count: the last one may still be being written.
      const end = more.lastIndexOf(10, length - 1) + 1;
      this.#offset += end;
      for (const line of more.subarray(0, end).toString('utf8').split('\n')) foldLine(this.#view, line);
    } finally {
      closeSync(handle);
    }
    return this.#view;
  }

  #locked<T>(work: () => T): Promise<T> {
    return withLock({ file: join(this.#folder, 'lock'), what: 'The mailbox', waitMs: 30_000 }, async () => work());
  }

  /** Registers an agent. With an owner, the name belongs to that process while it lives, and to nobody else. */
  register(name: string, workspace: string, description: string, owner?: Owner): void {
    const holder = this.read().agents.get(name)?.owner;
    if (owner !== undefined && holder !== undefined && !sameOwner(holder, owner) && ownerLives(holder))
      throw refuse(
        'wrong-state',
        `The agent ${name} is another session that is still there.`,
        `Register another name: ${name}-2`,
      );
    this.#append({
      type: 'agent',
      name: model.requireName('An agent', name),
      workspace: model.within('A workspace', workspace, model.LIMITS.text),
      description: model.within('A description', description, model.LIMITS.text),
      ...(owner === undefined ? {} : { owner }),
    });
  }

  setStatus(name: string, status: string): void {
    this.#known(name);
    this.#append({ type: 'status', name, status: model.within('A status', status, model.LIMITS.text) });
  }

  /** Sends; both ends must be registered, and nobody writes to himself. */
  send(message: {
    from: string;
    to: string;
    subject: string;
    content: string;
    type?: string;
    task?: string;
    replyTo?: string;
  }): string {
    const { from, to } = message;
    this.#known(from);
    this.#known(to);
    if (from === to) throw refuse('usage', 'A message to oneself goes nowhere.', 'Name another agent.');
    const id = `msg-${crypto().randomBytes(6).toString('hex')}`;
    this.#append({
      type: 'message',
      id,
      from,
      to,
      subject: oneLine(model.within('A subject', message.subject, model.LIMITS.title)),
      content: model.requireBody(message.content),
      kind: model.requireOne('A type', message.type ?? 'message', model.MESSAGE_TYPES),
      ...(message.task === undefined ? {} : { task: model.requireName('A task', message.task) }),
      ...(message.replyTo === undefined ? {} : { replyTo: this.message(message.replyTo).id }),
    });
    addToBox(this.#folder, to, headerOf(this.message(id)));
    signal(this.#folder, to, { id, from, subject: oneLine(message.subject) });
    return id;
  }

  #known(name: string): Agent {
    model.requireName('An agent', name);
    const { agents } = this.read();
    const found = agents.get(name);
    if (found !== undefined) return found;
    const near = [...agents.keys()].filter((other) => other.startsWith(name.slice(0, 2))).slice(0, 3);
    const hint =
      near.length > 0 ? `Did you mean ${near.join(', ')}?` : `Registered: ${[...agents.keys()].join(', ') || 'nobody'}`;
    throw refuse('not-found', `No agent is called ${name}.`, hint);
  }

  message(id: string): Message {
    const found = this.read().messages.get(model.requireName('A message', id));
    if (found === undefined) throw refuse('not-found', `No message is called ${id}.`, 'kimi-dispatch inbox');
    return found;
  }

  /** A message is read by whom it is for; reading acknowledges it. */
  readMessage(id: string, reader: string): Message {
    const message = this.message(id);
    if (message.to !== reader && message.from !== reader)
      throw refuse('usage', `Message ${id} is for ${message.to}, not for ${reader}.`);
    if (message.to === reader && message.state === 'pending') {
      this.#append({ type: 'mark', id, state: 'acknowledged', by: reader });
      this.#tell(id);
    }
    return message;
  }

  mark(id: string, state: Message['state'], by: string): void {
    const message = this.message(id);
    if (message.to !== by) throw refuse('usage', `Message ${id} is for ${message.to}, not for ${by}.`);
    this.#append({ type: 'mark', id, state, by });
    this.#tell(id);
  }

  /** Everything that waits for an agent: unread mail, and escalations until they are resolved. */
  inbox(name: string): Header[] {
    return this.inboxPage(name, Number.POSITIVE_INFINITY).first;
  }

  /** The first `most` of it, and how many there are. */
  inboxPage(name: string, most: number): { first: Header[]; count: number } {
    const kept = readBox(this.#folder, name, most);
    if (kept !== undefined) return kept;
    const waiting = [...this.read().messages.values()].filter(
      (message) =>
        (message.to === name && message.state === 'pending') ||
        (message.escalation !== undefined && (message.to === name || message.from === name)),
    );
    return { first: waiting.slice(0, most).map(headerOf), count: waiting.length };
  }

  /** A change of a message, told to the boxes of both ends. */
  #tell(id: string): void {
    const message = this.message(id);
    const open = message.escalation !== undefined;
    for (const agent of [message.to, message.from])
      addToBox(
        this.#folder,
        agent,
        open || (agent === message.to && message.state === 'pending') ? headerOf(message) : { id, gone: true },
      );
  }

  escalate(id: string, by: string, reason: string, severity = 'high'): void {
    const message = this.message(id);
    if (message.to !== by && message.from !== by) throw refuse('usage', `Message ${id} is not yours.`);
    const level = model.requireOne('A severity', severity, ['low', 'medium', 'high', 'critical']);
    this.#append({
      type: 'escalate',
      id,
      by,
      reason: model.within('A reason', reason, model.LIMITS.text),
      severity: level,
    });
    this.#tell(id);
  }

  resolve(id: string, by: string): void {
    this.message(id);
    this.#append({ type: 'resolve', id, by: model.requireName('An agent', by) });
    this.#tell(id);
  }

  search(words: string): Message[] {
    const wanted = words.toLowerCase();
    return [...this.read().messages.values()].filter((message) =>
      `${message.subject}\n${message.content}`.toLowerCase().includes(wanted),
    );
  }

  createTask(task: {
    title: string;
    description?: string;
    assignee: string;
    assigner: string;
    priority?: string;
    requirements?: string[];
    criteria?: string[];
  }): string {
    const id = `task-${crypto().randomBytes(5).toString('hex')}`;
    const items = (list: string[] | undefined): string[] =>
      (list ?? []).map((item) => model.within('A list item', item, model.LIMITS.item));
    this.#append({
      type: 'task',
      task: {
        id,
        title: oneLine(model.within('A title', task.title, model.LIMITS.title)),
        description: model.within('A description', task.description ?? '', model.LIMITS.description),
        assignee: this.#known(task.assignee).name,
        assigner: this.#known(task.assigner).name,
        priority: model.requireOne('A priority', task.priority ?? 'medium', ['low', 'medium', 'high', 'critical']),
        requirements: items(task.requirements),
        criteria: items(task.criteria),
        state: 'pending',
        notes: [],
      },
    });
    return id;
  }

  task(id: string): Task {
    const found = this.read().tasks.get(model.requireName('A task', id));
    if (found === undefined) throw refuse('not-found', `No task is called ${id}.`, 'kimi-dispatch task list');
    return found;
  }

  /** Changes a task under the lease; `version` asks that nobody changed it since it was read. */
  updateTask(
    id: string,
    change: {
      state?: TaskState;
      note?: string;
      run?: string;
      requirements?: string[];
      criteria?: string[];
      by: string;
      version?: number;
    },
  ): Promise<Task> {
    return this.#locked(() => {
      const task = this.task(id);
      if (change.version !== undefined && change.version !== task.version)
        throw refuse(
          'conflict',
          `Task ${id} was changed meanwhile (version ${task.version}).`,
          `kimi-dispatch task show ${id}`,
        );
      if (
        change.state !== undefined &&
        change.state !== task.state &&
        !model.TRANSITIONS[task.state].includes(change.state)
      )
        throw refuse(
          'wrong-state',
          `Task ${id} is ${task.state}; it cannot become ${change.state}.`,
          `Possible: ${model.TRANSITIONS[task.state].join(', ') || 'nothing, it is final'}`,
        );
      this.#append({
        type: 'task-update',
        id,
        by: model.requireName('An agent', change.by),
        ...(change.state === undefined ? {} : { state: change.state }),
        ...(change.note === undefined ? {} : { note: model.within('A note', change.note, model.LIMITS.text) }),
        ...(change.run === undefined ? {} : { run: change.run }),
        ...(change.requirements === undefined ? {} : { requirements: change.requirements.map(item) }),
        ...(change.criteria === undefined ? {} : { criteria: change.criteria.map(item) }),
      });
      return this.task(id);
    });
  }

  publishSpec(name: string, content: string, publisher: string): Promise<SpecEntry> {
    model.requireName('A spec', name);
    this.#known(publisher);
    if (Buffer.byteLength(content) > 1024 * 1024) throw refuse('usage', 'A spec has 1 MB at most.');
    return this.#locked(() => {
      const digest = crypto().createHash('sha256').update(content).digest('hex');
      this.#append({ type: 'spec', name, digest, content, publisher });
      return this.read().specs.get(name)?.at(-1) as SpecEntry;
    });
  }
}

/** A requirement of a spec may be longer than a list item: then the spec in the run's folder tells it. */
const item = (text: string): string =>
  text.length > model.LIMITS.item ? '(longer than a list item: see the spec of the run)' : text;

/** Who is always there. */
const builtIn = (): Map<string, Agent> =>
  new Map(
    ['claude', 'kimi', 'human'].map((name) => [
      name,
      { name, workspace: '', description: '', since: '' } satisfies Agent,
    ]),
  );

/** Loaded on use: a list of mail needs none of it. */
const crypto = (): typeof import('node:crypto') => process.getBuiltinModule('node:crypto');

/** A subject is one line, and inert in a terminal. */
const oneLine = (text: string): string => quote(text, 10_000);

function foldLine(view: View, line: string): void {
  try {
    if (line !== '') fold(view, JSON.parse(line) as Entry);
  } catch {
    // Torn or foreign.
  }
}

function fold(view: View, entry: Entry): void {
  switch (entry.type) {
    case 'agent': {
      const { name, workspace, description, owner, t } = entry;
      const more = owner === undefined ? {} : { owner };
      view.agents.set(name, { ...view.agents.get(name), name, workspace, description, since: t, ...more });
      return;
    }
    case 'status': {
      const agent = view.agents.get(entry.name);
      if (agent !== undefined) view.agents.set(entry.name, { ...agent, status: entry.status, statusAt: entry.t });
      return;
    }
    case 'message': {
      const { t, type: _type, kind, ...rest } = entry;
      view.messages.set(entry.id, { ...rest, type: kind, at: t, state: 'pending' });
      return;
    }
    case 'mark':
      return change(view, entry.id, { state: entry.state });
    case 'escalate':
      return change(view, entry.id, {
        escalation: { by: entry.by, reason: entry.reason, severity: entry.severity, at: entry.t },
      });
    case 'resolve': {
      const message = view.messages.get(entry.id);
      if (message === undefined) return;
      const { escalation: _gone, ...rest } = message;
      view.messages.set(entry.id, { ...rest, state: 'completed' });
      return;
    }
    case 'task':
      view.tasks.set(entry.task.id, { ...entry.task, version: 1, at: entry.t });
      return;
    case 'task-update': {
      const task = view.tasks.get(entry.id);
      if (task === undefined) return;
      const notes = entry.note === undefined ? task.notes : [...task.notes, `${entry.t} ${entry.by}: ${entry.note}`];
      const run = {
        ...(entry.run === undefined ? {} : { run: entry.run }),
        ...(entry.requirements === undefined ? {} : { requirements: entry.requirements }),
        ...(entry.criteria === undefined ? {} : { criteria: entry.criteria }),
      };
      view.tasks.set(entry.id, { ...task, ...run, notes, state: entry.state ?? task.state, version: task.version + 1 });
      return;
    }
    case 'spec': {
      const { t, type: _type, ...rest } = entry;
      const before = view.specs.get(entry.name) ?? [];
      view.specs.set(entry.name, [...before, { ...rest, version: before.length + 1, at: t }]);
    }
  }
}

function change(view: View, id: string, more: Partial<Message>): void {
  const message = view.messages.get(id);
  if (message !== undefined) view.messages.set(id, { ...message, ...more });
}
