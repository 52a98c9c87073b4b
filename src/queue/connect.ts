import { FlowProducer, Queue, QueueEvents } from 'bullmq';
import { Redis } from 'ioredis';
import { refuse } from '../errors.ts';
import { type QueueSetting, withoutPassword } from './setting.ts';

/** Everything of one connection to the queue. */
export interface Door {
  readonly queue: Queue;
  readonly flows: FlowProducer;
  readonly redis: Redis;
  /** Another connection of the same kind, for what blocks. */
  readonly connect: () => Redis;
  readonly events: () => Promise<QueueEvents>;
  readonly close: () => void;
}

export const QUEUE = 'runs';
export const PREFIX = 'kimi-dispatch';

/** Opens the queue, or refuses: not there, a password, or a Redis that would lose runs. */
export async function openQueue(setting: QueueSetting): Promise<Door> {
  const where = withoutPassword(setting.url);
  await requireKeeping(
    new Redis(setting.url, { lazyConnect: true, connectTimeout: 5000, retryStrategy: () => null }),
    where,
  );
  const connections: Redis[] = [];
  const parts: { close: () => Promise<unknown> }[] = [];
  const connect = (): Redis => {
    // A Redis that restarts is waited for: commands are sent when it is back.
    const redis = new Redis(setting.url, {
      maxRetriesPerRequest: null,
      connectTimeout: 5000,
      retryStrategy: (times) => Math.min(times * 200, 2000),
    });
    redis.on('error', () => {});
    connections.push(redis);
    return redis;
  };
  const redis = connect();
  const queue = new Queue(QUEUE, { connection: redis, prefix: PREFIX });
  queue.on('error', () => {});
  const flows = new FlowProducer({ connection: redis, prefix: PREFIX });
  flows.on('error', () => {});
  parts.push(queue, flows);
  const events = async (): Promise<QueueEvents> => {
    const made = new QueueEvents(QUEUE, { connection: connect(), prefix: PREFIX });
    made.on('error', () => {});
    parts.push(made);
    await made.waitUntilReady();
    return made;
  };
  // Readers that wait for news would be waited for: everything that had to be written has been.
  const close = (): void => {
    for (const item of parts) void item.close().catch(() => undefined);
    for (const connection of connections) connection.disconnect();
  };
  return { queue, flows, redis, connect, events, close };
}

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

async function requireKeeping(redis: Redis, where: string): Promise<void> {
  let said = '';
  redis.on('error', (error: Error) => {
    said ||= error.message;
  });
  try {
    await redis.connect();
    const info = `${await redis.info('persistence')}\n${await redis.info('memory')}`;
    if (!/^aof_enabled:1\r?$/m.test(info))
      throw refuse(
        'preflight',
        `The Redis at ${where} keeps no append-only file: a restart would lose runs.`,
        'redis-cli CONFIG SET appendonly yes, and `appendonly yes` in redis.conf',
      );
    if (!/^maxmemory_policy:noeviction\r?$/m.test(info))
      throw refuse(
        'preflight',
        `The Redis at ${where} may throw runs away when its memory is full.`,
        'redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf',
      );
  } catch (error) {
    throw explain(error, said, where);
  } finally {
    redis.disconnect();
  }
}

function explain(error: unknown, said: string, where: string): unknown {
  const text = `${error instanceof Error ? error.message : String(error)} ${said}`;
  if (/NOAUTH/.test(text))
    return refuse('preflight', `The Redis at ${where} asks for a password.`, 'url = "redis://:PASSWORD@HOST:6379"');
  if (/WRONGPASS|invalid password|NOPERM/.test(text))
    return refuse(
      'preflight',
      `The Redis at ${where} does not take this user and password.`,
      'Correct url in [queue].',
    );
  if (/closed|ECONN|ENOTFOUND|ETIMEDOUT|EHOSTUNREACH|EAI_AGAIN/.test(text) && !/append-only|memory is full/.test(text))
    return refuse(
      'preflight',
      `There is no Redis at ${where}${said === '' ? '' : ` (${said})`}.`,
      'Start it, correct url in [queue], or run here: --no-queue',
    );
  return error;
}
