import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { probeSandbox } from '../../src/process/sandbox.ts';
import { ROOT } from './repo.ts';

/** Whether the sandbox works on this machine; tests that need it skip by name where it does not. */
export const probe = await probeSandbox(ROOT, {
  PATH: process.env.PATH,
  HOME: tmpdir(),
  XDG_CACHE_HOME: join(tmpdir(), 'kd-probe'),
});
