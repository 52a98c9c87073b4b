import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readStranger } from '../files.ts';
import { LIMITS } from '../mailbox/model.ts';
import type { Tool } from './tools.ts';

const text = z.string().max(LIMITS.text);

/** Through no link, and without waiting where somebody put a FIFO. */
const APPEND =
  constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const MOST_MAIL = 64 * 1024 * 1024;

/** The tools of a worker inside a run: it writes notes into its own home; who files them is not its business. */
export function workerTools(home: string): Tool[] {
  const leave = (note: object): { filed: string } => {
    const file = openSync(join(home, 'outbox.ndjson'), APPEND, 0o600);
    try {
      writeSync(file, `${JSON.stringify(note)}\n`);
    } finally {
      closeSync(file);
    }
    return {
      filed: 'It is delivered when this attempt ends. Do not wait for an answer: go on, or end with status "blocked".',
    };
  };
  return [
    {
      name: 'check_inbox',
      description: 'Mail for the worker, as it was when the attempt began',
      input: {},
      run: () =>
        JSON.parse(readStranger(join(home, 'inbox.json'), { cap: MOST_MAIL, within: home })?.toString('utf8') ?? '[]'),
    },
    {
      name: 'send_message',
      description: 'Leave a message for an agent',
      input: { to: z.string().max(LIMITS.id), subject: z.string().max(LIMITS.title), content: z.string() },
      run: (input) => leave({ to: input.to, subject: input.subject, content: input.content }),
    },
    {
      name: 'escalate',
      description: 'Something here needs a person to decide',
      input: {
        subject: z.string().max(LIMITS.title),
        reason: text,
        severity: z.enum(['low', 'medium', 'high', 'critical']).optional(),
      },
      run: (input) =>
        leave({
          to: 'claude',
          subject: input.subject,
          content: input.reason,
          escalate: { reason: input.reason, severity: input.severity ?? 'high' },
        }),
    },
  ];
}
