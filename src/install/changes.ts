import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { refuse } from '../errors.ts';
import type { OwnFile } from './content.ts';
import { manifestFile } from './places.ts';

const manifestSchema = z.object({
  version: z.literal(1),
  program: z.string(),
  as: z.enum(['files', 'plugin']),
  runtime: z.string(),
  /** Path relative to the Claude home → sha256 of what we wrote there. */
  files: z.record(z.string(), z.string()),
  /** Folders that were made by us, to be removed when they are empty. */
  folders: z.array(z.string()),
  /** The command on the user's PATH that was put there by us. */
  command: z.string().optional(),
  /** What `--allow-look` made of settings.json, and what was there before. */
  settings: z.object({ before: z.string().nullable(), after: z.string() }).optional(),
});
export type Manifest = z.infer<typeof manifestSchema>;

export const sha256 = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex');

/** What an earlier install recorded; undefined when there was none. */
export function readManifest(claude: string): Manifest | undefined {
  const file = manifestFile(claude);
  if (!existsSync(file)) return undefined;
  try {
    return manifestSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    throw refuse(
      'wrong-state',
      `${file} was not written by this version of kimi-dispatch.`,
      'Uninstall with the version that installed it.',
    );
  }
}

export type Change =
  | {
      readonly do: 'write';
      readonly path: string;
      readonly text: string;
      readonly executable: boolean;
      readonly why: string;
    }
  | { readonly do: 'remove'; readonly path: string; readonly why: string }
  | { readonly do: 'keep'; readonly path: string; readonly why: string };

/** Compares what should be there with what is there and with what we wrote last: plain data, nothing is touched. */
export function changesFor(claude: string, wanted: readonly OwnFile[], before: Manifest | undefined): Change[] {
  const changes = wanted.map((file) => changeFor(claude, file, before?.files[file.path]));
  const names = new Set([...wanted, ...changes].map((file) => file.path));
  for (const [path, digest] of Object.entries(before?.files ?? {}))
    if (!names.has(path)) changes.push(removal(claude, path, digest));
  return changes;
}

function changeFor(claude: string, file: OwnFile, recorded: string | undefined): Change {
  const there = digestAt(join(claude, file.path));
  const write = (path: string, why: string): Change => ({
    do: 'write',
    path,
    text: file.text,
    executable: file.executable,
    why,
  });
  if (there === undefined) return write(file.path, 'new');
  if (there === sha256(file.text)) return { do: 'keep', path: file.path, why: 'the same' };
  if (there === recorded) return write(file.path, 'newer');
  return write(`${file.path}.new`, `${file.path} was changed by you and is kept; the new version lies beside it`);
}

/** The changes that take an install away again. */
export const removalsFor = (claude: string, manifest: Manifest): Change[] =>
  Object.entries(manifest.files).map(([path, digest]) => removal(claude, path, digest));

function removal(claude: string, path: string, digest: string): Change {
  const there = digestAt(join(claude, path));
  if (there === undefined) return { do: 'keep', path, why: 'already gone' };
  return there === digest ? { do: 'remove', path, why: 'ours' } : { do: 'keep', path, why: 'changed by you' };
}

function digestAt(file: string): string | undefined {
  try {
    return sha256(readFileSync(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw refuse('preflight', `Cannot read ${file}: ${(error as Error).message}`, 'Check who owns it, then try again.');
  }
}
