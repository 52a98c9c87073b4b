/** Node fires a longer timer at once instead of late. */
const LONGEST_MS = 2 ** 31 - 1;

/** A wait in milliseconds that a timer can hold: 24 days and 20 hours at most. */
export const timerMs = (ms: number): number => Math.min(ms, LONGEST_MS);
