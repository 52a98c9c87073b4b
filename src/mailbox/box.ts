import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digest } from '../session/digest.ts';
import type { Message } from './model.ts';

/** What a list of mail shows; the body is in the journal. */
export type Header = Pick<Message, 'id' | 'from' | 'to' | 'subject' | 'type' | 'at' | 'escalation'>;

type Line = Header | { readonly id: string; readonly gone: true };

const fileOf = (folder: string, agent: string): string => join(folder, 'boxes', `${digest(agent)}.ndjson`);

/** Adds to what waits for an agent, or takes it away. A memory of the journal: all of them may be deleted, then it is read instead. */
export function addToBox(folder: string, agent: string, line: Line): void {
  mkdirSync(join(folder, 'boxes'), { recursive: true, mode: 0o700 });
  appendFileSync(fileOf(folder, agent), `${JSON.stringify(line)}\n`, { mode: 0o600 });
}

/** Says that the boxes hold everything since the journal began; without it the journal is read. */
const whole = (folder: string): string => join(folder, 'boxes', 'whole');

export function beginBoxes(folder: string): void {
  mkdirSync(join(folder, 'boxes'), { recursive: true, mode: 0o700 });
  writeFileSync(whole(folder), '', { mode: 0o600 });
}

/** What waits for an agent, from its own file alone; undefined when only the journal knows. */
export function readBox(folder: string, agent: string): Header[] | undefined {
  if (!existsSync(whole(folder))) return undefined;
  const file = fileOf(folder, agent);
  if (!existsSync(file)) return [];
  const waiting = new Map<string, Header>();
  for (const text of readFileSync(file, 'utf8').split('\n')) {
    if (text === '') continue;
    try {
      const line = JSON.parse(text) as Line;
      if ('gone' in line) waiting.delete(line.id);
      else waiting.set(line.id, line);
    } catch {
      // Torn: the journal has it.
    }
  }
  return [...waiting.values()];
}

export const headerOf = ({ id, from, to, subject, type, at, escalation }: Message): Header => ({
  id,
  from,
  to,
  subject,
  type,
  at,
  ...(escalation === undefined ? {} : { escalation }),
});
