/** A git remote in its parts, decoded: what is the same place is the same here, however it is written. */
interface Address {
  readonly way: string;
  readonly user: string;
  readonly host: string;
  readonly port: string;
  /** Paths of an ssh login that begin at its home folder are other places than those from the root. */
  readonly fromRoot: boolean;
  readonly parts: readonly string[];
  /** True when it names one repository (`.git`), below which lies nothing. */
  readonly whole: boolean;
}

const PORTS: Readonly<Record<string, string>> = { http: '80', https: '443', ssh: '22', git: '9418', file: '' };
const HOST = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])$/;

/** Reads an address as git does; nothing for one that programs could read in two ways. */
export function readAddress(text: string): Address | undefined {
  // Control characters, and the transport helpers of git (`ext::`).
  if (/[\0-\x1f\x7f\\]|^[a-z0-9+.-]+::/i.test(text)) return undefined;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return /[^\x21-\x7e]|[?#]/.test(text) ? undefined : fromUrl(text);
  if (text.startsWith('/')) return withPath({ way: 'file', user: '', host: '', port: '' }, text, false);
  const short = /^(?:([\w.-]+)@)?([\w.-]+|\[[0-9a-f:]+\]):(.*)$/i.exec(text);
  if (short === null) return undefined;
  const [, user = '', host = '', path = ''] = short;
  return withPath({ way: 'ssh', user, host: host.toLowerCase(), port: '22' }, path, false);
}

function fromUrl(text: string): Address | undefined {
  const found = /^([a-z][a-z0-9+.-]*):\/\/(?:([^@/]*)@)?([^@/:]*|\[[^\]@/]*\])(?::(\d*))?(\/.*)?$/i.exec(text);
  if (found === null) return undefined;
  const [, scheme = '', login = '', host = '', port = '', path = '/'] = found;
  const way = scheme.toLowerCase();
  const usual = PORTS[way];
  if (usual === undefined || (way === 'file' && host !== '')) return undefined;
  // For http a login is a credential, not a place.
  const user = way === 'ssh' ? (login.split(':')[0] ?? '') : '';
  if (user !== '' && !/^[\w.-]+$/.test(user)) return undefined;
  const wanted = port === '' ? usual : String(Number(port));
  return withPath({ way, user, host: host.toLowerCase(), port: wanted }, path, true);
}

function withPath(
  start: Pick<Address, 'way' | 'user' | 'host' | 'port'>,
  path: string,
  decode: boolean,
): Address | undefined {
  if (start.way !== 'file' && !HOST.test(start.host)) return undefined;
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map((part) => (decode ? decoded(part) : part));
  // A part that decodes to several, leads upwards, or could be decoded once more is a trick.
  if (parts.some((part) => part === undefined || /^\.{1,2}$|[/\\\0-\x1f]|%[0-9a-f]{2}/i.test(part))) return undefined;
  const whole = parts.at(-1)?.endsWith('.git') === true;
  const plain = (parts as string[]).map((part, at) => (at === parts.length - 1 ? part.replace(/\.git$/, '') : part));
  return { ...start, fromRoot: path.startsWith('/'), parts: plain, whole };
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

/**
 * Whether an address is one that a setting names, or lies below it: the ways, users, hosts and ports are the same, and
 * whole parts of the path are. False for an address that cannot be read in one way only.
 */
export function isBelow(address: string, start: string): boolean {
  const [one, other] = [readAddress(address), readAddress(start)];
  if (one === undefined || other === undefined) return false;
  for (const name of ['way', 'user', 'host', 'port'] as const) if (one[name] !== other[name]) return false;
  if (other.parts.length > 0 && one.fromRoot !== other.fromRoot) return false;
  if (other.whole && one.parts.length !== other.parts.length) return false;
  return other.parts.every((part, at) => part === one.parts[at]);
}
