import { expect, it } from 'vitest';
import { seeded } from '../helpers/faults.ts';
import { fuzz } from '../helpers/fuzz.ts';

it('nothing that reads strangers’ text throws, for 2,000 bad inputs', () => {
  expect(fuzz(2000, seeded(7)).crashes).toEqual([]);
});
