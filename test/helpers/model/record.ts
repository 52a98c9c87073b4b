import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Result } from '../../../src/review/result.ts';
import type { Lab } from '../repo.ts';

/** The records of the runs of a repository, read as files: no program of ours is asked. */
export class Records {
  readonly #folder: string;

  constructor(lab: Lab) {
    this.#folder = join(lab.repo, '.git', 'kimi-dispatch', 'runs');
  }

  runs(): string[] {
    return existsSync(this.#folder) ? readdirSync(this.#folder).filter((name) => /^\d/.test(name)) : [];
  }

  /** What `result.json` of a run says; undefined where there is none. */
  result(run: string | undefined): Result | undefined {
    const file = join(this.#folder, run ?? 'none', 'result.json');
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Result) : undefined;
  }

  /** True when a run was given up before its worker began. */
  abandoned(run: string | undefined): boolean {
    return this.#events(run).includes('"type":"discarded"');
  }

  /** Whether the run is merged, as its events have it. */
  merged(run: string | undefined): boolean {
    const events = this.#events(run);
    return events.lastIndexOf('"type":"merged"') > events.lastIndexOf('"type":"undone"');
  }

  #events(run: string | undefined): string {
    const file = join(this.#folder, run ?? 'none', 'events.ndjson');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }
}
