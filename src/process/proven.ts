import { readFileSync } from 'node:fs';
import { join } from 'node:path';

type Env = Readonly<Record<string, string | undefined>>;

/** Where the last probe of the sandbox is kept: one line that names the boot it was made in. */
export const probeFile = (env: Env): string =>
  join(env.XDG_CACHE_HOME ?? join(env.HOME ?? '/tmp', '.cache'), 'kimi-dispatch', 'sandbox.json');

/** An id that changes with every start of the machine; undefined where there is none to read. */
export function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** True when a probe really ran inside the sandbox since the machine started. */
export function sandboxProven(env: Env): boolean {
  if (env.KIMI_DISPATCH_SANDBOX === 'off') return false;
  try {
    const probe = JSON.parse(readFileSync(probeFile(env), 'utf8')) as { boot?: string; works?: boolean };
    return probe.works === true && probe.boot !== undefined && probe.boot === bootId();
  } catch {
    return false;
  }
}
