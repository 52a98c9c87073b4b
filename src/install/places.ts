import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

type Env = Readonly<Record<string, string | undefined>>;

export interface InstallPlaces {
  /** The Claude home that is installed into; links in it are followed. */
  readonly claude: string;
  /** The program stays here, put there by npm. */
  readonly runtime: string;
  /** A marketplace of our own, for `--as plugin`. */
  readonly marketplace: string;
  readonly lock: string;
}

/** Where things go: `CLAUDE_CONFIG_DIR`, else `~/.claude`; for a project its `.claude`. */
export function installPlaces(env: Env, project: string | undefined): InstallPlaces {
  const home = env.HOME ?? '/';
  const claude = project === undefined ? (env.CLAUDE_CONFIG_DIR ?? join(home, '.claude')) : join(project, '.claude');
  const data = join(env.XDG_DATA_HOME ?? join(home, '.local', 'share'), 'kimi-dispatch');
  const state = join(env.XDG_STATE_HOME ?? join(home, '.local', 'state'), 'kimi-dispatch');
  return {
    claude: existsSync(claude) ? realpathSync(claude) : claude,
    runtime: join(data, 'runtime'),
    marketplace: join(data, 'marketplace'),
    lock: join(state, 'install.lock'),
  };
}

/** The folder of the plugin inside a Claude home: loaded without touching settings.json. */
export const pluginFolder = (claude: string): string => join(claude, 'skills', 'kimi-dispatch');
export const manifestFile = (claude: string): string => join(pluginFolder(claude), 'installed.json');
/** The program inside the runtime, as npm lays it out. */
export const programIn = (runtime: string): string => join(runtime, 'node_modules', 'kimi-dispatch');
