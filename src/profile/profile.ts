import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { z } from 'zod';
import { refuse } from '../errors.ts';

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
  /** Hosts beside Kimi's own that Kimi may reach from the sandbox. */
  hosts: z.array(z.string()).default([]),
  /** Hosts that the verification may reach from the sandbox: `registry.npmjs.org`, `localhost:5432`. */
  verifyHosts: z.array(z.string()).default([]),
  /** Paths that nothing in the sandbox may read, beside the built-in list. */
  denyRead: z.array(z.string()).default([]),
  model: z.string().optional(),
  /** A command that prepares the worktree, run once before the baseline. */
  setup: z.string().optional(),
});
export type Profile = z.infer<typeof profileSchema>;

/** The seed's two profiles keep the seed's numbers; the default is neither (ruling 13). */
const BUILT_IN: Record<string, z.input<typeof profileSchema>> = {
  default: {},
  moderato: { steps: 100, wallSeconds: 300, concurrency: 1 },
  swarm: { steps: 300, wallSeconds: 3600, concurrency: 4 },
};

/** Loads a profile by name: the user's own `profiles.toml` first, then the built-in ones. */
export function loadProfile(name: string, configHome: string): Profile {
  const file = join(configHome, 'kimi-dispatch', 'profiles.toml');
  const own = existsSync(file) ? readToml(file) : {};
  const found = own[name] ?? BUILT_IN[name];
  if (found === undefined) {
    const names = [...new Set([...Object.keys(BUILT_IN), ...Object.keys(own)])].join(', ');
    throw refuse('usage', `Unknown profile: ${name}`, `Choose one of: ${names}`);
  }
  const parsed = profileSchema.safeParse(found);
  if (parsed.success) return parsed.data;
  throw refuse('usage', `Profile ${name} in ${file}: ${z.prettifyError(parsed.error)}`, 'Correct the file.');
}

function readToml(file: string): Record<string, unknown> {
  try {
    return parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw refuse('usage', `${file}: ${String(error).split('\n')[0]}`, 'Correct the file.');
  }
}
