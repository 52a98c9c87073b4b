import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Mailbox } from './store.ts';

/** One thing of an older system: what it is, and what becomes of it. Nothing of theirs is changed. */
export interface Import {
  readonly what: 'agent' | 'message' | 'task' | 'spec';
  readonly name: string;
  readonly run: (mailbox: Mailbox) => unknown;
}

type Data = Readonly<Record<string, unknown>>;

const json = (file: string): Data | undefined => {
  try {
    const data = JSON.parse(readFileSync(file, 'utf8')) as Data;
    return typeof data === 'object' && data !== null ? data : undefined;
  } catch {
    return undefined;
  }
};
const list = (folder: string, ending: string): string[] =>
  existsSync(folder) && statSync(folder).isDirectory()
    ? readdirSync(folder)
        .filter((name) => name.endsWith(ending))
        .map((name) => join(folder, name))
    : [];
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
/** A name of theirs as a name of ours; agents that are not registered here are, so that their mail has ends. */
const nameOf = (value: unknown): string =>
  text(value)
    .replace(/[^\p{L}\p{N}._@:-]/gu, '-')
    .slice(0, 50) || 'unknown';

/** What lies in a `.interagent/`, `.agentweave/` or `~/.claude-interagent/` folder; unreadable files are left out. */
export function readOlder(folder: string): Import[] {
  const registry = json(join(folder, 'registry.json'));
  return registry === undefined && !existsSync(join(folder, 'messages-meta'))
    ? fromFramework(folder)
    : fromServer(folder, registry ?? {});
}

function messageImport(data: Data, content: string): Import {
  const [from, to] = [nameOf(data.from ?? data.from_agent), nameOf(data.to ?? data.to_agent)];
  const subject = text(data.subject) || '(no subject)';
  return {
    what: 'message',
    name: `${from} → ${to}: ${subject.slice(0, 60)}`,
    run: (mailbox) => {
      for (const agent of [from, to]) if (!mailbox.read().agents.has(agent)) mailbox.register(agent, '', 'imported');
      return mailbox.send({ from, to, subject: subject.slice(0, 200), content: content.slice(0, 60_000) || '(empty)' });
    },
  };
}

/** InterAgent and AgentWeave: JSON files in folders. */
function fromFramework(folder: string): Import[] {
  const messages = ['pending', 'archive'].flatMap((name) => list(join(folder, 'messages', name), '.json'));
  const tasks = ['active', 'completed'].flatMap((name) => list(join(folder, 'tasks', name), '.json'));
  return [
    ...messages.flatMap((file) => {
      const data = json(file);
      return data === undefined ? [] : [messageImport(data, text(data.content))];
    }),
    ...tasks.flatMap((file): Import[] => {
      const data = json(file);
      if (data === undefined) return [];
      const title = (text(data.title) || 'imported').slice(0, 200);
      const people = { assignee: nameOf(data.assignee ?? 'kimi'), assigner: nameOf(data.assigner ?? 'claude') };
      const lines = (value: unknown): string[] =>
        Array.isArray(value) ? value.map((item) => String(item).slice(0, 500)) : [];
      return [
        {
          what: 'task',
          name: title,
          run: (mailbox) => {
            for (const agent of Object.values(people))
              if (!mailbox.read().agents.has(agent)) mailbox.register(agent, '', 'imported');
            const more = { requirements: lines(data.requirements), criteria: lines(data.acceptance_criteria) };
            return mailbox.createTask({
              title,
              description: text(data.description).slice(0, 5000),
              ...people,
              ...more,
            });
          },
        },
      ];
    }),
  ];
}

/** The MCP server's folder: a registry, bodies beside their metadata, specs. */
function fromServer(folder: string, registry: Data): Import[] {
  const agents = Object.entries((registry.agents as Data | undefined) ?? registry).flatMap(([key, value]): Import[] => {
    const data = (typeof value === 'object' && value !== null ? value : {}) as Data;
    const name = nameOf(data.name ?? key);
    return [
      {
        what: 'agent',
        name,
        run: (mailbox) =>
          mailbox.register(
            name,
            text(data.workspace_path ?? data.workspacePath).slice(0, 1000),
            text(data.description).slice(0, 1000),
          ),
      },
    ];
  });
  const folders = [folder, join(folder, 'archive')];
  const messages = folders.flatMap((at) =>
    list(join(at, 'messages-meta'), '.json').flatMap((file) => {
      const data = json(file);
      const body = file.replace('messages-meta', 'messages').replace(/\.json$/, '.md');
      return data === undefined ? [] : [messageImport(data, existsSync(body) ? readFileSync(body, 'utf8') : '')];
    }),
  );
  const specs = list(join(folder, 'specs'), '.md').map((file): Import => {
    const name = nameOf(file.split('/').at(-1)?.replace(/\.md$/, ''));
    return { what: 'spec', name, run: (mailbox) => mailbox.publishSpec(name, readFileSync(file, 'utf8'), 'claude') };
  });
  return [...agents, ...messages, ...specs];
}
