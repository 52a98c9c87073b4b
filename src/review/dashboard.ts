import type { RunState } from '../ledger/events.ts';
import { commandFor, needOf } from '../ledger/state.ts';
import type { Message, Task } from '../mailbox/model.ts';
import { code } from '../quote.ts';

const cell = (text: string): string => code(text, 80).replaceAll('|', '\\|');

/** The first line of every page: a file that begins with it may be replaced. */
export const DASHBOARD = '<!-- kimi-dispatch dashboard: made anew each time, do not edit -->';

/** Runs, tasks and escalations as one Markdown page, made anew each time: nobody edits it. */
export function dashboard(runs: readonly RunState[], tasks: readonly Task[], messages: readonly Message[]): string {
  const open = runs.filter((run) => needOf(run) !== 'nothing' && run.parent === undefined);
  const escalated = messages.filter((message) => message.escalation !== undefined);
  return [
    DASHBOARD,
    '# Dashboard',
    '',
    '## For a person',
    ...(escalated.length === 0
      ? ['Nothing is escalated.']
      : escalated.map(
          (message) =>
            `- ${cell(message.escalation?.severity ?? '')} ${cell(message.subject)}: ${cell(message.escalation?.reason ?? '')} (${message.id})`,
        )),
    '',
    '## Runs',
    '| run | title | state | next |',
    '|---|---|---|---|',
    ...open.map((run) => `| ${run.id} | ${cell(run.title)} | ${run.outcome ?? 'at work'} | \`${commandFor(run)}\` |`),
    '',
    '## Tasks',
    '| task | title | state | who | run |',
    '|---|---|---|---|---|',
    ...tasks
      .filter((task) => !['approved', 'cancelled'].includes(task.state))
      .map(
        (task) => `| ${task.id} | ${cell(task.title)} | ${task.state} | ${cell(task.assignee)} | ${task.run ?? ''} |`,
      ),
    '',
  ].join('\n');
}
