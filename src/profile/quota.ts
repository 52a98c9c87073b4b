import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { refuse } from '../errors.ts';

type Env = Readonly<Record<string, string | undefined>>;

interface Use {
  /** Milliseconds since 1970. */
  readonly t: number;
  readonly account: string;
  readonly requests: number;
  readonly run: string;
}

const WEEK = 7 * 24 * 60 * 60 * 1000;
/** From here on a run begins with a warning. */
const NEARLY = 0.8;

/** Model calls of all repositories on this machine, a line for each attempt; a rolling week is computed from it. */
export class QuotaBook {
  readonly #file: string;

  constructor(env: Env) {
    this.#file = join(
      env.XDG_DATA_HOME ?? join(env.HOME ?? '/tmp', '.local', 'share'),
      'kimi-dispatch',
      'requests.ndjson',
    );
  }

  add(use: Use): void {
    if (use.requests <= 0) return;
    mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
    appendFileSync(this.#file, `${JSON.stringify(use)}\n`, { mode: 0o600 });
  }

  /** What the account used in the week before `now`, and when the oldest of it falls out of the week. */
  week(account: string, now: number): { used: number; freeAt: number | undefined } {
    const uses = this.#read().filter((use) => use.account === account && use.t > now - WEEK && use.t <= now);
    const first = Math.min(...uses.map((use) => use.t));
    return {
      used: uses.reduce((sum, use) => sum + use.requests, 0),
      freeAt: uses.length === 0 ? undefined : first + WEEK,
    };
  }

  accounts(): string[] {
    return [...new Set(this.#read().map((use) => use.account))];
  }

  #read(): Use[] {
    if (!existsSync(this.#file)) return [];
    return readFileSync(this.#file, 'utf8')
      .split('\n')
      .flatMap((line) => {
        try {
          const use = JSON.parse(line) as Use;
          return typeof use.t === 'number' && typeof use.requests === 'number' ? [use] : [];
        } catch {
          return [];
        }
      });
  }
}

/** Before a run: nothing, a warning, or a refusal that says when there is room again. */
export function checkQuota(
  week: { used: number; freeAt: number | undefined },
  limit: number | undefined,
): string | undefined {
  if (limit === undefined || week.used < limit * NEARLY) return undefined;
  const when =
    week.freeAt === undefined
      ? ''
      : ` The oldest of them fall out of the week at ${new Date(week.freeAt).toISOString().slice(0, 16)}Z.`;
  if (week.used < limit) return `${week.used} of ${limit} requests of this week are used.${when}`;
  throw refuse(
    'quota',
    `All ${limit} requests of this week are used.${when}`,
    'Wait, use another --profile, or let Claude implement.',
  );
}

/**
 * The service's own usage, as a ratio: `GET {base}/usages`. Its two shapes can disagree, so the worst counts (facts:
 * kimi-code 2.1.0). Undefined when it does not answer within five seconds.
 */
export async function serviceUsage(base: string, key: string): Promise<number | undefined> {
  try {
    const url = `${base.replace(/\/$/, '')}/usages`;
    const answer = await fetch(url, { headers: { authorization: `Bearer ${key}` }, signal: AbortSignal.timeout(5000) });
    if (!answer.ok) return undefined;
    const ratios = ratiosIn(await answer.json());
    return ratios.length === 0 ? undefined : Math.max(...ratios);
  } catch {
    return undefined;
  }
}

function ratiosIn(value: unknown): number[] {
  if (typeof value !== 'object' || value === null) return [];
  const data = value as Record<string, unknown>;
  const here: number[] = [];
  if (data.used_ratio !== undefined) here.push(Number(data.used_ratio));
  if (data.used !== undefined && Number(data.limit) > 0) here.push(Number(data.used) / Number(data.limit));
  return [...here.filter(Number.isFinite), ...Object.values(data).flatMap(ratiosIn)];
}
