import { existsSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { reach } from './closed.ts';
import { MACHINE, REGISTRY_CREDENTIALS, SECRETS } from './secrets.ts';

/** What a sandboxed command may touch. Everything else is read-only, and every other host is refused. */
export interface Policy {
  readonly name: 'attempt' | 'verification' | 'provision';
  readonly allowWrite: readonly string[];
  readonly denyWrite: readonly string[];
  readonly denyRead: readonly string[];
  readonly allowRead: readonly string[];
  /** `host` or `host:port`; `*.host` covers what lies below it. */
  readonly hosts: readonly string[];
  /** Ports of this machine's loopback that are reachable inside under the same number: a local model server. */
  readonly loopback: readonly number[];
  /** Where package managers keep what they downloaded; a private folder of the call where it is missing. */
  readonly cache?: string;
  /** Files that are seen in the place of others. Linux only. */
  readonly instead: readonly Instead[];
}

/** A file that is seen in the place of another one: git's configuration without what only its user may know. */
export interface Instead {
  readonly of: string;
  readonly seen: string;
}

export interface PolicyInput {
  readonly home: string;
  /** The checkout, which is closed but for its dependencies. */
  readonly checkout: string;
  /** It lies in a folder of such worktrees, which is closed but for this one. */
  readonly worktree: string;
  /** What is on record of all runs. */
  readonly records?: string;
  /** The Kimi home of the run, and the folder of all of them. */
  readonly kimiHome: string;
  readonly kimiHomes: string;
  /** The user's own Kimi home; its credential folders are open for a token refresh, where there are tokens. */
  readonly userKimi: string;
  readonly login?: boolean;
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
  /** Where the run's briefs lie: Kimi reads there. */
  readonly briefs?: string;
  /** Folders of programs that are needed inside, wherever they lie: Node, Kimi. */
  readonly tools?: readonly string[];
  /** Paths that the profile opens in the home folder. */
  readonly allowRead?: readonly string[];
  /** State, data and settings of kimi-dispatch itself, of all repositories. */
  readonly ours?: readonly string[];
  /** What git needs of the repository, whose folder is closed otherwise. */
  readonly git?: GitView;
}

export interface GitView {
  readonly open: readonly string[];
  readonly instead: readonly Instead[];
}

/** Kimi's own service and its login, for a configuration that names no address. */
const KIMI_HOSTS = ['*.kimi.com', '*.kimi.ai', '*.moonshot.ai', '*.moonshot.cn'];

/** The policy under which Kimi runs: worktree, own home, credentials for a refresh, its own hosts. */
export function attemptPolicy(input: PolicyInput): Policy {
  const credentials = (input.login === true ? ['credentials', 'oauth'] : [])
    .map((name) => join(input.userKimi, name))
    .filter(existsSync)
    .map(realpath);
  const { hosts, loopback } = reachable(input.apiUrls);
  const own = [input.worktree, input.kimiHome, input.scratch, ...credentials, ...(input.caches ?? [])].map(realpath);
  const worktree = realpath(input.worktree);
  const shared = common(input, own);
  return {
    ...shared,
    name: 'attempt',
    // What Kimi is told lies where it cannot write.
    allowRead: [...shared.allowRead, ...[input.briefs ?? ''].filter(existsSync).map(realpath)],
    allowWrite: input.readOnly ? own.filter((path) => path !== worktree) : own,
    hosts: [...hosts, ...(input.apiUrls.length === 0 ? KIMI_HOSTS : []), ...loginHosts(hosts), ...input.hosts],
    loopback,
  };
}

/** The policy of the verification: no Kimi home, no credentials, no network but what the profile names. */
export function verifyPolicy(input: PolicyInput): Policy {
  const own = [input.worktree, input.scratch, ...(input.caches ?? [])].map(realpath);
  return { ...common(input, own), name: 'verification', allowWrite: own, ...reachable(input.verifyHosts.map(asUrl)) };
}

export interface ProvisionInput {
  /** Hosts of package registries. */
  readonly hosts: readonly string[];
  /** True for a tree that the user has reviewed: credentials of registries are open, and what is downloaded is kept. */
  readonly trusted: boolean;
  readonly cache: string;
}

/** The policy under which files and dependencies are made: registries, caches of its own, and no secrets. */
export function provisionPolicy(input: PolicyInput, { hosts, trusted, cache }: ProvisionInput): Policy {
  const own = [input.worktree, input.scratch, ...(trusted ? [cache] : [])].map(realpath);
  const shared = common({ ...input, dependencies: [] }, own);
  const open = trusted ? REGISTRY_CREDENTIALS.map((path) => join(input.home, path)).filter(existsSync) : [];
  return {
    ...shared,
    name: 'provision',
    allowWrite: own,
    allowRead: [...shared.allowRead, ...open.map(realpath)],
    ...reachable(hosts.map(asUrl)),
    ...(trusted ? { cache } : {}),
  };
}

const asUrl = (host: string): string => (host.includes('://') ? host : `tcp://${host}`);

/** What every command in the sandbox has in common: what is closed, and what is open in it. */
function common(
  input: PolicyInput,
  own: readonly string[],
): Pick<Policy, 'denyWrite' | 'denyRead' | 'allowRead' | 'instead'> {
  const { home, checkout, records, tools = [], git } = input;
  const inHome = (path: string): string => (path.startsWith('~/') ? join(home, path.slice(2)) : path);
  const places = [
    home,
    checkout,
    tmpdir(),
    ...MACHINE,
    input.kimiHomes,
    // Other runs: their worktrees, which wait in the pool, and what is on record of them.
    dirname(input.worktree),
    ...(records === undefined ? [] : [git === undefined ? records : dirname(records)]),
    ...(input.ours ?? []),
    input.userKimi,
    ...(input.claudeHome === undefined ? [] : [input.claudeHome]),
  ];
  const { closed, open } = reach(places, {
    open: [...tools, join(checkout, 'node_modules'), ...(input.allowRead ?? []).map(inHome), ...(git?.open ?? [])],
    // A home that is the whole machine cannot be closed, but its secrets can.
    never: [...SECRETS.map((path) => join(home, path)), ...input.denyRead.map(inHome)],
  });
  return {
    denyWrite: [join(realpath(input.worktree), '.git'), ...(input.dependencies ?? []).map(realpath)],
    denyRead: closed,
    allowRead: [...new Set([...own, ...open])],
    instead: git?.instead ?? [],
  };
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
