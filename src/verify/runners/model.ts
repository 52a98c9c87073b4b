/** What a test runner's output says. Names are as the runner prints them; there may be fewer names than counted. */
export interface Summary {
  readonly runner: string;
  readonly passed: number;
  /** Failed tests, and suites that did not load. */
  readonly failed: number;
  readonly skipped: number;
  /** Names of failed tests and suites, when the output lists them. */
  readonly failures: readonly string[];
  /** Names of tests that ran and passed, each as often as it ran; complete when there are `passed` of them. */
  readonly passes?: readonly string[] | undefined;
  readonly skips?: readonly string[] | undefined;
  /** How many tests each file ran, when the output counts them by file and not by name. */
  readonly files?: Readonly<Record<string, number>> | undefined;
}

/** Reads the lines of an output: a summary for each time that this runner ran, none when it is not its output. */
export type Parser = (lines: readonly string[]) => Summary[];

/** The number in `12 passed`, by its word; 0 when there is none. */
export const count = (text: string, pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);

export const unique = (names: readonly string[]): string[] => [...new Set(names)];

/** The most names that are kept of one list. */
const MOST = 20_000;

/** The names that a summary lists; a list that is too long is left out, so that no cut one passes for complete. */
export const names = (passes: string[], skips: string[]): Pick<Summary, 'passes' | 'skips'> => ({
  ...(passes.length === 0 || passes.length > MOST ? {} : { passes }),
  ...(skips.length === 0 || skips.length > MOST ? {} : { skips }),
});

/**
 * The lines of each run in one output, cut where `ends` says that a line is the last of one. What follows the last end
 * is dropped: a run that printed no end has no summary.
 */
export function runsIn(lines: readonly string[], ends: (index: number) => boolean): (readonly string[])[] {
  const runs: (readonly string[])[] = [];
  let from = 0;
  for (const index of lines.keys()) {
    if (!ends(index)) continue;
    runs.push(lines.slice(from, index + 1));
    from = index + 1;
  }
  return runs;
}

/** The path of a name in an indented tree: its suites, outermost first. */
export class Tree {
  readonly #open: { indent: number; name: string }[] = [];

  /** Closes what does not contain a line at this indent. */
  at(indent: number): this {
    while ((this.#open.at(-1)?.indent ?? -1) >= indent) this.#open.pop();
    return this;
  }

  open(indent: number, name: string): void {
    this.at(indent).#open.push({ indent, name });
  }

  path(name: string): string {
    return [...this.#open.map((suite) => suite.name), name].join(' > ');
  }

  /** True when the innermost open suite has this indent and name. */
  holds(indent: number, name: string): boolean {
    const last = this.#open.at(-1);
    return last?.indent === indent && last.name === name;
  }
}

export const indentOf = (line: string): number => line.length - line.trimStart().length;
