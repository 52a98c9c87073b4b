import type { Redis } from 'ioredis';

const WEEK = 7 * 24 * 60 * 60 * 1000;

/**
 * One hash for each account, a field for each try of a run: `r|until|steps` while it works, `d|time|requests` when it has
 * ended. In one step: what is over goes, the rest is added up, and the run is entered when it fits.
 */
const RESERVE = `
local now, want, limit, entry, untilMs = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[6]
local used, held = 0, 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local kind, time, count = string.match(all[i + 1], '^(%a)|(%d+)|(%d+)$')
  local over = (kind == 'r' and tonumber(time) or tonumber(time) + tonumber(ARGV[5])) <= now
  if over then redis.call('HDEL', KEYS[1], all[i])
  elseif kind == 'd' then used = used + tonumber(count)
  elseif all[i] ~= entry then held = held + tonumber(count) end
end
if used >= limit then return 'used' end
if used + held + want > limit and held > 0 then return 'wait' end
redis.call('HSET', KEYS[1], entry, 'r|' .. untilMs .. '|' .. want)
return 'go'`;

export interface Reservation {
  /** The run and its try. */
  readonly entry: string;
  /** The most that it may use. */
  readonly steps: number;
  readonly limit: number;
  readonly now: number;
  /** When it holds nothing any more, should nobody settle it. */
  readonly until: number;
}

/** The quota of one account, shared by all workers: model calls in a rolling week. Times in milliseconds. */
export class SharedQuota {
  readonly #redis: Redis;
  readonly #key: string;

  constructor(redis: Redis, account: string) {
    this.#redis = redis;
    this.#key = `kimi-dispatch:quota:${account}`;
  }

  /**
   * Holds the most that a run may use. `wait`: there is room only if runs at work use less than they hold. `used`: all
   * of it is used. A run that is wider than what is left goes alone.
   */
  async reserve({ entry, steps, limit, now, until }: Reservation): Promise<'go' | 'wait' | 'used'> {
    return (await this.#redis.eval(RESERVE, 1, this.#key, now, steps, limit, entry, WEEK, until)) as
      | 'go'
      | 'wait'
      | 'used';
  }

  /** Goes on holding what was reserved. */
  async hold(entry: string, steps: number, until: number): Promise<void> {
    await this.#redis.hset(this.#key, entry, `r|${until}|${steps}`);
  }

  /** What the run really used takes the place of what it held. */
  async settle(entry: string, requests: number, now: number): Promise<void> {
    await this.#redis.hset(this.#key, entry, `d|${now}|${requests}`);
  }
}
