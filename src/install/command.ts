import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { shim } from './content.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** Every `kimi-dispatch` on the PATH, in its order. */
export const commandsOnPath = (env: Env): string[] =>
  (env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder.startsWith('/'))
    .map((folder) => join(folder, 'kimi-dispatch'))
    .filter((file) => existsSync(file));

/** True for a command that we put there, for this runtime. */
export function ownCommand(file: string, runtime: string): boolean {
  try {
    return readFileSync(file, 'utf8') === shim(runtime);
  } catch {
    return false;
  }
}

/**
 * Where our command belongs: a folder for programs in the user's home that exists and is on the PATH. Undefined where
 * there is none, or where another `kimi-dispatch` is there already.
 */
export function commandPlace(env: Env, runtime: string): string | undefined {
  const home = env.HOME ?? '/nowhere';
  const places = [join(home, '.local', 'bin'), join(home, 'bin')];
  const folder = places.find((place) => existsSync(place) && (env.PATH ?? '').split(delimiter).includes(place));
  if (folder === undefined) return undefined;
  const file = join(folder, 'kimi-dispatch');
  return !existsSync(file) || ownCommand(file, runtime) ? file : undefined;
}

/** Puts the command onto the user's PATH, where it has a place. */
export function putCommand(runtime: string, env: Env): void {
  const file = commandPlace(env, runtime);
  if (file !== undefined) writeFileSync(file, shim(runtime), { mode: 0o755 });
}
