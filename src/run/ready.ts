import { existsSync, readFileSync } from 'node:fs';
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
    const file = join(folder, 'ready.json');
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Ready) : { provisioned: [] };
  } catch {
    return { provisioned: [] };
  }
}
