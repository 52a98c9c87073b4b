import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeWhole } from '../files.ts';
import type { Command } from '../spec/model.ts';
import { type Check, ok } from '../verify/compare.ts';
import type { RunPlan } from './plan.ts';
import type { Provision } from './provision.ts';
import { digestOf } from './run.ts';

interface Kept {
  readonly key: string;
  readonly checks: Check[];
}

/** Of what a check holds; one that was kept in another format is not read. */
const FORMAT = 2;

/** Checks of a base that were run before, by a key of everything that could change them. */
export class BaselineCache {
  readonly #file: string;
  readonly #key: string;

  constructor(commonDir: string, plan: RunPlan, what: { commands: readonly Command[]; provided: Provision }) {
    const commands = what.commands.map((item) => [item.text, item.expect, item.shell]);
    this.#key = JSON.stringify([FORMAT, plan.base, commands, what.provided, process.version, plan.sandbox]);
    this.#file = join(commonDir, 'kimi-dispatch', 'baseline', `${digestOf(this.#key).slice(0, 32)}.json`);
  }

  read(): Check[] | undefined {
    if (!existsSync(this.#file)) return undefined;
    try {
      const found = JSON.parse(readFileSync(this.#file, 'utf8')) as Kept;
      return found.key === this.#key ? found.checks : undefined;
    } catch {
      return undefined;
    }
  }

  /** Keeps checks that ended as they were declared to: a red one may have another cause the next time. */
  write(checks: Check[]): void {
    if (!checks.every(repeatable)) return;
    mkdirSync(dirname(this.#file), { recursive: true });
    writeWhole(this.#file, JSON.stringify({ key: this.#key, checks } satisfies Kept));
  }
}

const repeatable = (check: Check): boolean =>
  ok(check) || (check.baselineFails && failed(check) && (check.denied ?? []).length === 0);

/** True for a check that ran to its end and said no. */
const failed = (check: Check): boolean =>
  !check.timedOut && check.code !== null && check.code !== 126 && check.code !== 127;
