import {
  appendFileSync,
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { refuse } from '../errors.ts';
import { fold, type NewEvent, type RunEvent, type RunState } from './events.ts';

/** The folder of all runs of a repository, in its common git directory. */
export const runsFolder = (commonDir: string): string => join(commonDir, 'kimi-dispatch', 'runs');

/** Writes a file whole: a reader sees the old text or the new one. */
export function writeWhole(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}.tmp`;
  writeFileSync(temporary, text, { mode: 0o600 });
  renameSync(temporary, file);
}

/** Appends one event as one line; a torn line before it is ended first, so that nothing is written onto it. */
export function append(runFolder: string, event: NewEvent, now: Date): RunEvent {
  const line = { t: now.toISOString(), ...event } as RunEvent;
  const file = openSync(join(runFolder, 'events.ndjson'), 'a+', 0o600);
  try {
    const { size } = fstatSync(file);
    const last = Buffer.alloc(1);
    if (size > 0) readSync(file, last, 0, 1, size - 1);
    const start = size > 0 && last[0] !== 10 ? '\n' : '';
    writeSync(file, `${start}${JSON.stringify(line)}\n`);
  } finally {
    closeSync(file);
  }
  return line;
}

/** The events of a run. A torn last line loses that line and nothing else. */
export function readEvents(runFolder: string): RunEvent[] {
  const file = join(runFolder, 'events.ndjson');
  if (!existsSync(file)) return [];
  const events: RunEvent[] = [];
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    try {
      const event = JSON.parse(line) as RunEvent;
      if (typeof event === 'object' && event !== null && typeof event.type === 'string') events.push(event);
    } catch {
      // Torn or foreign: skipped.
    }
  }
  return events;
}

/**
 * All runs of a repository, oldest first. Runs that have not changed since they were read last come from an index,
 * which is nothing but a memory of the events: it may be deleted, and a line that does not fit is not used.
 */
export function listRuns(commonDir: string): RunState[] {
  const folder = runsFolder(commonDir);
  if (!existsSync(folder)) return [];
  const index = readIndex(commonDir);
  const fresh: string[] = [];
  const runs = readdirSync(folder).map((id) => {
    const size = statSync(join(folder, id, 'events.ndjson'), { throwIfNoEntry: false })?.size ?? 0;
    const known = index.get(id);
    if (known !== undefined && known.size === size) return known.state;
    const state = fold(readEvents(join(folder, id)));
    if (state?.outcome !== undefined) fresh.push(JSON.stringify({ v: INDEX_VERSION, id, size, state }));
    return state;
  });
  if (fresh.length > 0) writeIndex(commonDir, index.size === 0, fresh);
  return runs.filter((run) => run !== undefined).sort((left, right) => (left.startedAt < right.startedAt ? -1 : 1));
}

interface Indexed {
  readonly v: number;
  readonly id: string;
  /** Bytes of the run's events when this line was written. */
  readonly size: number;
  readonly state: RunState;
}

const INDEX_VERSION = 2;
const indexFile = (commonDir: string): string => join(commonDir, 'kimi-dispatch', 'index.ndjson');

function readIndex(commonDir: string): Map<string, Indexed> {
  const index = new Map<string, Indexed>();
  const file = indexFile(commonDir);
  if (!existsSync(file)) return index;
  for (const line of readFileSync(file, 'utf8').split('\n'))
    try {
      const entry = JSON.parse(line) as Indexed;
      if (entry.v === INDEX_VERSION) index.set(entry.id, entry);
    } catch {
      // A torn line: that run is read from its events.
    }
  return index;
}

/** A reader may write it, so a failure is nobody's business. */
function writeIndex(commonDir: string, whole: boolean, lines: readonly string[]): void {
  const file = indexFile(commonDir);
  const text = `${lines.join('\n')}\n`;
  try {
    const grown = (statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 4 * 1024 * 1024;
    if (whole || grown) writeWhole(file, text);
    else appendFileSync(file, text, { mode: 0o600 });
  } catch {
    // Read-only or full: the next reader computes the same again.
  }
}

/** A run by id, unique prefix, or `@last`; refuses with the candidates when that names no single run. */
export function findRun(commonDir: string, name: string): RunState {
  const runs = listRuns(commonDir);
  const exact = runs.find((run) => run.id === name);
  const found =
    exact !== undefined
      ? [exact]
      : name === '@last'
        ? runs.filter((run) => run.parent === undefined).slice(-1)
        : runs.filter((run) => run.id.startsWith(name));
  if (found[0] !== undefined && found.length === 1 && name !== '') return found[0];
  const some = (found.length > 0 ? found : runs).slice(-5).map((run) => run.id);
  const hint =
    some.length === 0 ? 'There are no runs here yet: kimi-dispatch run plan.md' : `Choose one of: ${some.join(', ')}`;
  throw refuse(
    'not-found',
    found.length > 1 ? `"${name}" names ${found.length} runs.` : `No run is called "${name}".`,
    hint,
  );
}
