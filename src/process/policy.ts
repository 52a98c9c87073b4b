import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SECRETS } from './secrets.ts';

/** What a sandboxed command may touch. Everything else is read-only, and every other host is refused. */
export interface Policy {
  readonly name: 'attempt' | 'verification';
  readonly allowWrite: readonly string[];
  readonly denyWrite: readonly string[];
  readonly denyRead: readonly string[];
  readonly allowRead: readonly string[];
  /** `host` or `host:port`; `*.host` covers what lies below it. */
  readonly hosts: readonly string[];
  /** Ports of this machine's loopback that are reachable inside under the same number: a local model server. */
  readonly loopback: readonly number[];
}

export interface PolicyInput {
  readonly home: string;
  /** The checkout, whose `.env` files are closed. */
  readonly checkout: string;
  /** It lies in a folder of such worktrees, which is closed but for this one. */
  readonly worktree: string;
  /** What is on record of all runs. */
  readonly records?: string;
  /** The Kimi home of the run, and the folder of all of them. */
  readonly kimiHome: string;
  readonly kimiHomes: string;
  /** The user's own Kimi home; its credential folders are open for a token refresh. */
  readonly userKimi: string;
  readonly scratch: string;
  /** A review: the worktree may be read and not written. */
  readonly readOnly: boolean;
  readonly apiUrls: readonly string[];
  readonly hosts: readonly string[];
  readonly verifyHosts: readonly string[];
  readonly denyRead: readonly string[];
  /** The Claude home, when it is not in its usual place. */
  readonly claudeHome: string | undefined;
  /** Dependency folders that are shared with later runs, and the place for the caches of tools. */
  readonly dependencies?: readonly string[];
  readonly caches?: readonly string[];
}

/** Kimi's own service and its login, for a configuration that names no address. */
const KIMI_HOSTS = ['*.kimi.com', '*.kimi.ai', '*.moonshot.ai', '*.moonshot.cn'];

/** The policy under which Kimi runs: worktree, own home, credentials for a refresh, its own hosts. */
export function attemptPolicy(input: PolicyInput): Policy {
  const credentials = ['credentials', 'oauth']
    .map((name) => join(input.userKimi, name))
    .filter(existsSync)
    .map(realpath);
  const { hosts, loopback } = reachable(input.apiUrls);
  const own = [input.worktree, input.kimiHome, input.scratch, ...credentials, ...(input.caches ?? [])].map(realpath);
  const worktree = realpath(input.worktree);
  return {
    name: 'attempt',
    allowWrite: input.readOnly ? own.filter((path) => path !== worktree) : own,
    denyWrite: closedToWrites(input),
    denyRead: closed(input),
    allowRead: own,
    hosts: [...hosts, ...(input.apiUrls.length === 0 ? KIMI_HOSTS : []), ...loginHosts(hosts), ...input.hosts],
    loopback,
  };
}

/** The policy of the verification: no Kimi home, no credentials, no network but what the profile names. */
export function verifyPolicy(input: PolicyInput): Policy {
  const own = [input.worktree, input.scratch, ...(input.caches ?? [])].map(realpath);
  const { hosts, loopback } = reachable(
    input.verifyHosts.map((host) => (host.includes('://') ? host : `tcp://${host}`)),
  );
  return {
    name: 'verification',
    allowWrite: own,
    denyWrite: closedToWrites(input),
    denyRead: closed(input),
    allowRead: own,
    hosts,
    loopback,
  };
}

const closedToWrites = (input: PolicyInput): string[] => [
  join(realpath(input.worktree), '.git'),
  ...(input.dependencies ?? []).map(realpath),
];

function closed(input: PolicyInput): string[] {
  const paths = [
    ...SECRETS.map((path) => join(input.home, path)),
    input.kimiHomes,
    // Other runs: their worktrees, which wait in the pool, and what is on record of them.
    dirname(input.worktree),
    ...(input.records === undefined ? [] : [input.records]),
    input.userKimi,
    ...(input.claudeHome === undefined ? [] : [input.claudeHome]),
    ...input.denyRead.map((path) => (path.startsWith('~/') ? join(input.home, path.slice(2)) : path)),
    ...environmentFiles(input.checkout, 3),
  ];
  return [...new Set(paths.filter(existsSync).map(realpath))];
}

const SKIP = new Set(['node_modules', 'vendor', 'target', 'dist', 'build']);

/** `.env` files of the checkout, to a depth of three folders; those of dependencies are nobody's secrets. */
function environmentFiles(folder: string, depth: number): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory())
      return depth > 1 && !entry.name.startsWith('.') && !SKIP.has(entry.name) ? environmentFiles(path, depth - 1) : [];
    return /^\.env(\.|$)/.test(entry.name) && !/\.(example|sample|template)$/.test(entry.name) ? [path] : [];
  });
}

/** Splits addresses into names that a proxy reaches and ports of this machine. */
function reachable(urls: readonly string[]): { hosts: string[]; loopback: number[] } {
  const hosts: string[] = [];
  const loopback: number[] = [];
  for (const text of urls) {
    if (!URL.canParse(text)) continue;
    const url = new URL(text);
    const name = url.hostname.replace(/^\[|\]$/g, '');
    const port = Number(url.port) || (url.protocol === 'http:' ? 80 : 443);
    if (name === 'localhost' || name === '::1' || name.startsWith('127.')) loopback.push(port);
    else if (url.protocol === 'tcp:' && url.port === '') hosts.push(name);
    else hosts.push(`${name.includes(':') ? `[${name}]` : name}:${port}`);
  }
  return { hosts: [...new Set(hosts)], loopback: [...new Set(loopback)] };
}

/** The login host of a Kimi API host, which a token refresh needs: `api.kimi.com` → `auth.kimi.com`. */
const loginHosts = (hosts: readonly string[]): string[] =>
  hosts.filter((host) => /^api\.(kimi|moonshot)\./.test(host)).map((host) => host.replace(/^api\./, 'auth.'));

const realpath = (path: string): string => (existsSync(path) ? realpathSync(path) : path);
