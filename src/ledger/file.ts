import { appendFileSync, closeSync, existsSync, fstatSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { NewEvent, RunEvent } from './events.ts';
import { takeNumber } from './order.ts';

/** The folder of all runs of a repository, in its common git directory. */
export const runsFolder = (commonDir: string): string => join(commonDir, 'kimi-dispatch', 'runs');

/** Ids of runs whose events changed after they had ended, one a line: what an index made earlier does not know. */
export const changedFile = (commonDir: string): string => join(commonDir, 'kimi-dispatch', 'changed');

/** What can happen to a run that has ended. */
const AFTER_THE_END: readonly NewEvent['type'][] = [
  'run-reopened',
  'reviewed',
  'moved',
  'merged',
  'undone',
  'discarded',
];

/** Appends one event as one line; a torn line before it is ended first, so that nothing is written onto it. */
export function append(runFolder: string, event: NewEvent, now: Date): RunEvent {
  const ledger = dirname(dirname(runFolder));
  const numbered = event.type === 'run-started' ? { ...event, seq: takeNumber(ledger, event) } : event;
  const line = { t: now.toISOString(), ...numbered } as RunEvent;
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
  // After the event: an index that was made in between knows it or is told of it.
  if (AFTER_THE_END.includes(event.type))
    appendFileSync(changedFile(dirname(ledger)), `${basename(runFolder)}\n`, { mode: 0o600 });
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
