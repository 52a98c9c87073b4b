import { isDeepStrictEqual } from 'node:util';

/** Test runners that may be configured in package.json itself. */
const RUNNERS = ['jest', 'vitest', 'mocha', 'ava', 'c8', 'nyc', 'tap'];

/** What changed in a package.json that runs or that decides what is run. A text that is no JSON counts as changed scripts. */
export function manifestChange(before: string | undefined, after: string): { scripts: boolean; runners: string[] } {
  const [was, is] = [parse(before ?? '{}'), parse(after)];
  if (was === undefined || is === undefined) return { scripts: before !== after, runners: [] };
  const differs = (key: string): boolean => !isDeepStrictEqual(was[key], is[key]);
  const none = (scripts: unknown): unknown => scripts ?? {};
  return {
    scripts: !isDeepStrictEqual(none(was.scripts), none(is.scripts)),
    runners: RUNNERS.filter(differs),
  };
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? { ...json } : undefined;
  } catch {
    return undefined;
  }
}
