import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gitAnswer } from '../git/git.ts';
import { fileAt, type Repo } from '../git/repo.ts';
import { LOCK_FILES } from '../path-classes.ts';
import { ask } from '../process/ask.ts';
import type { Provision } from './provision.ts';

/**
 * The hosts that an installation may reach: the registries of the user's own configuration, and those that the lock files
 * of a reviewed commit name. A lock file that nobody reviewed opens no host.
 */
export async function registryHosts(
  repo: Repo,
  plan: Provision,
  call: { readonly base: string; readonly trusted: boolean; readonly env: Readonly<Record<string, string>> },
): Promise<string[]> {
  if (plan.dependencies.how !== 'install' && plan.setup === undefined) return [];
  const own = await userRegistries(call.env);
  const locked = call.trusted ? await lockedUrls(repo, call.base) : [];
  return [...new Set([...own, ...locked].flatMap(hostOf))];
}

/** Addresses in what npm says and in the files that npm, yarn, pip and uv read. */
async function userRegistries(env: Readonly<Record<string, string>>): Promise<string[]> {
  const home = env.HOME ?? '/';
  // Not in the checkout, whose settings may have come with a branch.
  const npm = await ask('npm', ['config', 'get', 'registry'], env, 10_000, home);
  const files = ['.npmrc', '.yarnrc', '.yarnrc.yml', '.config/pip/pip.conf', '.pip/pip.conf', '.config/uv/uv.toml'];
  const texts = files
    .map((file) => join(home, file))
    .flatMap((file) => (existsSync(file) ? [readFileSync(file, 'utf8')] : []));
  return [npm.stdout, ...texts].flatMap(urlsIn);
}

async function lockedUrls(repo: Repo, base: string): Promise<string[]> {
  const names = new Set(LOCK_FILES);
  const found = await gitAnswer(repo, ['ls-tree', '-r', '-z', '--name-only', base]);
  const paths = found.stdout.split('\0').filter((path) => names.has(path.slice(path.lastIndexOf('/') + 1)));
  const texts = await Promise.all(paths.slice(0, MOST).map((path) => fileAt(repo, base, path)));
  return texts.flatMap((text) => urlsIn(text ?? ''));
}

/** A repository with more lock files than this names its registries in the first of them. */
const MOST = 50;

const urlsIn = (text: string): string[] => [...new Set(text.match(/https?:\/\/[\w.-]+(?::\d+)?/g) ?? [])];

/** `host` or `host:port`; the loopback keeps its scheme, for it is relayed. */
function hostOf(url: string): string[] {
  if (!URL.canParse(url)) return [];
  const { hostname, port, protocol } = new URL(url);
  if (hostname === 'localhost' || hostname.startsWith('127.')) return [url];
  return [`${hostname}:${port === '' ? (protocol === 'http:' ? 80 : 443) : port}`];
}
