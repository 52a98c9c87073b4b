import { expect, it } from 'vitest';
import { timerMs } from '../../src/process/timer.ts';

it.each([
  [30 * 24 * 3600 * 1000, 2147483647],
  [Number.POSITIVE_INFINITY, 2147483647],
  [5000, 5000],
])('a wait of %d ms becomes a timer of %d ms', (asked, given) => {
  expect(timerMs(asked)).toBe(given);
});
