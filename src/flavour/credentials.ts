import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { listStranger, readStranger, replaceStranger } from '../files.ts';

const CAP = 1024 * 1024;
const MOST = 100;

/**
 * Remembers the user's Kimi logins, which a run can write because refresh tokens rotate. The function that comes back
 * puts a login back that something else than a token refresh has changed, and says so. A login that is gone stays so: the
 * user may have logged out.
 */
export function keepCredentials(source: string): () => string[] {
  const folder = join(source, 'credentials');
  const before = new Map<string, string>();
  for (const { name } of listStranger(folder, MOST)) {
    const text = textOf(join(folder, name));
    if (text !== undefined) before.set(name, text);
  }
  return () => {
    const notes: string[] = [];
    for (const [name, text] of before) {
      const file = join(folder, name);
      if (lstatSync(file, { throwIfNoEntry: false }) === undefined || isRefresh(text, textOf(file))) continue;
      replaceStranger(file, text);
      notes.push(`${file} was changed by something else than a token refresh; it is again what it was`);
    }
    return notes;
  };
}

const textOf = (file: string): string | undefined => readStranger(file, { cap: CAP })?.toString('utf8');

/** A refreshed login has all that the old one had, and tokens. */
function isRefresh(before: string, now: string | undefined): boolean {
  if (now === before) return true;
  const [old, fresh] = [objectIn(before), objectIn(now ?? '')];
  if (old === undefined || fresh === undefined) return false;
  const tokens = ['access_token', 'refresh_token'].every((key) => typeof fresh[key] === 'string' && fresh[key] !== '');
  return tokens && Object.keys(old).every((key) => key in fresh);
}

function objectIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
