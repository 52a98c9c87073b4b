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

/** What waits for an agent, from its own file alone, as lines in the order of their coming; undefined when only the journal knows. */
function linesOf(folder: string, agent: string): string[] | undefined {
  if (!existsSync(whole(folder))) return undefined;
  const file = fileOf(folder, agent);
  if (!existsSync(file)) return [];
  const waiting = new Map<string, string>();
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    // Every line begins with its id, so that a long box is counted without parsing it.
    if (!line.startsWith('{"id":"') || !line.endsWith('}')) continue;
    const id = line.slice(7, line.indexOf('"', 7));
    if (line.endsWith('"gone":true}')) waiting.delete(id);
    else waiting.set(id, line);
  }
  return [...waiting.values()];
}

/** The first `most` that wait for an agent, and how many there are. */
export function readBox(folder: string, agent: string, most: number): { first: Header[]; count: number } | undefined {
  const lines = linesOf(folder, agent);
  return lines === undefined
    ? undefined
    : { first: lines.slice(0, most).map((line) => JSON.parse(line) as Header), count: lines.length };
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
