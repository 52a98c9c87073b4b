import { Mailbox } from '../mailbox/store.ts';
import { quote } from '../quote.ts';
import type { World } from '../world.ts';

/** `inbox`: unread mail, and escalations until they are resolved. Imports nothing heavy. */
export async function inboxCommand(
  world: World,
  _args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  const me = typeof options.as === 'string' ? options.as : (world.env.KIMI_DISPATCH_AGENT ?? 'claude');
  const mailbox = new Mailbox(world.env, world.now);
  if (options.json === true) {
    world.out(`${JSON.stringify({ version: 1, messages: mailbox.inbox(me) })}\n`);
    return 0;
  }
  const { first, count } = mailbox.inboxPage(me, 50);
  if (count === 0) world.out('No unread mail.\n');
  const rows = first.map((message) => {
    const urgent =
      message.escalation === undefined
        ? ''
        : ` ESCALATED (${quote(message.escalation.severity, 20)}): ${quote(message.escalation.reason, 60)}`;
    return `${message.id}  ${message.from}: ${quote(message.subject, 60)}${urgent}`;
  });
  if (rows.length > 0) world.out(`${rows.join('\n')}\n`);
  if (count > rows.length) world.out(`and ${count - rows.length} more\n`);
  return 0;
}
