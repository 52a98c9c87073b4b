import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { refuse } from '../errors.ts';
import { writeWhole } from '../files.ts';

export interface Output {
  /** As it was typed. */
  readonly name: string;
  readonly cwd: string;
  /** The file that was read, which is never written over. */
  readonly input?: string;
  /** True for the text of a file that this command wrote itself and may replace. */
  readonly ours?: (text: string) => boolean;
  readonly force: boolean;
}

/** Refuses an output that would lose a file of the user's; returns the path. Writes nothing. */
export function outputFile({ name, cwd, input, ours, force }: Output): string {
  const file = resolve(cwd, name);
  const stat = statSync(file, { throwIfNoEntry: false });
  // A folder is not made for a slip of the pen.
  if (!existsSync(dirname(file))) throw refuse('usage', `There is no folder ${dirname(file)}.`, 'Make it first.');
  if (stat?.isDirectory() === true) throw refuse('usage', `${name} is a folder.`, 'Name a file.');
  const same = input === undefined ? undefined : statSync(input, { throwIfNoEntry: false });
  if (stat !== undefined && same?.ino === stat.ino && same.dev === stat.dev)
    throw refuse('usage', `${name} is the file that is read.`, 'Name another file.');
  if (stat !== undefined && !force && ours?.(readFileSync(file, 'utf8')) !== true)
    throw refuse('usage', `${name} exists and is not replaced.`, 'Name another file, or add --force.');
  return file;
}

/** Writes where `outputFile` allows it. */
export const writeOutput = (output: Output, text: string): void => writeWhole(outputFile(output), text);
