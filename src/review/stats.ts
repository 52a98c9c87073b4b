import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunState } from '../ledger/events.ts';
import { listRuns, readEvents, runsFolder } from '../ledger/store.ts';
import type { Sessions } from '../session/store.ts';

/** What the runs of a repository add up to. Times in seconds. */
export interface Stats {
  readonly runs: number;
  readonly merged: number;
  /** Of the merged runs, those that were never sent back. */
  readonly firstPass: number;
  readonly rounds: number;
  readonly steps: number;
  readonly seconds: number;
  readonly tokens: { readonly input: number; readonly cached: number; readonly output: number };
}

export function statsOf(commonDir: string): Stats {
  const runs = listRuns(commonDir);
  const merged = runs.filter((run) => run.review === 'merged');
  const total = { steps: 0, input: 0, cached: 0, output: 0 };
  for (const run of runs)
    for (const event of readEvents(join(runsFolder(commonDir), run.id)))
      if (event.type === 'attempt-ended') {
        total.steps += event.steps;
        total.input += event.tokens.input;
        total.cached += event.tokens.cached;
        total.output += event.tokens.output;
      }
  return {
    runs: runs.length,
    merged: merged.length,
    firstPass: merged.filter((run) => run.rounds === 0).length,
    rounds: runs.reduce((sum, run) => sum + run.rounds, 0),
    steps: total.steps,
    seconds: runs.reduce((sum, run) => sum + secondsOf(run), 0),
    tokens: { input: total.input, cached: total.cached, output: total.output },
  };
}

/**
 * Tokens of Claude in the sessions that started runs here, from their transcripts: whole sessions, because what
 * delegating alone cost is not marked in them. Undefined when no transcript is known.
 */
export function claudeTokens(
  commonDir: string,
  sessions: Sessions,
): { input: number; cached: number; output: number } | undefined {
  const names = new Set(listRuns(commonDir).flatMap((run) => (run.claude === undefined ? [] : [run.claude])));
  const sum = { input: 0, cached: 0, output: 0 };
  let found = false;
  for (const name of names) {
    const file = sessions.transcriptOf(name);
    if (file === undefined || !existsSync(file)) continue;
    found = true;
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const usage = usageIn(line);
      sum.input += usage?.input_tokens ?? 0;
      sum.cached += usage?.cache_read_input_tokens ?? 0;
      sum.output += usage?.output_tokens ?? 0;
    }
  }
  return found ? sum : undefined;
}

interface Usage {
  readonly input_tokens?: number;
  readonly cache_read_input_tokens?: number;
  readonly output_tokens?: number;
}

function usageIn(line: string): Usage | undefined {
  try {
    return (JSON.parse(line) as { message?: { usage?: Usage } }).message?.usage;
  } catch {
    return undefined;
  }
}

const secondsOf = (run: RunState): number =>
  run.endedAt === undefined ? 0 : Math.max(0, Math.round((Date.parse(run.endedAt) - Date.parse(run.startedAt)) / 1000));

export interface Estimate {
  readonly steps: number;
  readonly seconds: number;
  /** `measured`: the median of this repository's ended runs; `estimated`: a guess from the number of files. */
  readonly from: 'measured' | 'estimated';
  readonly runs: number;
}

/** What a run of so many files will take: from this repository's own history, else a guess that is called one. */
export function estimate(commonDir: string, files: number): Estimate {
  const runs = listRuns(commonDir).filter((run) => run.outcome === 'succeeded' || run.review === 'merged');
  const recent = runs.slice(-20);
  if (recent.length < 3)
    return { steps: 4 + files * 3, seconds: 60 + files * 40, from: 'estimated', runs: recent.length };
  const steps = recent.map((run) =>
    readEvents(join(runsFolder(commonDir), run.id)).reduce(
      (sum, event) => sum + (event.type === 'attempt-ended' ? event.steps : 0),
      0,
    ),
  );
  return { steps: median(steps), seconds: median(recent.map(secondsOf)), from: 'measured', runs: recent.length };
}

const median = (values: readonly number[]): number =>
  [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
