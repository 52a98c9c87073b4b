import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { FlavourName } from './flavour.ts';

type Table = Record<string, unknown>;

/** What of the user's own Kimi a run keeps (the keys of a profile). */
export interface Keeps {
  /** MCP servers by name; `*` is all of them. */
  readonly mcp: readonly string[];
  readonly skills: boolean;
  /** AGENTS.md of the user, and agents of their own. */
  readonly agents: boolean;
  readonly hooks: boolean;
  /** `off`, or an effort that the model knows; undefined leaves the user's. */
  readonly thinking?: string | undefined;
}

export const DEFAULT_KEEPS: Keeps = { mcp: [], skills: true, agents: true, hooks: false };

/** What is carried into the home of a run beside the models, and what is left behind. */
export interface Kept {
  /** Parts of the config. */
  readonly config: Table;
  /** Tools that the user switched off. */
  readonly toolsOff: readonly string[];
  /** Folders and files of the user's home that are copied, by name. */
  readonly copies: readonly string[];
  /** MCP servers by name, as the user's mcp.json has them. */
  readonly servers: Table;
  /** Addresses of the MCP servers that are kept. */
  readonly urls: readonly string[];
  /** What stays behind, for people, with the key that keeps it. */
  readonly left: readonly string[];
}

/** Computes it from the user's home and config. A deny rule and a tool that is off are always kept. */
export function keptOf(source: string, user: Table, keeps: Keeps, flavour: FlavourName): Kept {
  const servers = serversIn(join(source, 'mcp.json'));
  const names = Object.keys(servers);
  // The older client takes its MCP servers and skills by other ways.
  const wanted =
    flavour === 'kimi-code' ? names.filter((name) => keeps.mcp.some((key) => [name, '*'].includes(key))) : [];
  const kept = Object.fromEntries(wanted.map((name) => [name, servers[name]]));
  const hooks = Array.isArray(user.hooks) ? user.hooks : [];
  const has = (name: string): boolean => flavour === 'kimi-code' && existsSync(join(source, name));
  const places = [
    ...['skills'].map((name) => ({ name, key: 'skills', keep: keeps.skills })),
    ...['AGENTS.md', 'agents'].map((name) => ({ name, key: 'agents', keep: keeps.agents })),
  ].filter(({ name }) => has(name));
  const denied = rulesIn(user).filter((rule) => rule.decision === 'deny');
  const others = rulesIn(user).length - denied.length;
  const lost = names.filter((name) => !wanted.includes(name));
  return {
    config: {
      ...(keeps.hooks && hooks.length > 0 ? { hooks } : {}),
      ...(denied.length > 0 ? { permission: { rules: denied } } : {}),
      ...thinkingOf(keeps.thinking),
    },
    toolsOff: listIn((user.tools as Table | undefined)?.disabled),
    copies: places.filter(({ keep }) => keep).map(({ name }) => name),
    servers: kept,
    urls: Object.values(kept).flatMap((server) => listIn([(server as Table | null)?.url])),
    left: [
      ...(lost.length > 0 ? [`MCP servers ${lost.join(', ')} (profile: mcp)`] : []),
      ...(hooks.length > 0 && !keeps.hooks ? [`${hooks.length} hooks (profile: hooks)`] : []),
      ...places.filter(({ keep }) => !keep).map(({ name, key }) => `${name} (profile: ${key})`),
      ...(others > 0 ? [`${others} permission rules that allow (Kimi asks nobody in a run)`] : []),
    ],
  };
}

const thinkingOf = (thinking: string | undefined): Table =>
  thinking === undefined
    ? {}
    : { thinking: thinking === 'off' ? { enabled: false } : { enabled: true, effort: thinking } };

const listIn = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];

function rulesIn(user: Table): Table[] {
  const rules = (user.permission as Table | undefined)?.rules;
  return Array.isArray(rules) ? rules.filter((rule): rule is Table => typeof rule === 'object' && rule !== null) : [];
}

function serversIn(file: string): Table {
  try {
    const { mcpServers } = JSON.parse(readFileSync(file, 'utf8')) as { mcpServers?: Table };
    return typeof mcpServers === 'object' && mcpServers !== null ? mcpServers : {};
  } catch {
    // None, or one that Kimi itself could not read.
    return {};
  }
}

/** Copies what is kept into the home of a run, in the place of whatever Kimi put there. */
export function copyKept(home: string, source: string, copies: readonly string[]): void {
  for (const name of ['skills', 'agents', 'AGENTS.md', 'mcp.json'])
    if (existsSync(home) && readdirSync(home).includes(name))
      rmSync(join(home, name), { recursive: true, force: true });
  for (const name of copies)
    cpSync(join(source, name), join(home, name), { recursive: true, dereference: true, force: true });
}
