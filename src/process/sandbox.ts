import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Policy } from './policy.ts';
import { bootId, probeFile } from './proven.ts';
import { type ProcessCall, type ProcessEnd, runProcess } from './run.ts';
import { seccompFilter } from './seccomp.ts';

/** What the host process reads: the library's configuration and one shell command. */
export interface HostCall {
  readonly config: {
    readonly network: { allowedDomains: string[]; deniedDomains: string[] };
    readonly filesystem: { denyRead: string[]; allowRead: string[]; allowWrite: string[]; denyWrite: string[] };
    readonly seccomp?: { applyPath: string };
    readonly bwrapPath?: string;
    readonly javaAgentJarPath: string;
  };
  readonly command: string;
  /** Where refused hosts are written, one a line. */
  readonly denials: string;
}

/** A sandbox that may be used: where its host program lies, and a private folder that goes with the run. */
export interface Sandbox {
  readonly program: string;
  readonly scratch: string;
}

/** Makes the private folder of a run's sandbox. Its path is short: sockets lie in it, and theirs are limited to 108 bytes. */
export const openSandbox = (root: string, run: string): Sandbox => ({
  program: hostProgram(root),
  scratch: mkdtempSync(join(tmpdir(), `kd-${run}-`)),
});

export const closeSandbox = (sandbox: Sandbox): void =>
  rmSync(sandbox.scratch, { recursive: true, force: true, maxRetries: 3 });

const hostProgram = (root: string): string => join(root, 'dist', 'sandbox-host.js');

export interface SandboxedEnd extends ProcessEnd {
  /** `host:port` of every connection that was refused. */
  readonly denied: readonly string[];
}

/** Runs one program inside the sandbox, as `runProcess` runs it outside. */
export async function runSandboxed(sandbox: Sandbox, policy: Policy, call: ProcessCall): Promise<SandboxedEnd> {
  const own = mkdtempSync(join(sandbox.scratch, 'h-'));
  const inside = join(sandbox.scratch, policy.name);
  const sockets = join(own, 's');
  for (const folder of [join(own, 'empty'), sockets, join(inside, 'tmp'), join(inside, 'cache')])
    mkdirSync(folder, { recursive: true });
  const host: HostCall = {
    config: {
      network: {
        allowedDomains: [...policy.hosts, ...policy.loopback.map((port) => `127.0.0.1:${port}`)],
        deniedDomains: [],
      },
      filesystem: {
        denyRead: [...policy.denyRead],
        // Of the private folder only what may be written and the sockets of the proxy.
        allowRead: [...policy.allowRead.filter((path) => path !== sandbox.scratch), sockets, dirname(sandbox.program)],
        // The folder of the host process, with its sockets and this file, is not among them.
        allowWrite: [...policy.allowWrite.filter((path) => path !== sandbox.scratch), inside],
        denyWrite: [...policy.denyWrite],
      },
      ...helpers(dirname(sandbox.program)),
      ...(process.platform === 'linux' ? { bwrapPath: writeWrapper(own, policy) } : {}),
    },
    command: shellCommand(call, policy, inside),
    denials: join(own, 'denials'),
  };
  const file = join(own, 'call.json');
  writeFileSync(file, JSON.stringify(host), { mode: 0o600 });
  // Its stdin is read inside, by the shell.
  const { stdinFile: _inside, ...outer } = call;
  const end = await runProcess({
    ...outer,
    file: process.execPath,
    args: [sandbox.program, file],
    // With the worktree as its folder the library would leave mount stubs in it.
    cwd: join(own, 'empty'),
    env: { ...call.env, TMPDIR: sockets },
    lifeline: true,
  });
  const denied = existsSync(host.denials) ? readFileSync(host.denials, 'utf8').split('\n').filter(Boolean) : [];
  rmSync(own, { recursive: true, force: true });
  return { ...end, ending: told(end), denied };
}

/** What a command may write into a closed folder, which is memory and is gone afterwards. */
const CLOSED_BYTES = 1024 * 1024 * 1024;

/**
 * bubblewrap with what the library does not ask for: no shared memory or message queues of others, no host name, a second
 * filter of system calls, and files seen in the place of others. The last mounts win, so they stand just before the command.
 */
function writeWrapper(folder: string, { instead }: Policy): string {
  const file = join(folder, 'bwrap');
  const filter = seccompFilter(process.arch);
  if (filter !== undefined) writeFileSync(join(folder, 'filter'), filter);
  // The library shares this folder among all its commands.
  const shared = existsSync('/tmp/claude') ? ['--tmpfs', '/tmp/claude'] : [];
  const mounts = [...shared, ...instead.flatMap(({ of, seen }) => ['--ro-bind', seen, of])].map(quote).join(' ');
  const text = `#!/bin/bash
sized=; bwrap --help 2>&1 | grep -q -- --size && sized=yes
args=()
mounts=(${mounts})
for word in "$@"; do
  [ "$word" = --tmpfs ] && [ -n "$sized" ] && args+=(--size ${CLOSED_BYTES})
  # Behind it stands the command.
  [ "$word" = -- ] && args+=("\${mounts[@]}") && mounts=() && sized=
  args+=("$word")
done
${filter === undefined ? 'exec bwrap' : `exec bwrap --seccomp 9 9<${quote(join(folder, 'filter'))}`} --unshare-ipc --unshare-uts "\${args[@]}"
`;
  writeFileSync(file, text, { mode: 0o700 });
  return file;
}

/** Through two shells a signal arrives as 128 + its number. */
function told(end: ProcessEnd): ProcessEnd['ending'] {
  const { ending } = end;
  if (ending.kind !== 'exited' || ending.code <= 128 || ending.code > 159) return ending;
  return { kind: 'signalled', signal: `signal ${ending.code - 128}` };
}

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** A relay that does not listen yet loses the first connection; it has a second to begin. */
const waitFor = (port: number): string =>
  `for i in $(seq 100); do (: < /dev/tcp/127.0.0.1/${port}) 2>/dev/null && break; sleep 0.01; done`;

/**
 * For a root caller the library leaves /proc/sys writable inside, and with it the core pattern, which the kernel runs
 * outside. It is closed, and then every capability that could open it again is given up.
 */
const AS_ROOT = ['mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys || exit 125'];
const POWERLESS = 'setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all --no-new-privs -- ';

function shellCommand(call: ProcessCall, policy: Policy, inside: string): string {
  const set = {
    TMPDIR: join(inside, 'tmp'),
    XDG_CACHE_HOME: policy.cache ?? join(inside, 'cache'),
    npm_config_cache: join(policy.cache ?? join(inside, 'cache'), 'npm'),
    YARN_CACHE_FOLDER: join(policy.cache ?? join(inside, 'cache'), 'yarn'),
    npm_config_update_notifier: 'false',
  };
  // A loopback address is never proxied by the programs themselves, so a relay listens for it inside.
  const relays = policy.loopback.map(
    (port) =>
      `socat TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr "PROXY:localhost:127.0.0.1:${port},proxyport=3128,proxyauth=$auth" >/dev/null 2>&1 &`,
  );
  return [
    ...(relays.length === 0
      ? []
      : ['auth=$' + '{HTTP_PROXY#http://}', 'auth=$' + '{auth%%@*}', ...relays, ...policy.loopback.map(waitFor)]),
    // Yarn 2 and newer look for names of their own.
    'export YARN_HTTP_PROXY="$HTTP_PROXY" YARN_HTTPS_PROXY="$HTTPS_PROXY"',
    ...Object.entries(set).map(([name, value]) => `export ${name}=${quote(value)}`),
    `cd ${quote(call.cwd)} || exit 126`,
    ...(process.getuid?.() === 0 && process.platform === 'linux' ? AS_ROOT : []),
    `exec ${process.getuid?.() === 0 && process.platform === 'linux' ? POWERLESS : ''}${[call.file, ...call.args].map(quote).join(' ')}${call.stdinFile === undefined ? '' : ` < ${quote(call.stdinFile)}`}`,
  ].join('\n');
}

/** The library's own helpers, which the build lays beside the host program; told, because looking for them is slow. */
function helpers(dist: string): Pick<HostCall['config'], 'seccomp' | 'javaAgentJarPath'> {
  const applyPath = join(dist, 'sandbox', process.arch, 'apply-seccomp');
  const javaAgentJarPath = join(dist, 'sandbox', 'srt-proxy-agent.jar');
  return { ...(existsSync(applyPath) ? { seccomp: { applyPath } } : {}), javaAgentJarPath };
}

export interface Probe {
  readonly works: boolean;
  /** Why it does not, in one line. */
  readonly reason: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Whether the sandbox works here, shown by running something in it: a file outside cannot be written, a closed one
 * cannot be read, an unlisted host is refused. A yes is kept until the machine starts again or bwrap changes.
 */
export async function probeSandbox(root: string, env: Env): Promise<Probe> {
  const key = `${bootId() ?? 'unknown'} ${fingerprint(env)} ${fingerprint({ PATH: dirname(hostProgram(root)) }, 'sandbox-host.js')}`;
  const known = readProbe(probeFile(env));
  if (known?.key === key) return known;
  const probe = await tryIt(root, env);
  if (!probe.works) return probe;
  const text = JSON.stringify({ boot: bootId(), key, ...probe });
  try {
    mkdirSync(dirname(probeFile(env)), { recursive: true });
    writeFileSync(probeFile(env), text, { mode: 0o600 });
  } catch {
    // It is asked again next time.
  }
  return probe;
}

function readProbe(file: string): (Probe & { key: string }) | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

function fingerprint(env: Env, name = 'bwrap'): string {
  for (const folder of (env.PATH ?? '').split(':')) {
    // A folder of somebody else's may stand on PATH.
    if (!existsSync(join(folder, name))) continue;
    const stat = statSync(join(folder, name));
    return `${folder} ${stat.size} ${stat.mtimeMs}`;
  }
  return 'none';
}

const PARTS = 'apt-get install bubblewrap socat ripgrep (Debian, Ubuntu)';

async function tryIt(root: string, env: Env): Promise<Probe> {
  if (process.platform === 'linux') {
    const missing = ['bwrap', 'socat', 'rg'].filter((name) => fingerprint(env, name) === 'none');
    if (missing.length > 0) return { works: false, reason: `${missing.join(', ')} not installed: ${PARTS}` };
  }
  const sandbox = openSandbox(root, 'probe');
  try {
    const closedFile = join(sandbox.scratch, 'closed');
    const outside = join(sandbox.scratch, 'outside');
    const open = join(sandbox.scratch, 'open');
    mkdirSync(open);
    writeFileSync(closedFile, 'closed');
    const script = `touch ${quote(join(open, 'written'))}; touch ${quote(outside)}; grep -q closed ${quote(closedFile)} && touch ${quote(join(open, 'read'))}; exit 7`;
    const policy: Policy = {
      name: 'verification',
      allowWrite: [open],
      denyWrite: [],
      denyRead: [closedFile],
      allowRead: [],
      instead: [],
      hosts: [],
      loopback: [],
    };
    const end = await runSandboxed(sandbox, policy, {
      file: '/bin/sh',
      args: ['-c', script],
      cwd: open,
      env: { PATH: env.PATH ?? '', HOME: env.HOME ?? '/' },
      // Two probes at once must not end each other's processes.
      marker: basename(sandbox.scratch),
      wallMs: 20_000,
      stdoutFile: join(sandbox.scratch, 'log'),
      stderrFile: join(sandbox.scratch, 'log'),
    });
    const said = end.stderrTail.trim().split('\n').at(-1)?.slice(0, 200) ?? '';
    if (end.ending.kind !== 'exited' || end.ending.code !== 7 || !existsSync(join(open, 'written')))
      return { works: false, reason: `it does not start here: ${said || 'no exit code'}` };
    const leaky = existsSync(outside) || existsSync(join(open, 'read'));
    return leaky ? { works: false, reason: 'it starts, and does not hold' } : { works: true, reason: '' };
  } finally {
    closeSandbox(sandbox);
  }
}
