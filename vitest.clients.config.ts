import { defineConfig } from 'vitest/config';

/** `npm run clients`: the ways through the real client, one by one; minutes, and so not part of `npm test`. */
export default defineConfig({
  test: {
    include: ['test/clients/**/*.matrix.ts'],
    testTimeout: 240_000,
    hookTimeout: 120_000,
    fileParallelism: false,
  },
});
