import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import type { z } from 'zod';
import { refuse } from '../errors.ts';

/** The user's own settings: `config.toml` in the config home. */
export const settingsFile = (configHome: string): string => join(configHome, 'kimi-dispatch', 'config.toml');

/** One table of it, or nothing where there is none. */
export function settings(configHome: string, table: string): unknown {
  const file = settingsFile(configHome);
  return existsSync(file) ? readToml(file)[table] : undefined;
}

/** What does not fit in settings, in one line. */
export const misfits = ({ issues }: z.ZodError): string =>
  issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`)).join('; ');

/** A TOML file; refuses with the first line of what is wrong. */
export function readToml(file: string): Record<string, unknown> {
  try {
    return parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw refuse('usage', `${file}: ${String(error).split('\n')[0]}`, 'Correct the file.');
  }
}
