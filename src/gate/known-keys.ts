import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { userHome } from '../flavour/home.ts';

/** A key of the user's own, and the file it is from. The value is compared and never shown. */
export interface KnownKey {
  readonly from: string;
  readonly value: string;
}

const SHORTEST = 12;
/** Fewer different characters are a placeholder (`xxxxxxxxxxxx`) and not a key. */
const VARIETY = 6;
const LARGEST_FILE = 1024 * 1024;

// TOML, JSON and .npmrc say it in one form: a name, a separator, a value. A file that is broken still tells.
const NAMED =
  /(?:api[_-]?key|token|password|passwd|secret|_auth)["']?\s*[:=]\s*(?:"([^"\r\n]+)"|'([^'\r\n]+)'|([^\s"',;#]+))/gi;
const IN_NETRC = /\bpassword\s+(\S+)/g;
const IN_URL = /[a-z][a-z\d+.-]*:\/\/[^\s/:@"']*:([^\s/@"']+)@/gi;
const PLACEHOLDER = /^(\$|%|<|\{|your|example|placeholder|change|dummy|insert)/i;

/** The literal keys in configuration files: values of api_key, token, password and the like, and passwords in addresses. Pure. */
export function knownKeys(texts: readonly { readonly from: string; readonly text: string }[]): KnownKey[] {
  const found = new Map<string, KnownKey>();
  for (const { from, text } of texts) {
    const named = [...text.matchAll(NAMED)].map(([, double, single, plain]) => double ?? single ?? plain ?? '');
    const inUrls = [...text.matchAll(IN_URL)].flatMap(([, password = '']) => [password, decoded(password)]);
    const inNetrc = from.endsWith('netrc') ? [...text.matchAll(IN_NETRC)].map(([, password = '']) => password) : [];
    for (const value of [...named, ...inUrls, ...inNetrc])
      if (value.length >= SHORTEST && new Set(value).size >= VARIETY && !PLACEHOLDER.test(value) && !found.has(value))
        found.set(value, { from, value });
  }
  return [...found.values()];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Reads the user's keys from the configuration of Kimi, npm, netrc and kimi-dispatch; a file that cannot be read has none. */
export function readKnownKeys(env: Readonly<Record<string, string | undefined>>): KnownKey[] {
  const home = env.HOME ?? '/';
  const files = [
    ...[userHome(env, 'kimi-code'), userHome(env, 'kimi-cli')].flatMap((kimi) => [
      join(kimi, 'config.toml'),
      ...jsonIn(join(kimi, 'credentials')),
    ]),
    join(home, '.npmrc'),
    join(home, '.netrc'),
    join(env.XDG_CONFIG_HOME ?? join(home, '.config'), 'kimi-dispatch', 'config.toml'),
  ];
  return knownKeys(
    files.flatMap((file) => {
      const text = textOf(file);
      return text === undefined
        ? []
        : [{ from: file.startsWith(`${home}/`) ? `~${file.slice(home.length)}` : file, text }];
    }),
  );
}

const jsonIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.json'))
        .map((name) => join(folder, name))
    : [];

function textOf(file: string): string | undefined {
  try {
    const stat = statSync(file);
    return stat.isFile() && stat.size <= LARGEST_FILE ? readFileSync(file, 'utf8') : undefined;
  } catch {
    return undefined;
  }
}

/** The files whose keys a changed file holds and did not hold before. */
export function keysIn(
  known: readonly KnownKey[],
  texts: { after: readonly string[]; before: readonly string[] },
): string[] {
  const holds = (all: readonly string[], value: string): boolean => all.some((text) => text.includes(value));
  const found = known.filter(({ value }) => holds(texts.after, value) && !holds(texts.before, value));
  return [...new Set(found.map(({ from }) => from))];
}
