import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../files.ts';
import type { Check } from '../verify/compare.ts';

/** What the steps before Kimi found, kept for a run that goes on later. */
export interface Ready {
  readonly provisioned: string[];
  /** Those of them that nothing in the sandbox may write. */
  readonly readOnly?: string[];
  readonly before?: Check[];
  /** What git ignored there before Kimi began. */
  readonly ignored?: string[];
}

export const keepReady = (folder: string, ready: Ready): void =>
  writeWhole(join(folder, 'ready.json'), JSON.stringify(ready));

export function readReady(folder: string): Ready {
  try {
    const ready = JSON.parse(readFileSync(join(folder, 'ready.json'), 'utf8')) as Ready | null;
    if (Array.isArray(ready?.provisioned)) return ready;
  } catch {
    // Not there (yet), or not as it was written.
  }
  return { provisioned: [] };
}
