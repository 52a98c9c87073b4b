import { withLock } from '../../src/process/lock.ts';

// Takes and lets go of a lock, again and again, until somebody ends it. The file is the first argument.
process.stdout.write('ready\n');
const call = { file: process.argv[2] ?? '', what: 'The test', waitMs: 10_000 };
for (;;) await withLock(call, async () => undefined);
