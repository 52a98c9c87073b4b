import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Lab, ROOT } from './repo.ts';
import { pause } from './until.ts';

/** When the dispatcher is killed: as soon as its events hold a text, or after some milliseconds. */
export type Moment = { readonly text: string } | { readonly ms: number };

/** Starts a run, kills its dispatcher with SIGKILL at the moment, and returns what the events held by then. */
export async function killAt(lab: Lab, moment: Moment, env: Record<string, string> = {}): Promise<string> {
  const child = spawn(process.execPath, [join(ROOT, 'bin', 'kimi-dispatch.js'), 'run', '../spec.md'], {
    cwd: lab.repo,
    env: { ...lab.env, ...env },
    stdio: 'ignore',
  });
  let ended = false;
  const end = new Promise<void>((done) =>
    child.on('close', () => {
      ended = true;
      done();
    }),
  );
  const began = Date.now();
  while (!ended) {
    if ('ms' in moment ? Date.now() - began >= moment.ms : events(lab).includes(moment.text)) break;
    await pause('ms' in moment ? 1 : 2);
  }
  child.kill('SIGKILL');
  await end;
  return events(lab);
}

export const runsOf = (lab: Lab): string => join(lab.repo, '.git', 'kimi-dispatch', 'runs');

function events(lab: Lab): string {
  const folder = runsOf(lab);
  const last = existsSync(folder) ? readdirSync(folder).sort().at(-1) : undefined;
  const file = last === undefined ? undefined : join(folder, last, 'events.ndjson');
  return file !== undefined && existsSync(file) ? readFileSync(file, 'utf8') : '';
}

/** Everything that must hold after recovery; returns what does not, in words. */
export async function damage(lab: Lab, before: Record<string, string>): Promise<string[]> {
  const wrong: string[] = [];
  const recovered = await lab.run(['recover']);
  if (recovered.code !== 0) wrong.push(`recover ended with ${recovered.code}: ${recovered.stderr}`);
  const runs = JSON.parse((await lab.run(['status', '--json'])).stdout).runs as {
    id: string;
    outcome?: string;
    dir: string;
    commit?: string;
  }[];
  for (const run of runs) {
    if (run.outcome === undefined) wrong.push(`${run.id} has no outcome`);
    if (processesOf(run.id).length > 0) wrong.push(`${run.id} left processes`);
    const work = join(run.dir, 'greet.txt');
    const wrote = existsSync(work) && readFileSync(work, 'utf8').includes('please');
    if (wrote && (run.commit === undefined || !lab.git('show', `${run.commit}:greet.txt`).includes('please')))
      wrong.push(`${run.id}: work is missing`);
  }
  const left = locks(join(lab.repo, '.git'));
  if (left.length > 0) wrong.push(`locks are left: ${left.join(', ')}`);
  try {
    lab.git('fsck', '--strict');
  } catch (error) {
    wrong.push(`git fsck: ${String(error)}`);
  }
  const after = lab.snapshot();
  if (JSON.stringify(after) !== JSON.stringify(before)) wrong.push('the checkout was changed');
  return wrong;
}

function processesOf(run: string): string[] {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      if (/\) Z /.test(readFileSync(`/proc/${name}/stat`, 'utf8'))) return false;
      return readFileSync(`/proc/${name}/environ`, 'latin1').includes(`KIMI_DISPATCH_RUN=${run}`);
    } catch {
      return false;
    }
  });
}

function locks(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? locks(path) : entry.name.endsWith('.lock') ? [path] : [];
  });
}

/** A generator of numbers from 0 to 1 that gives the same ones for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
