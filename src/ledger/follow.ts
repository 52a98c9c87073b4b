import { closeSync, existsSync, openSync, readSync, watch } from 'node:fs';
import { join } from 'node:path';
import { type Owner, ownerLives } from '../process/alive.ts';
import type { RunEvent } from './events.ts';

export interface FollowCall {
  readonly folder: string;
  /** Told of every event, those of the past first. */
  readonly each: (event: RunEvent) => void;
  /** Bytes of events that are not read: those of an earlier life of the run. */
  readonly from?: number;
  /** Ends the waiting; the run goes on. */
  readonly signal: AbortSignal;
}

const LOOK_MS = 500;

/**
 * Reads a run's events as they are written, until it ends, its owner dies ("lost") or the caller stops waiting.
 * Any number of readers may follow; none of them disturbs the writer.
 */
export async function follow(call: FollowCall): Promise<'ended' | 'lost' | 'stopped'> {
  const reader = new EventReader(join(call.folder, 'events.ndjson'), call.from ?? 0);
  let owner: Owner | undefined;
  for (;;) {
    const ownerAlive = owner === undefined || ownerLives(owner);
    let ended = false;
    for (const event of reader.read()) {
      if (event.type === 'run-started' || event.type === 'run-reopened') owner = event;
      if (event.type === 'run-ended') ended = true;
      else if (event.type === 'run-reopened') ended = false;
      call.each(event);
    }
    if (ended) return 'ended';
    // The owner was dead before its last events were read: nothing more will come.
    if (!ownerAlive) return 'lost';
    if (call.signal.aborted) return 'stopped';
    await change(call.folder, call.signal);
  }
}

/** Resolves at the next change in the folder, after half a second, or when the signal comes. */
function change(folder: string, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const watcher = existsSync(folder) ? watch(folder, () => end()) : undefined;
    watcher?.on('error', () => end());
    const timer = setTimeout(() => end(), LOOK_MS);
    const end = (): void => {
      clearTimeout(timer);
      watcher?.close();
      signal.removeEventListener('abort', end);
      done();
    };
    signal.addEventListener('abort', end, { once: true });
  });
}

/** Reads what was appended since the last call; an unfinished last line waits for its end. */
class EventReader {
  readonly #file: string;
  #offset: number;
  #rest = '';

  constructor(file: string, from: number) {
    this.#file = file;
    this.#offset = from;
  }

  read(): RunEvent[] {
    if (!existsSync(this.#file)) return [];
    const events: RunEvent[] = [];
    const lines = `${this.#rest}${this.#more()}`.split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines)
      try {
        events.push(JSON.parse(line) as RunEvent);
      } catch {
        // Torn or foreign: skipped.
      }
    return events;
  }

  #more(): string {
    const file = openSync(this.#file, 'r');
    try {
      const parts: Buffer[] = [];
      for (;;) {
        const buffer = Buffer.alloc(64 * 1024);
        const size = readSync(file, buffer, 0, buffer.length, this.#offset);
        if (size === 0) break;
        this.#offset += size;
        parts.push(buffer.subarray(0, size));
      }
      return Buffer.concat(parts).toString('utf8');
    } finally {
      closeSync(file);
    }
  }
}
