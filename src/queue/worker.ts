import { hostname } from 'node:os';
import { type Job, Worker } from 'bullmq';
import { refuse } from '../errors.ts';
import { Assignment, lockMs, type WorkerCall } from './assignment.ts';
import { type Door, PREFIX, QUEUE } from './connect.ts';
import { withoutPassword } from './setting.ts';
import { recoverClones } from './work.ts';

/** Takes orders off the queue until the signal comes. */
export async function runWorker(call: WorkerCall): Promise<void> {
  const { door, setting, version, signal } = call;
  await refuseOtherVersions(door, version);
  await recoverClones(call.place);
  if (setting.concurrency === undefined) await door.queue.removeGlobalConcurrency();
  else await door.queue.setGlobalConcurrency(setting.concurrency);
  const lockDuration = lockMs(setting);
  const worker: Worker = new Worker(QUEUE, (job: Job, token?: string) => new Assignment(call, job, token ?? '').go(), {
    connection: door.connect(),
    prefix: PREFIX,
    name: nameOf(version),
    concurrency: call.concurrency,
    lockDuration,
    stalledInterval: Math.round(lockDuration / 2),
    // One worker may die over a run; a run that two workers died over is lost.
    maxStalledCount: 1,
    autorun: false,
  });
  worker.on('error', (error) => call.say(`queue: ${error.message}`));
  worker.on('stalled', (id) => call.say(`${id}: its worker fell silent; it goes to another one`));
  call.say(`worker ${version} takes runs from ${withoutPassword(setting.url)}, ${call.concurrency} at a time`);
  const loop = worker.run();
  await ended(signal);
  await worker.close();
  await loop.catch(() => undefined);
}

const ended = (signal: AbortSignal): Promise<void> =>
  new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done(), { once: true });
  });

/** Redis shows the name of each worker; the version is part of it. */
const nameOf = (version: string): string => `${hostname().replaceAll(/[^\w.-]/g, '-')}-${process.pid}@${version}`;

async function refuseOtherVersions(door: Door, version: string): Promise<void> {
  const workers = await door.queue.getWorkers();
  const other = workers
    .map((worker) => worker.rawname ?? worker.name ?? '')
    .flatMap((name) => /:w:(.+)@(.+)$/.exec(name)?.slice(1, 3).join(' ') ?? [])
    .find((name) => !name.endsWith(` ${version}`));
  if (other === undefined) return;
  const [name, theirs] = other.split(' ');
  throw refuse(
    'preflight',
    `The worker ${name} of this queue is version ${theirs}, and this one is version ${version}.`,
    'Use one version on all machines: npx kimi-dispatch upgrade',
  );
}
