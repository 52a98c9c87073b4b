import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { LIMITS } from '../mailbox/model.ts';
import type { Tool } from './tools.ts';

const text = z.string().max(LIMITS.text);

/** The tools of a worker inside a run: it writes notes into its own home; who files them is not its business. */
export function workerTools(home: string): Tool[] {
  const leave = (note: object): { filed: string } => {
    appendFileSync(join(home, 'outbox.ndjson'), `${JSON.stringify(note)}\n`, { mode: 0o600 });
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
        existsSync(join(home, 'inbox.json')) ? JSON.parse(readFileSync(join(home, 'inbox.json'), 'utf8')) : [],
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
