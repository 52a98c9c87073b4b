import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
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

/** Appends one event as one line. */
export function append(runFolder: string, event: NewEvent, now: Date): RunEvent {
  const line = { t: now.toISOString(), ...event } as RunEvent;
  appendFileSync(join(runFolder, 'events.ndjson'), `${JSON.stringify(line)}\n`, { mode: 0o600 });
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

/** All runs of a repository, oldest first. */
export function listRuns(commonDir: string): RunState[] {
  const folder = runsFolder(commonDir);
  if (!existsSync(folder)) return [];
  const runs = readdirSync(folder).map((id) => fold(readEvents(join(folder, id))));
  return runs.filter((run) => run !== undefined).sort((left, right) => (left.startedAt < right.startedAt ? -1 : 1));
}

/** A run by id, unique prefix, or `@last`; refuses with the candidates when that names no single run. */
export function findRun(commonDir: string, name: string): RunState {
  const runs = listRuns(commonDir);
  const exact = runs.find((run) => run.id === name);
  const found =
    exact !== undefined ? [exact] : name === '@last' ? runs.slice(-1) : runs.filter((run) => run.id.startsWith(name));
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
