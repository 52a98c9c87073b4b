import { lstatSync, readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join, sep } from 'node:path';
import { TOOLS } from './secrets.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** Variables that lead to a toolchain, and the parts of it that hold no credential; all of it where none is named. */
const VARIABLES: Readonly<Record<string, readonly string[]>> = {
  CARGO_HOME: ['bin', 'env', 'registry', 'git'],
  RUSTUP_HOME: [],
  GOPATH: ['bin', 'pkg'],
  GOROOT: [],
  JAVA_HOME: [],
  PYENV_ROOT: [],
  VOLTA_HOME: [],
  NVM_DIR: [],
  ANDROID_HOME: [],
};

/** What programs need in order to start: toolchains, package caches, the folders on PATH and what they link to. */
export function toolPaths(home: string, env: Env): string[] {
  const named = Object.entries(VARIABLES).flatMap(([name, parts]) => {
    const folder = env[name];
    if (folder === undefined || folder === '') return [];
    return parts.length === 0 ? [folder] : parts.map((part) => join(folder, part));
  });
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder.startsWith('/'));
  return [
    ...TOOLS.map((path) => join(home, path)),
    ...named,
    ...folders,
    ...folders.flatMap((folder) => [...managerOf(folder), ...linkedFrom(folder)]),
  ];
}

/** The version manager that a folder of programs belongs to, in whoever's home it lies. */
const managerOf = (folder: string): string[] =>
  [/^.*?\/\.(nvm|fnm|volta|asdf|pyenv|rbenv|rustup|dotnet|linuxbrew)(?=\/)/.exec(folder)?.[0] ?? ''].filter(Boolean);

/** What the links in a folder of programs lead to; those of the system lie in open places. */
function linkedFrom(folder: string): string[] {
  if (/^\/(usr\/)?(local\/)?s?bin\/?$/.test(folder)) return [];
  try {
    return readdirSync(folder)
      .map((name) => join(folder, name))
      .filter((path) => lstatSync(path).isSymbolicLink())
      .map(packageOf);
  } catch {
    return [];
  }
}

/** A program's own package: its `node_modules` folder, the environment of a Python program, else the file. */
export function packageOf(path: string): string {
  try {
    const real = realpathSync(path);
    const modules = real.indexOf(`${sep}node_modules${sep}`);
    if (modules !== -1) return real.slice(0, modules + `${sep}node_modules`.length);
    const above = dirname(dirname(real));
    return readdirSync(above).includes('pyvenv.cfg') ? above : real;
  } catch {
    return path;
  }
}
