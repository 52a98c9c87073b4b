import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { writeWhole } from '../files.ts';
import { fullReport } from './present.ts';
import { type Result, resultSchema } from './result.ts';

/** Reads a stored result back, or refuses when it is missing or of a version that is not known. */
export function readResult(folder: string): Result {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(join(folder, 'result.json'), 'utf8'));
  } catch {
    throw refuse('wrong-state', 'This run has no result yet.', 'kimi-dispatch status');
  }
  const parsed = resultSchema.safeParse(migrated(json));
  if (parsed.success) return parsed.data;
  throw refuse(
    'wrong-state',
    'This result was written by another version of kimi-dispatch.',
    'Use the version that wrote it, or discard the run.',
  );
}

/** Version 1 had fewer fields and none that is read differently. */
function migrated(json: unknown): unknown {
  const old = typeof json === 'object' && json !== null && 'version' in json && json.version === 1;
  return old ? { ...json, version: 2 } : json;
}

/** Puts a result on record in a run's folder: as data, and as the report that people read. */
export function keepResult(folder: string, result: Result): void {
  writeWhole(join(folder, 'result.json'), `${JSON.stringify(result, null, 2)}\n`);
  writeWhole(join(folder, 'report.md'), fullReport(result));
}
