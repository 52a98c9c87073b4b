import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where the Kimi program is: `$KIMI_BIN`, else `kimi` on PATH; its real path, or undefined. Starts nothing. */
export function locateKimi(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const wanted = env.KIMI_BIN ?? 'kimi';
  const candidates = wanted.includes('/')
    ? [wanted]
    : (env.PATH ?? '').split(delimiter).map((folder) => join(folder, wanted));
  const found = candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return statSync(file).isFile();
    } catch {
      return false;
    }
  });
  return found === undefined ? undefined : realpathSync(found);
}
