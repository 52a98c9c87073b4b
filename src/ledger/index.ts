import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../files.ts';
import type { RunState } from './events.ts';
import { changedFile } from './file.ts';

/**
 * A memory of runs that have ended, so that lists need not read their events: it may be deleted at any time. It holds
 * for every run but those that the file of changes names behind `changed`.
 */
interface Index {
  readonly v: number;
  /** Bytes of the file of changes that were known when this was written. */
  readonly changed: number;
  /** The names of a state's fields, and a row of values for each run: a fifth of the time that objects take to parse. */
  readonly fields: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
}

const VERSION = 3;
const indexFile = (commonDir: string): string => join(commonDir, 'kimi-dispatch', 'index.json');

const changedSize = (commonDir: string): number =>
  statSync(changedFile(commonDir), { throwIfNoEntry: false })?.size ?? 0;

/** The ended runs that the index knows, by id, and how far it had looked when that was true. */
export function readIndex(commonDir: string): { runs: Map<string, RunState>; changed: number } {
  // Before anything else is read: what changes from here on is looked at again the next time.
  const changed = changedSize(commonDir);
  const runs = new Map<string, RunState>();
  const index = parseIndex(commonDir);
  if (index === undefined || index.changed > changed) return { runs, changed };
  for (const row of index.rows) {
    const run = stateOf(index.fields, row);
    runs.set(run.id, run);
  }
  if (index.changed < changed)
    for (const id of readFileSync(changedFile(commonDir), 'utf8').slice(index.changed).split('\n')) runs.delete(id);
  return { runs, changed };
}

function parseIndex(commonDir: string): Index | undefined {
  if (!existsSync(indexFile(commonDir))) return undefined;
  try {
    const index = JSON.parse(readFileSync(indexFile(commonDir), 'utf8')) as Index;
    return index.v === VERSION ? index : undefined;
  } catch {
    return undefined;
  }
}

function stateOf(fields: readonly string[], row: readonly unknown[]): RunState {
  const state: Record<string, unknown> = {};
  for (let at = 0; at < fields.length; at++) {
    const name = fields[at];
    if (name !== undefined && row[at] !== null) state[name] = row[at];
  }
  return state as unknown as RunState;
}

/** Writes the index anew. A reader does it, so a failure is nobody's business. */
export function writeIndex(commonDir: string, runs: readonly RunState[], changed: number): void {
  const fields = [...new Set(runs.flatMap((run) => Object.keys(run)))];
  const rows = runs.map((run) => fields.map((name) => (run as unknown as Record<string, unknown>)[name] ?? null));
  try {
    writeWhole(indexFile(commonDir), JSON.stringify({ v: VERSION, changed, fields, rows } satisfies Index));
  } catch {
    // Read-only or full: the next reader computes the same again.
  }
}
