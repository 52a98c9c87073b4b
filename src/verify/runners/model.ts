/** What a test runner's output says. Names are as the runner prints them; `failed` may be longer than `names`. */
export interface Summary {
  readonly runner: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Names of failed tests, when the output lists them. */
  readonly failures: readonly string[];
}

/** Reads one runner's output, or undefined when the output is not that runner's. */
export type Parser = (output: string) => Summary | undefined;

export const count = (text: string, pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);

export const unique = (names: readonly string[]): string[] => [...new Set(names)];
