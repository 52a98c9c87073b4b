import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { counted, quote } from '../quote.ts';

/** What the ledger says of a run, read without the rest of the program. */
export interface Standing {
  readonly state: 'working' | 'ended' | 'reviewed';
  /** Of a run that ended. */
  readonly outcome?: string;
  /** Names this end of the run: it may be sent back, and end again with the same outcome. */
  readonly end: string;
}

const MOST = 8 * 1024 * 1024;

/** Where a run stands; undefined when its folder is gone. */
export function standingOf(folder: string): Standing | undefined {
  if (!existsSync(folder)) return undefined;
  const outcome = /"outcome":\s*"([a-z-]{1,40})"/.exec(readText(join(folder, 'result.json')) ?? '')?.[1];
  let [working, reviewed, end] = [outcome === undefined, false, ''];
  for (const [, type = '', t = ''] of lifeOf(folder)) {
    if (type === 'run-ended') [working, end] = [outcome === undefined, t];
    else if (type === 'run-reopened') working = true;
    else reviewed = type !== 'undone';
  }
  if (reviewed) return { state: 'reviewed', end };
  return working || outcome === undefined ? { state: 'working', end } : { state: 'ended', outcome, end };
}

/** The events that change where a run stands: their type and their place in the file. */
function lifeOf(folder: string): string[][] {
  const text = readText(join(folder, 'events.ndjson')) ?? '';
  const events = text.matchAll(/^\{"t":"([^"]*)","type":"(run-ended|run-reopened|merged|discarded|undone)"/gm);
  return [...events].map((match) => ['', match[2] ?? '', match[1] ?? '']);
}

/** What `result.json` holds, as far as a dialog or a notice needs it. */
export interface Facts {
  readonly run: string;
  readonly title: string;
  readonly outcome: string;
  readonly commit: string | undefined;
  /** Facts in one line: checks, files and lines. No word of the worker's is in it. */
  readonly summary: string;
  readonly reason: string | undefined;
  /** True when the result itself shows the whole change. */
  readonly small: boolean;
}

interface Stored {
  readonly run?: unknown;
  readonly title?: unknown;
  readonly outcome?: unknown;
  readonly commit?: unknown;
  readonly reason?: unknown;
  readonly verification?: readonly { readonly verdict?: unknown }[];
  readonly changes?: readonly { readonly added?: unknown; readonly removed?: unknown }[];
  readonly scope?: { readonly violations?: readonly unknown[] };
}

/** Changed lines that a result has room for, with what git writes around them. */
const SMALL = 12;
const PASSED = ['passing', 'newly-passing'];

/** The facts of an ended run; undefined where there is no result to read. */
export function factsOf(folder: string): Facts | undefined {
  const stored = parsed(readText(join(folder, 'result.json')));
  if (stored === undefined) return undefined;
  const checks = stored.verification ?? [];
  const passed = checks.filter(({ verdict }) => PASSED.includes(String(verdict))).length;
  const changes = stored.changes ?? [];
  const sum = (of: 'added' | 'removed'): number => changes.reduce((all, change) => all + (Number(change[of]) || 0), 0);
  const violations = stored.scope?.violations?.length ?? 0;
  const parts = [
    checks.length === 0 ? 'nothing verified it' : `${passed} of ${checks.length} checks pass`,
    ...(violations > 0 ? [`${violations} gate violations`] : []),
    `${counted(changes.length, 'file')}, +${sum('added')} -${sum('removed')}`,
  ];
  const text = (value: unknown, width: number): string => quote(typeof value === 'string' ? value : '', width);
  return {
    run: text(stored.run, 60),
    title: text(stored.title, 60),
    outcome: text(stored.outcome, 40),
    commit: typeof stored.commit === 'string' && /^[0-9a-f]{40,64}$/.test(stored.commit) ? stored.commit : undefined,
    summary: parts.join('; '),
    small: sum('added') + sum('removed') <= SMALL,
    reason: stored.reason === undefined ? undefined : text(stored.reason, 160),
  };
}

function parsed(text: string | undefined): Stored | undefined {
  try {
    const value: unknown = text === undefined ? undefined : JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The beginning of what a background shell printed: at most 4 KB. Undefined where it cannot be read. */
export function headOf(file: string): string | undefined {
  try {
    if (!statSync(file).isFile()) return undefined;
    const handle = openSync(file, 'r');
    try {
      const piece = Buffer.alloc(4096);
      return piece.subarray(0, readSync(handle, piece, 0, piece.length, 0)).toString('utf8');
    } finally {
      closeSync(handle);
    }
  } catch {
    return undefined;
  }
}

function readText(file: string): string | undefined {
  try {
    return statSync(file).size > MOST ? undefined : readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
