import { appendFileSync, closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

/** `<number> <run id>`, and ` task` for a task of a run in waves: the runs in the order in which they began. */
const orderFile = (ledger: string): string => join(ledger, 'order');

/** Far more than one line; the newest runs are all that is looked for here. */
const TAIL = 64 * 1024;

/**
 * The number of a run that begins: one more than the newest. The clock may be set back, a number cannot. Two runs that
 * begin in the same moment may share one. `ledger`: the folder that holds the folder of runs.
 */
export function takeNumber(ledger: string, run: { readonly id: string; readonly parent?: string }): number {
  const seen = existsSync(orderFile(ledger)) ? newest(ledger).map((line) => line.seq) : recorded(ledger);
  const seq = seen.reduce((most, one) => Math.max(most, one), 0) + 1;
  appendFileSync(orderFile(ledger), `${seq} ${run.id}${run.parent === undefined ? '' : ' task'}\n`, { mode: 0o600 });
  return seq;
}

/** The newest runs that are no task of another one, by number, newest first; empty where the order was never written. */
export const newestRuns = (ledger: string): { readonly seq: number; readonly id: string }[] =>
  newest(ledger)
    .filter((line) => !line.task)
    .sort((left, right) => right.seq - left.seq);

function newest(ledger: string): { seq: number; id: string; task: boolean }[] {
  if (!existsSync(orderFile(ledger))) return [];
  return [...tailOf(orderFile(ledger), TAIL).matchAll(/^(\d+) (\S+)( task)?$/gm)].map(([, seq, id = '', task]) => ({
    seq: Number(seq),
    id,
    task: task !== undefined,
  }));
}

/** The numbers in the first lines of all runs, for a ledger whose order is not there. */
function recorded(ledger: string): number[] {
  const runs = join(ledger, 'runs');
  return (existsSync(runs) ? readdirSync(runs) : []).flatMap((id) => {
    const file = join(runs, id, 'events.ndjson');
    const seq = existsSync(file) ? /^\{.*"seq":(\d+)[,}]/.exec(headOf(file))?.[1] : undefined;
    return seq === undefined ? [] : [Number(seq)];
  });
}

const tailOf = (file: string, bytes: number): string => part(file, (size) => Math.max(0, size - bytes), bytes);
const headOf = (file: string): string => part(file, () => 0, 8192);

function part(file: string, from: (size: number) => number, bytes: number): string {
  const open = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(bytes);
    const size = readSync(open, buffer, 0, bytes, from(fstatSync(open).size));
    return buffer.toString('utf8', 0, size);
  } finally {
    closeSync(open);
  }
}
