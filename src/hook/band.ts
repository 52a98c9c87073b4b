import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { quote } from '../quote.ts';
import { factsOf, standingOf } from './standing.ts';

/** A run as the mod's band shows it. */
export interface BandRun {
  readonly run: string;
  readonly state: 'working' | 'ended';
  readonly title: string;
  /** Where it is: `step 7/100 · Write src/x.ts`, or the step of the run. */
  readonly at: string;
  readonly step: number;
  readonly limit: number;
  readonly seconds: number;
  /** Of attempts that ended. */
  readonly tokens: number;
  /** For a run in waves: a line for each task. */
  readonly tasks: readonly string[];
  /** Names this end of the run. */
  readonly end: string;
  readonly outcome?: string;
  readonly summary?: string;
  readonly reason?: string;
  readonly commit?: string;
}

interface Line {
  readonly t?: string;
  readonly type?: string;
  readonly title?: string;
  readonly limit?: number;
  readonly task?: number;
  readonly state?: string;
  readonly tokens?: Readonly<Record<string, number>>;
  readonly event?: Readonly<Record<string, unknown>>;
}

/** A run's line of the band, from its events; undefined when it was reviewed or is gone. Times in seconds. */
export function bandRun(run: string, folder: string, now: Date): BandRun | undefined {
  const standing = standingOf(folder);
  if (standing === undefined || standing.state === 'reviewed') return undefined;
  const facts = standing.state === 'ended' ? factsOf(folder) : undefined;
  return {
    run,
    state: standing.state,
    ...progressOf(linesOf(join(folder, 'events.ndjson')), now),
    end: standing.end,
    ...(facts === undefined
      ? {}
      : {
          title: facts.title,
          outcome: facts.outcome,
          summary: facts.summary,
          ...(facts.reason === undefined ? {} : { reason: facts.reason }),
          ...(facts.commit === undefined ? {} : { commit: facts.commit }),
        }),
  };
}

function progressOf(lines: readonly Line[], now: Date) {
  let [title, at, step, limit, tokens, begun, last] = ['', 'starting', 0, 0, 0, '', ''];
  const tasks = new Map<number, string>();
  for (const line of lines) {
    if (line.t !== undefined && (line.type === 'run-started' || line.type === 'run-reopened')) begun = line.t;
    if (line.t !== undefined) last = line.t;
    if (line.type === 'run-started') title = quote(line.title ?? '', 60);
    if (line.type === 'step-started') at = quote(line.title ?? '', 60);
    if (line.type === 'attempt-started') [limit, step] = [line.limit ?? 0, 0];
    if (line.type === 'attempt-ended')
      tokens += Object.values(line.tokens ?? {}).reduce((sum, count) => sum + (Number(count) || 0), 0);
    if (line.type === 'task') tasks.set(line.task ?? 0, quote(String(line.state), 30));
    if (line.type === 'agent' && line.event?.kind === 'tool-call') {
      step = Number(line.event.step) || step;
      at = toolLine(line.event, limit === 0 ? undefined : limit);
    }
  }
  const ended = lines.at(-1)?.type === 'run-ended';
  const seconds = Math.max(0, Math.round(((ended ? Date.parse(last) : now.getTime()) - Date.parse(begun)) / 1000)) || 0;
  return {
    title,
    at,
    step,
    limit,
    tokens,
    seconds,
    tasks: [...tasks].map(([task, state]) => `task ${task}: ${state}`),
  };
}

/** One call of a tool: `step 7/100 · Write src/x.ts`. */
export function toolLine(event: Readonly<Record<string, unknown>>, limit: number | undefined): string {
  const { step, tool, detail } = event;
  // The arguments are JSON, cut off after some characters.
  const named = /"(?:path|file_path|command|pattern|url)"\s*:\s*"((?:[^"\\]|\\.)*)/.exec(String(detail ?? ''));
  const of = limit === undefined ? '' : `/${limit}`;
  return `step ${String(step)}${of} · ${quote(`${String(tool)} ${named?.[1] ?? ''}`, 80)}`;
}

function linesOf(file: string): Line[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        const value: unknown = JSON.parse(line);
        return typeof value === 'object' && value !== null ? [value as Line] : [];
      } catch {
        return [];
      }
    });
}
