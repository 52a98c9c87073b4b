import { z } from 'zod';
import { refuse } from '../errors.ts';
import { misfits, settings, settingsFile } from '../profile/settings.ts';

const settingSchema = z.strictObject({
  /** `redis://` or `rediss://`, with user and password where Redis asks for them. */
  url: z.string().regex(/^rediss?:\/\/[^\s]+$/, 'starts with redis:// or rediss://'),
  /** The git remote that workers clone from and push to. */
  remote: z.string().default('origin'),
  /** For workers: the beginnings of remotes they work for; none listed means every one. */
  remotes: z.array(z.string()).default([]),
  /** Runs at a time over all workers. */
  concurrency: z.number().int().positive().optional(),
  /** How long a worker may be silent before its run goes to another one. */
  lockSeconds: z.number().positive().default(30),
});
export type QueueSetting = z.infer<typeof settingSchema>;

/** The queue in use: `KIMI_DISPATCH_QUEUE_URL`, or `[queue]` in the settings file; none means in process. */
export function queueSetting(
  env: Readonly<Record<string, string | undefined>>,
  configHome: string,
): QueueSetting | undefined {
  const table = settings(configHome, 'queue');
  const url = env.KIMI_DISPATCH_QUEUE_URL || undefined;
  if (table === undefined && url === undefined) return undefined;
  const parsed = settingSchema.safeParse({ ...(table as object | undefined), ...(url === undefined ? {} : { url }) });
  if (parsed.success) return parsed.data;
  throw refuse(
    'usage',
    `The queue in ${settingsFile(configHome)}: ${misfits(parsed.error)}`,
    '[queue] with url = "redis://HOST:6379"',
  );
}

/** The address without its password, for people. */
export function withoutPassword(url: string): string {
  const parsed = new URL(url);
  parsed.password = '';
  parsed.username = '';
  return parsed.href;
}
