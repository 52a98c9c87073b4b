import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

type Env = Readonly<Record<string, string | undefined>>;

/** A version that a repository asks for: `20`, `v20.11.1`, `lts/iron`; and the file that says so. */
export interface Asked {
  readonly tool: 'node' | 'python';
  readonly version: string;
  readonly file: string;
}

/** The folders of programs that a repository asks for, and what this machine lacks, a sentence each. */
export interface Versions {
  readonly path: readonly string[];
  readonly missing: readonly string[];
}

const FILES = [
  ['node', '.nvmrc'],
  ['node', '.node-version'],
  ['python', '.python-version'],
] as const;
const NAMES: Readonly<Record<string, Asked['tool']>> = { node: 'node', nodejs: 'node', python: 'python' };

/** What the version files at the top of a checkout ask for; of several for a tool the first counts. */
export function askedIn(root: string): Asked[] {
  const lines = textOf(join(root, '.tool-versions'))
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  const all: { tool: Asked['tool'] | undefined; version: string | undefined; file: string }[] = [
    ...FILES.map(([tool, file]) => ({ tool, file, version: firstLine(textOf(join(root, file))) })),
    { tool: 'node', file: 'package.json (volta)', version: manifestOf(root).volta?.node },
    ...lines.map(([name = '', version]) => ({ tool: NAMES[name], file: '.tool-versions', version })),
  ];
  const found = all.filter((one): one is Asked => one.tool !== undefined && /^[\w./*-]{1,40}$/.test(one.version ?? ''));
  return found.filter((one, index) => found.findIndex(({ tool }) => tool === one.tool) === index);
}

/**
 * Looks for what a checkout asks for, first on PATH, then where version managers keep it (nvm, fnm, volta, mise, asdf,
 * pyenv). Starts nothing: a version is read off the place where a program lies. Aliases such as `lts/*` are left alone.
 */
export function versionsFor(root: string, env: Env): Versions {
  const path: string[] = [];
  const missing: string[] = [];
  for (const { tool, version, file } of askedIn(root)) {
    const wanted = /^v?(\d+(?:\.\d+){0,2})$/.exec(version)?.[1];
    if (wanted === undefined) continue;
    const here = onPath(tool, env);
    if (here === undefined || fits(here, wanted)) continue;
    const best = installed(tool, env).filter((one) => fits(one.version, wanted));
    const newest = best.sort((a, b) => compare(b.version, a.version))[0];
    if (newest !== undefined) path.push(newest.bin);
    // Of `/usr/bin/python3.11` only two numbers are known, and they may be the right ones.
    else if (!fits(wanted, here))
      missing.push(`${file} asks for ${tool} ${version}; PATH has ${here}, and no version manager here has a match.`);
  }
  const manager = /^(npm|pnpm|yarn|bun)@(\d[\w.-]*)/.exec(manifestOf(root).packageManager ?? '');
  if (manager?.[1] !== undefined && programOn(manager[1], env) === undefined)
    missing.push(
      `package.json asks for ${manager[1]} ${manager[2]}, which is not on PATH: corepack enable ${manager[1]}`,
    );
  return { path, missing };
}

const fits = (version: string, wanted: string): boolean => `${version}.`.startsWith(`${wanted}.`);

const compare = (a: string, b: string): number => a.localeCompare(b, 'en', { numeric: true });

function programOn(name: string, env: Env): string | undefined {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder.startsWith('/'));
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
}

/** The version of the program that PATH leads to, where its place tells it. */
function onPath(tool: Asked['tool'], env: Env): string | undefined {
  const file = programOn(tool === 'node' ? 'node' : 'python3', env);
  if (file === undefined) return undefined;
  const real = realpathSync(file);
  if (real === realpathSync(process.execPath)) return process.versions.node;
  if (tool === 'python') return /\/versions\/([\d.]+)\//.exec(real)?.[1] ?? /python(3\.\d+)$/.exec(real)?.[1];
  const header = textOf(join(dirname(dirname(real)), 'include', 'node', 'node_version.h'));
  const parts = ['MAJOR', 'MINOR', 'PATCH'].map((name) => new RegExp(`NODE_${name}_VERSION (\\d+)`).exec(header)?.[1]);
  return parts.includes(undefined) ? /\/v?(\d+\.\d+\.\d+)\//.exec(real)?.[1] : parts.join('.');
}

/** The versions that managers keep in the user's home. */
function installed(tool: Asked['tool'], env: Env): { version: string; bin: string }[] {
  const home = env.HOME ?? '/';
  const data = env.XDG_DATA_HOME ?? join(home, '.local', 'share');
  const asdf = env.ASDF_DATA_DIR ?? join(home, '.asdf');
  const mise = env.MISE_DATA_DIR ?? join(data, 'mise');
  const folders =
    tool === 'node'
      ? [
          join(env.NVM_DIR ?? join(home, '.nvm'), 'versions', 'node'),
          join(env.FNM_DIR ?? join(data, 'fnm'), 'node-versions'),
          join(env.VOLTA_HOME ?? join(home, '.volta'), 'tools', 'image', 'node'),
          join(mise, 'installs', 'node'),
          join(asdf, 'installs', 'nodejs'),
        ]
      : [
          join(env.PYENV_ROOT ?? join(home, '.pyenv'), 'versions'),
          join(mise, 'installs', 'python'),
          join(asdf, 'installs', 'python'),
        ];
  return folders.flatMap((folder) =>
    (existsSync(folder) ? readdirSync(folder) : []).flatMap((name) => {
      const version = /^v?(\d+\.\d+\.\d+)$/.exec(name)?.[1];
      const bin = [join(folder, name, 'bin'), join(folder, name, 'installation', 'bin')].find((one) => existsSync(one));
      return version === undefined || bin === undefined ? [] : [{ version, bin }];
    }),
  );
}

const firstLine = (text: string): string | undefined =>
  text
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .find((line) => line !== '');

function textOf(file: string): string {
  return statSync(file, { throwIfNoEntry: false })?.isFile() === true ? readFileSync(file, 'utf8') : '';
}

interface Manifest {
  readonly packageManager?: string;
  readonly volta?: { readonly node?: string };
}

function manifestOf(root: string): Manifest {
  try {
    const found: unknown = JSON.parse(textOf(join(root, 'package.json')));
    return typeof found === 'object' && found !== null ? (found as Manifest) : {};
  } catch {
    return {};
  }
}
