import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { refuse } from '../errors.ts';
import { ask } from '../process/ask.ts';
import { programIn } from './places.ts';

type Env = Readonly<Record<string, string>>;

/**
 * Has npm pack this very program and install it into a folder of its own beside the runtime, so that it stays when
 * the npx cache goes. Needs no registry: the program carries what it depends on. Returns the folder to swap in.
 */
export async function stageRuntime(root: string, runtime: string, env: Env): Promise<string> {
  const staged = `${runtime}.${process.pid}`;
  const scratch = mkdtempSync(join(tmpdir(), 'kimi-dispatch-pack-'));
  try {
    await npm(['pack', '--ignore-scripts', '--silent', '--pack-destination', scratch, root], env);
    const archive = readdirSync(scratch).find((name) => name.endsWith('.tgz'));
    if (archive === undefined) throw refuse('internal', 'npm pack made no archive.');
    rmSync(staged, { recursive: true, force: true });
    mkdirSync(staged, { recursive: true });
    writeFileSync(join(staged, 'package.json'), '{"private":true}\n');
    const quiet = ['--ignore-scripts', '--omit=dev', '--no-audit', '--no-fund', '--no-package-lock', '--offline'];
    await npm(['install', '--prefix', staged, ...quiet, join(scratch, archive)], env);
    if (!existsSync(join(programIn(staged), 'bin', 'kimi-dispatch.js')))
      throw refuse('internal', 'npm installed the program without its launcher.');
    return staged;
  } catch (error) {
    rmSync(staged, { recursive: true, force: true });
    throw error;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function npm(args: readonly string[], env: Env): Promise<void> {
  const said = await ask('npm', args, env, 300_000);
  if (said.code === 0) return;
  throw refuse(
    'preflight',
    `npm ${args[0]} failed: ${(said.stderr || said.stdout).trim().slice(-600) || 'npm does not start'}`,
    'Mend that (npm doctor helps), then run the same command again.',
  );
}

/** Puts the staged runtime in the place of the old one by two renames. */
export function swapRuntime(staged: string, runtime: string): void {
  const old = `${runtime}.old`;
  rmSync(old, { recursive: true, force: true });
  mkdirSync(dirname(runtime), { recursive: true });
  if (existsSync(runtime)) renameSync(runtime, old);
  renameSync(staged, runtime);
  rmSync(old, { recursive: true, force: true });
}

/** The version of the program in a folder; undefined when there is none. */
export function versionIn(program: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(join(program, 'package.json'), 'utf8')) as { version: string }).version;
  } catch {
    return undefined;
  }
}
