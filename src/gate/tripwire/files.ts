import { createHash } from 'node:crypto';
import { lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { listStranger, readStranger } from '../../files.ts';
import type { Repo } from '../../git/repo.ts';

/** A file as it was at a reading. */
export interface FileSeen {
  /** Differs whenever the file does; empty where there is none. */
  readonly print: string;
  readonly mode: number;
  /** Where it leads, if it is a link. */
  readonly link: string;
  /** What it held, unless it is large. */
  readonly text: string | undefined;
  /** True for a file of git's configuration, which is compared key by key. */
  readonly config: boolean;
}

/** Whose settings are looked at beside git's own. */
export interface Homes {
  /** The Kimi homes and the Claude home of the user. */
  readonly kimi: readonly string[];
  readonly claude: string;
}

const CAP = 1024 * 1024;
const MOST = 500;

/** Hooks, configuration and the other small files by which git, Kimi or Claude Code do something else than before. */
export function readFiles(repo: Repo, homes: Homes): Map<string, FileSeen> {
  const seen = new Map<string, FileSeen>();
  const { HOME: home = '/', XDG_CONFIG_HOME: xdg = join(home, '.config'), GIT_CONFIG_GLOBAL: global } = repo.env;
  const others = [
    ...['exclude', 'attributes', 'grafts'].map((name) => join(repo.commonDir, 'info', name)),
    join(repo.gitDir, 'info', 'sparse-checkout'),
    join(repo.commonDir, 'objects', 'info', 'alternates'),
    ...['ignore', 'attributes'].map((name) => join(xdg, 'git', name)),
    ...homes.kimi.flatMap((folder) => [join(folder, 'config.toml'), join(folder, 'mcp.json')]),
    join(homes.claude, 'settings.json'),
    ...['.claude/settings.json', '.claude/settings.local.json', '.mcp.json'].map((name) => join(repo.root, name)),
  ];
  const modules = modulesIn(join(repo.commonDir, 'modules'));
  const configs = [
    join(repo.commonDir, 'config'),
    join(repo.gitDir, 'config.worktree'),
    ...(global === undefined ? [join(home, '.gitconfig'), join(xdg, 'git', 'config')] : [global]),
    ...modules.map((folder) => join(folder, 'config')),
  ];
  const hooks = new Set([repo.commonDir, ...modules].map((folder) => join(folder, 'hooks')));
  // What git's configuration names is looked at too, and whether it is included at present does not matter.
  for (const path of configs) {
    if (seen.has(path) || seen.size > MOST) continue;
    const file = { ...look(path), config: true };
    seen.set(path, file);
    for (const { key, value } of named(file.text ?? '')) {
      const target = resolved(value, { home, from: key === 'hookspath' ? repo.root : dirname(path) });
      if (key === 'path') configs.push(target);
      else if (key === 'hookspath') hooks.add(target);
      else others.push(target);
    }
  }
  for (const folder of hooks) for (const name of listed(folder)) others.push(join(folder, name));
  for (const path of others) if (!seen.has(path)) seen.set(path, { ...look(path), config: false });
  return seen;
}

/** Folders and files that a configuration names. A line that only looks like one makes us look at a file too many. */
function named(text: string): { key: string; value: string }[] {
  const lines = text.matchAll(/^[ \t]*(path|hookspath|attributesfile|excludesfile)[ \t]*=[ \t]*"?([^"\n#;]+)/gim);
  return [...lines].map(([, key = '', value = '']) => ({ key: key.toLowerCase(), value: value.trim() }));
}

function resolved(value: string, { home, from }: { home: string; from: string }): string {
  if (value.startsWith('~/')) return join(home, value.slice(2));
  return isAbsolute(value) ? value : join(from, value);
}

/** The git folders of submodules, whose names may have slashes in them. */
function modulesIn(folder: string, depth = 0): string[] {
  if (depth > 5) return [];
  return listStranger(folder, MOST)
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => {
      const path = join(folder, name);
      const own = lstatSync(join(path, 'HEAD'), { throwIfNoEntry: false }) !== undefined;
      return own ? [path, ...modulesIn(join(path, 'modules'), depth + 1)] : modulesIn(path, depth + 1);
    });
}

const listed = (folder: string): string[] => listStranger(realOf(folder), MOST).map(({ name }) => name);

function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

const NONE = { print: '', mode: 0, link: '', text: undefined };

/** A file and where it leads, if it is a link: a person's dotfiles often are. */
function look(path: string): Omit<FileSeen, 'config'> {
  try {
    const link = lstatSync(path).isSymbolicLink() ? readlinkSync(path) : '';
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isFile() !== true) return { ...NONE, print: `${link} ${stat?.mode ?? ''}`, link };
    const bytes = readStranger(realpathSync(path), { cap: CAP });
    const what =
      bytes === undefined ? `${stat.size} ${stat.mtimeMs}` : createHash('sha256').update(bytes).digest('hex');
    return { print: `${link} ${stat.mode} ${what}`, mode: stat.mode & 0o777, link, text: bytes?.toString('utf8') };
  } catch {
    return NONE;
  }
}
