import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { refuse } from '../errors.ts';
import type { World } from '../world.ts';

/** The text of a file that the user named; `-` is stdin. */
export function readNamed(world: World, name: string): string {
  if (name === '-') return readFileSync(0, 'utf8');
  const file = resolve(world.cwd, name);
  const stat = statSync(file, { throwIfNoEntry: false });
  // Reading a folder fails without its name; of a device nobody knows where it ends.
  if (stat?.isDirectory() === true) throw refuse('usage', `${name} is a folder.`, 'Name a file.');
  if (stat?.isCharacterDevice() === true) throw refuse('usage', `${name} is a device.`, 'Name a file.');
  return readFileSync(file, 'utf8');
}
