import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { stringify, type TomlTable } from 'smol-toml';
import { z } from 'zod';
import { refuse } from '../errors.ts';
import { writeWhole } from '../files.ts';
import { misfits, readToml, settingsFile } from './settings.ts';

export const profileSchema = z.strictObject({
  steps: z.number().int().positive().default(100),
  wallSeconds: z.number().positive().default(1800),
  /** Attempts per model call. */
  attempts: z.number().int().positive().default(4),
  /** Until the model's first word. */
  firstOutputSeconds: z.number().positive().default(300),
  /** Without a sign of life; while a tool runs `toolSeconds` counts instead. */
  idleSeconds: z.number().positive().default(360),
  toolSeconds: z.number().positive().default(900),
  /** Of Kimi's stream, and of what it adds to the worktree. */
  outputMegabytes: z.number().positive().default(2048),
  diskMegabytes: z.number().positive().default(4096),
  /** The longest wait that the service may ask for before another attempt. */
  retrySeconds: z.number().positive().default(120),
  /** How often a silent worker is nudged before the run ends. */
  nudges: z.number().int().min(0).max(3).default(3),
  concurrency: z.number().int().positive().default(1),
  /** Commands of a verification that run at the same time, in one worktree: for those that do not disturb one another. */
  parallel: z.number().int().positive().default(1),
  /** Worktrees that wait for the next run, for each repository; 0 keeps none. */
  pool: z.number().int().min(0).default(8),
  /** Hosts beside Kimi's own that Kimi may reach from the sandbox. */
  hosts: z.array(z.string()).default([]),
  /** Hosts that the verification may reach from the sandbox: `packages.example.org`, `localhost:5432`. */
  verifyHosts: z.array(z.string()).default([]),
  /** Paths that nothing in the sandbox may read, beside the built-in list. */
  denyRead: z.array(z.string()).default([]),
  /** Paths of the home folder that are open inside the sandbox, to read: a toolchain in an unusual place. */
  allowRead: z.array(z.string()).default([]),
  /** Hosts that `setup` and package managers may reach beside the registries that they are configured for. */
  provisionHosts: z.array(z.string()).default([]),
  /** Variables of the environment: `NAME` passes yours, `NAME=value` sets one. */
  env: z.array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*(=|$)/, 'NAME or NAME=value')).default([]),
  /** MCP servers of the user's Kimi that a run keeps, by name; `*` is all. Their hosts are open to Kimi. */
  mcp: z.array(z.string()).default([]),
  /** The user's own skills; AGENTS.md and agents; hooks. */
  skills: z.boolean().default(true),
  agents: z.boolean().default(true),
  hooks: z.boolean().default(false),
  /** `off`, or an effort that the model knows: `low`, `high`. The default is the user's own. */
  thinking: z.string().min(1).optional(),
  /** Kimi may start many sub-agents at once. */
  swarm: z.boolean().default(false),
  /** Model calls in a rolling week; a run that would begin beyond it is refused. */
  requestsPerWeek: z.number().int().positive().optional(),
  model: z.string().optional(),
  /** A command that prepares the worktree, run once before the baseline. */
  setup: z.string().optional(),
});
export type Profile = z.infer<typeof profileSchema>;

/** The seed's two profiles keep the seed's numbers; the default is neither. */
const BUILT_IN: Record<string, z.input<typeof profileSchema>> = {
  default: {},
  moderato: { steps: 100, wallSeconds: 300, concurrency: 1, requestsPerWeek: 2048 },
  swarm: { steps: 300, wallSeconds: 3600, concurrency: 4, swarm: true },
};

/** Loads a profile by name: the user's own `profiles.toml` first, then the built-in ones. */
export function loadProfile(name: string, configHome: string): Profile {
  const file = profilesFile(configHome);
  const own = existsSync(file) ? readToml(file) : {};
  const found = own[name] ?? BUILT_IN[name];
  if (found === undefined) {
    const names = [...new Set([...Object.keys(BUILT_IN), ...Object.keys(own)])].join(', ');
    throw refuse('usage', `Unknown profile: ${name}`, `Choose one of: ${names}`);
  }
  const parsed = profileSchema.safeParse(found);
  if (parsed.success) return parsed.data;
  throw refuse('usage', `Profile ${name} in ${file}: ${misfits(parsed.error)}`, 'Correct the file.');
}

/** Where the user's own profiles lie, and which one is in use. */
export const profilesFile = (configHome: string): string => join(configHome, 'kimi-dispatch', 'profiles.toml');

/** The name of the profile in use: the project's `.kimi-dispatch.toml`, else the user's choice, else `default`. */
export function currentProfile(configHome: string, checkout?: string): string {
  // A project may choose among the user's profiles; it may not widen what a profile allows.
  const files = [...(checkout === undefined ? [] : [join(checkout, '.kimi-dispatch.toml')]), settingsFile(configHome)];
  for (const file of files) {
    const named = existsSync(file) ? readToml(file).profile : undefined;
    if (typeof named === 'string') return named;
  }
  return 'default';
}

/** Chooses a profile for the user. Kimi's own files are never touched: a run's home is generated. */
export function useProfile(name: string, configHome: string): void {
  loadProfile(name, configHome);
  const file = settingsFile(configHome);
  const before = existsSync(file) ? readToml(file) : {};
  writeWhole(file, stringify({ ...before, profile: name }));
}

/** Adds or changes a profile of the user's own; a value that does not fit is refused before anything is written. */
export function addProfile(name: string, values: Readonly<Record<string, unknown>>, configHome: string): void {
  const parsed = profileSchema.safeParse(values);
  if (!parsed.success)
    throw refuse('usage', `Profile ${name}: ${misfits(parsed.error)}`, 'kimi-dispatch profile show default');
  const file = profilesFile(configHome);
  const before = existsSync(file) ? readToml(file) : {};
  writeWhole(file, stringify({ ...before, [name]: values } as TomlTable));
}

/** Every profile by name, the user's own first. */
export function listProfiles(configHome: string): string[] {
  const file = profilesFile(configHome);
  const own = existsSync(file) ? Object.keys(readToml(file)) : [];
  return [...new Set([...own, ...Object.keys(BUILT_IN)])];
}
