// What the mod computes without the client.

import type { Run } from './state.d.ts';

/** A turn that begins a session with a plan that was approved with "clear context". */
export const startsFromPlan = (text: string): boolean => text.startsWith('Implement the following plan:');

/** True for a command of a model that decides about a change: that is the person's. */
export const decides = (command: string): boolean =>
  /\bkimi-dispatch(?:\.js)?["']?\s+(?:merge|undo|discard)\b/.test(command);

/** True for a command after which there may be a run to watch. */
export const starts = (command: string): boolean =>
  /\bkimi-dispatch(?:\.js)?["']?\s+(?:run|revise|answer|resume|refresh|wait)\b/.test(command);

export const elapsed = (seconds: number): string =>
  seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;

/** The first line of a run in the band. */
export function head(run: Run): string {
  if (run.state === 'working') {
    const tokens = run.tokens > 0 ? ` · ${Math.round(run.tokens / 1000)}k tokens` : '';
    return `Kimi: ${run.title} · ${run.at} · ${elapsed(run.seconds)}${tokens}`;
  }
  return `Kimi: ${run.title} · ${run.outcome ?? 'ended'} · ${run.summary ?? ''}`;
}

/** Which buttons a run has. */
export function buttons(run: Run): ('merge' | 'back' | 'discard' | 'diff')[] {
  if (run.state !== 'ended') return [];
  const merges = run.commit !== undefined && (run.outcome === 'succeeded' || run.outcome === 'unverified');
  return [
    ...(merges ? (['merge'] as const) : []),
    'back',
    'discard',
    ...(run.commit === undefined ? [] : (['diff'] as const)),
  ];
}

/** The command of a button, tied to the commit and the branch that were shown. */
export function commandOf(verb: 'merge' | 'discard', run: Run, onto: string): string[] {
  if (verb === 'discard') return ['discard', run.run];
  return [
    'merge',
    run.run,
    ...(run.commit === undefined ? [] : ['--commit', run.commit]),
    ...(onto === '' ? [] : ['--onto', onto]),
    ...(run.outcome === 'unverified' ? ['--unverified'] : []),
  ];
}

/** Sending back; a run that asks gets its answer. */
export const backCommand = (run: Run, text: string): string[] =>
  run.outcome === 'blocked'
    ? ['answer', run.run, '--background', '--', text]
    : ['revise', run.run, `--finding=${text}`, '--background'];

/** Runs that ended since `seen`, by run and end. */
export const newlyEnded = (runs: readonly Run[], seen: ReadonlySet<string>): Run[] =>
  runs.filter((run) => run.state === 'ended' && !seen.has(keyOf(run)));

export const keyOf = (run: Run): string => `${run.run} ${run.end}`;

/** Claude's own windows, in a few words; nothing where the client has no reading. */
export const windows = (limits: readonly { kind: string; percentUsed: number }[]): string =>
  limits
    .filter(({ kind }) => kind === 'five_hour' || kind === 'seven_day')
    .map(
      ({ kind, percentUsed }) =>
        `Claude's ${kind === 'five_hour' ? '5 hours' : 'week'} ${Math.round(percentUsed)}% used`,
    )
    .join(', ');

/** The first line of what a command of ours refused with. */
export const refusal = (stderr: string): string =>
  (/^kimi-dispatch: (.+)$/m.exec(stderr)?.[1] ?? stderr.trim().split('\n').at(-1) ?? '').slice(0, 200);

/** A unified diff as files, each with its hunks, for the pane. */
export function filesOf(diff: string): { path: string; hunks: string }[] {
  return diff
    .split(/^(?=diff --git )/m)
    .filter((part) => part.startsWith('diff --git '))
    .map((part) => {
      const path = /^diff --git a\/.* b\/(.*)$/m.exec(part)?.[1] ?? '';
      const at = part.search(/^@@ /m);
      return { path, hunks: at < 0 ? '' : part.slice(at) };
    });
}

/** Files in the order of a list; what it does not name comes last. */
export function ranked<T extends { path: string }>(files: readonly T[], order: readonly string[]): T[] {
  const place = (path: string): number => (order.includes(path) ? order.indexOf(path) : order.length);
  return [...files].sort((left, right) => place(left.path) - place(right.path));
}

/** The paths of `show`, which ranks them by risk: its lines `  M src/a.ts +3 -1`. */
export const rankingOf = (shown: string): string[] =>
  [...shown.matchAll(/^ {2}[AMDT] (.+?) (?:binary|\+\d+ -\d+)/gm)].map(([, path = '']) => path);
