import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { refuse } from '../errors.ts';
import { writeWhole } from '../files.ts';
import { ask } from '../process/ask.ts';
import { type FlavourName, flavourOf } from './flavour.ts';
import { locateKimi } from './locate.ts';

export interface KimiProgram {
  readonly file: string;
  readonly version: string;
  readonly flavour: FlavourName;
  /**
   * Node's compile cache of this very program, filled by `kimi --version`: a start takes a fifth less time. In the
   * sandbox it is read-only, so a later run never executes what a worker left there.
   */
  readonly compileCache?: string;
}

type Env = Readonly<Record<string, string | undefined>>;

const INSTALL = 'npm install -g @moonshot-ai/kimi-code, then start `kimi` and type /login';

/** Where the Kimi program is, or a refusal that says how to install it. */
function requireKimi(env: Env): string {
  const found = locateKimi(env);
  if (found !== undefined) return found;
  throw refuse(
    'preflight',
    env.KIMI_BIN === undefined
      ? 'Kimi is not installed: no `kimi` on PATH.'
      : `KIMI_BIN does not name a program: ${env.KIMI_BIN}`,
    INSTALL,
  );
}

/** Finds Kimi and what it is. Asking costs a second, so the answer is kept by real path, size and time. */
export async function findKimi(env: Env, cacheFile: string): Promise<KimiProgram> {
  const file = requireKimi(env);
  const stat = statSync(file);
  const key = `${file} ${stat.size} ${stat.mtimeMs}`;
  const cache = readCache(cacheFile);
  const known = cache[key];
  const compiled = join(dirname(cacheFile), 'compiled', createHash('sha256').update(key).digest('hex').slice(0, 16));
  if (known !== undefined) return { file, ...readKnown(known), ...ifThere(compiled) };
  const said = await ask(file, ['--version'], {
    PATH: env.PATH ?? '',
    HOME: env.HOME ?? '/',
    NODE_COMPILE_CACHE: compiled,
  });
  const found = flavourOf(said.stdout);
  if (found === undefined)
    throw refuse(
      'preflight',
      `${file} does not answer --version as a Kimi client does${said.stderr.trim() === '' ? '' : `: ${said.stderr.trim().split('\n')[0]?.slice(0, 200)}`}.`,
      `Set KIMI_BIN to the right program, or ${INSTALL}`,
    );
  writeWhole(cacheFile, JSON.stringify({ ...cache, [key]: `${found.flavour} ${found.version}` }));
  return { file, ...found, ...ifThere(compiled) };
}

function readKnown(known: string): { flavour: FlavourName; version: string } {
  const [flavour, version = ''] = known.split(' ');
  return { flavour: flavour === 'kimi-cli' ? 'kimi-cli' : 'kimi-code', version };
}

const ifThere = (folder: string): { compileCache?: string } => (existsSync(folder) ? { compileCache: folder } : {});

/**
 * Asks Kimi once per program and config whether it takes every section: one bad key drops a whole one. It runs outside
 * the walls, so it is asked in a fresh home, never in one that a worker has written to.
 */
export async function checkConfig(
  kimi: KimiProgram,
  config: { text: string; digest: string; cacheFile: string },
  env: Readonly<Record<string, string>>,
): Promise<void> {
  // The older client has no such command; it says at its start what it does not like.
  if (kimi.flavour === 'kimi-cli') return;
  const key = `config ${kimi.file} ${kimi.version} ${config.digest}`;
  const cache = readCache(config.cacheFile);
  if (cache[key] !== undefined) return;
  const home = mkdtempSync(join(tmpdir(), 'kd-home-'));
  const file = join(home, 'config.toml');
  writeWhole(file, config.text);
  const said = await ask(kimi.file, ['doctor', 'config', file], { ...env, KIMI_CODE_HOME: home }).finally(() =>
    rmSync(home, { recursive: true, force: true }),
  );
  if (said.code !== 0)
    throw refuse(
      'preflight',
      `Kimi refuses the config made from yours: ${said.stdout.slice(-400)}${said.stderr.slice(-400)}`,
      'kimi doctor config',
    );
  writeWhole(config.cacheFile, JSON.stringify({ ...cache, [key]: 'ok' }));
}

function readCache(file: string): Record<string, string> {
  try {
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>) : {};
  } catch {
    return {};
  }
}
