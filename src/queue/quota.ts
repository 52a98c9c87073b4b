import type { Redis } from 'ioredis';

const WEEK = 7 * 24 * 60 * 60 * 1000;

/**
 * One hash for each account; a field for each run: `r|time|steps` while it works, `d|time|requests` when it has ended.
 * In one step: what fell out of the week goes, the rest is added up, and the run is entered when it fits.
 */
const RESERVE = `
local now, want, limit, run = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local used, held = 0, 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local kind, time, count = string.match(all[i + 1], '^(%a)|(%d+)|(%d+)$')
  if tonumber(time) <= now - tonumber(ARGV[5]) then redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= run or kind == 'd' then
    if kind == 'd' then used = used + tonumber(count) else held = held + tonumber(count) end
  end
end
if used >= limit then return 'used' end
if used + held + want > limit and held > 0 then return 'wait' end
redis.call('HSET', KEYS[1], run, 'r|' .. now .. '|' .. want)
return 'go'`;

/** The quota of one account, shared by all workers: model calls in a rolling week. */
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
  async reserve(call: { run: string; steps: number; limit: number; now: number }): Promise<'go' | 'wait' | 'used'> {
    const { run, steps, limit, now } = call;
    return (await this.#redis.eval(RESERVE, 1, this.#key, now, steps, limit, run, WEEK)) as 'go' | 'wait' | 'used';
  }

  /** What the run really used takes the place of what it held; what an earlier try used stays. */
  async settle(run: string, requests: number, now: number): Promise<void> {
    await this.#redis.multi().hdel(this.#key, run).hset(this.#key, `${run}/${now}`, `d|${now}|${requests}`).exec();
  }
}
