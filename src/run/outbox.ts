import { lstatSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { refusalOf } from '../errors.ts';
import { readStranger, replaceStranger } from '../files.ts';
import { LIMITS } from '../mailbox/model.ts';
import { Mailbox } from '../mailbox/store.ts';
import type { Prepared } from './run.ts';

/** What a worker may leave in its outbox; the dispatcher files it under the worker's name. */
const noteSchema = z.object({
  to: z.string().max(LIMITS.id).default('claude'),
  subject: z.string().max(LIMITS.title),
  content: z.string().max(LIMITS.body),
  escalate: z.object({ reason: z.string().max(LIMITS.text), severity: z.string().max(20).default('high') }).optional(),
});

const MOST = 100;
/** Bytes of an outbox that is read: so many notes of the longest kind, and their escapes. */
const MOST_BYTES = 32 * 1024 * 1024;

/** Gives Kimi a mailbox by MCP: an outbox in its own home that it may write, and a copy of its mail to read. */
export function giveMailbox({ plan, request, kimi, home }: Prepared): void {
  const mailbox = new Mailbox(request.env, request.now);
  const inbox = mailbox
    .inbox('kimi')
    .slice(0, MOST)
    .map((header) => mailbox.message(header.id));
  replaceStranger(join(plan.home, 'inbox.json'), JSON.stringify(inbox));
  if (kimi.flavour !== 'kimi-code') return;
  const program = join(request.root, 'bin', 'kimi-dispatch.js');
  const server = { command: process.execPath, args: [program, 'mcp', '--worker', plan.home] };
  replaceStranger(join(plan.home, 'mcp.json'), JSON.stringify({ mcpServers: { ...home.servers, mailbox: server } }));
}

/** Files what the worker left, as `kimi`; returns what was refused, in words. A line that is no note is counted. */
export function takeOutbox({ plan, request }: Prepared): string[] {
  const file = join(plan.home, 'outbox.ndjson');
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return [];
  const text = readStranger(file, { cap: MOST_BYTES, within: plan.home })?.toString('utf8');
  rmSync(file, { recursive: true, force: true });
  if (text === undefined) return ['the messages of the worker were not read: its outbox is no file, or too large'];
  const mailbox = new Mailbox(request.env, request.now);
  const notes: string[] = [];
  const lines = text.split('\n').filter(Boolean);
  for (const line of lines.slice(0, MOST))
    try {
      const { to, subject, content, escalate } = noteSchema.parse(JSON.parse(line));
      const id = mailbox.send({
        from: 'kimi',
        to,
        subject: `[${plan.run}] ${subject}`.slice(0, LIMITS.title),
        content,
      });
      if (escalate !== undefined) mailbox.escalate(id, 'kimi', escalate.reason, escalate.severity);
    } catch (error) {
      notes.push(`a message of the worker was refused: ${refusalOf(error)?.message ?? 'it is not well formed'}`);
    }
  if (lines.length > MOST) notes.push(`${lines.length - MOST} more messages of the worker were not filed`);
  return notes;
}
