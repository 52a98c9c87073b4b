import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { digest } from '../session/digest.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** What is known of a message without opening the journal. */
export interface Signal {
  readonly id: string;
  readonly from: string;
  readonly subject: string;
}

export const mailboxFolder = (env: Env): string =>
  join(env.XDG_DATA_HOME ?? join(env.HOME ?? '/tmp', '.local', 'share'), 'kimi-dispatch', 'mailbox');

/** A file for each agent that says that mail has come; agents without hooks may watch it, hooks read it in no time. */
export const signalFile = (folder: string, agent: string): string => join(folder, 'signals', `${digest(agent)}.ndjson`);

export function signal(folder: string, agent: string, mail: Signal): void {
  const file = signalFile(folder, agent);
  mkdirSync(join(folder, 'signals'), { recursive: true, mode: 0o700 });
  appendFileSync(file, `${JSON.stringify(mail)}\n`, { mode: 0o600 });
}

/** Takes what has come since the last call; two callers at once never get the same signal. */
export function takeSignals(folder: string, agent: string): Signal[] {
  const file = signalFile(folder, agent);
  if (!existsSync(file)) return [];
  const mine = `${file}.${process.pid}`;
  try {
    renameSync(file, mine);
  } catch {
    return [];
  }
  const lines = readFileSync(mine, 'utf8').split('\n');
  rmSync(mine, { force: true });
  return lines.flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as Signal];
    } catch {
      return [];
    }
  });
}
