import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parse, stringify, type TomlTable } from 'smol-toml';
import { refuse } from '../errors.ts';
import { replaceStranger } from '../files.ts';
import type { FlavourName } from './flavour.ts';
import { copyKept, DEFAULT_KEEPS, type Keeps, keptOf } from './keeps.ts';

type Env = Readonly<Record<string, string | undefined>>;
type Table = Record<string, unknown>;

/** Tools that can make a headless run endless, or that wait for a person. */
const TOOLS_OFF = [
  'CreateGoal',
  'UpdateGoal',
  'GetGoal',
  'SetGoalBudget',
  'CronCreate',
  'CronDelete',
  'CronList',
  'EnterPlanMode',
  'ExitPlanMode',
  'AskUserQuestion',
];
/** The parts of the user's config that say which model to call; everything else is left behind. */
const CARRIED = ['default_model', 'providers', 'models', 'services', 'thinking', 'default_thinking'];

export interface HomePlan {
  readonly config: string;
  readonly digest: string;
  readonly source: string;
  /** Every address in the carried config: the hosts that Kimi needs. */
  readonly urls: readonly string[];
  /** True where a provider logs in by tokens that rotate, and not by a key. */
  readonly login: boolean;
  /** Names the account without telling its key: quota is counted for each. */
  readonly account: string;
  /** What is copied from the user's home, and the MCP servers that are kept, by name. */
  readonly copies: readonly string[];
  readonly servers: Readonly<Record<string, unknown>>;
  /** What of the user's Kimi stays behind, for people. */
  readonly left: readonly string[];
}

/** The user's Kimi home: `$KIMI_CODE_HOME`, else `~/.kimi-code`; of the older client `$KIMI_SHARE_DIR`, else `~/.kimi`. */
export const userHome = (env: Env, flavour: FlavourName = 'kimi-code'): string =>
  flavour === 'kimi-code'
    ? (env.KIMI_CODE_HOME ?? join(env.HOME ?? '/', '.kimi-code'))
    : (env.KIMI_SHARE_DIR ?? join(env.HOME ?? '/', '.kimi'));

/**
 * Computes the config of a run's home from the user's. Keys named by `api_key_env` are written into the private
 * file, because everything in the environment is visible to the worker's shell.
 */
export function planHome(
  env: Env,
  limits: { steps: number; attempts: number; swarm?: boolean; keeps?: Keeps },
  flavour: FlavourName = 'kimi-code',
): HomePlan {
  const source = userHome(env, flavour);
  const user = readConfig(join(source, 'config.toml'));
  const carried: Table = {};
  for (const name of CARRIED) if (user[name] !== undefined) carried[name] = user[name];
  addModelFromEnvironment(carried, env);
  requireLogin(carried, source, env);
  const kept = keptOf(source, user, limits.keeps ?? DEFAULT_KEEPS, flavour);
  const off = [...new Set([...TOOLS_OFF, ...(limits.swarm === true ? [] : ['AgentSwarm']), ...kept.toolsOff])];
  const older = {
    ...carried,
    telemetry: false,
    loop_control: { max_steps_per_turn: limits.steps, max_retries_per_step: limits.attempts },
    background: { keep_alive_on_exit: false },
  };
  const current = {
    ...carried,
    ...kept.config,
    telemetry: false,
    default_plan_mode: false,
    loop_control: { max_steps_per_turn: limits.steps, max_attempts_per_step: limits.attempts },
    tools: { disabled: off },
    task: { print_background_mode: 'exit' },
  };
  const config = stringify((flavour === 'kimi-code' ? current : older) as TomlTable);
  return {
    config,
    digest: createHash('sha256').update(config).digest('hex'),
    source,
    urls: [...urlsIn(carried), ...kept.urls],
    login: Object.values((carried.providers ?? {}) as Record<string, Table>).some(({ oauth }) => oauth !== undefined),
    account: accountOf(carried),
    copies: kept.copies,
    servers: kept.servers,
    left: kept.left,
  };
}

function accountOf(config: Table): string {
  const model = (config.models as Record<string, Table> | undefined)?.[String(config.default_model)];
  const provider = (config.providers as Record<string, Table> | undefined)?.[String(model?.provider)];
  const slot = (provider?.oauth as Table | undefined)?.key ?? '';
  const name = `${String(provider?.base_url ?? '')} ${String(slot)} ${String(provider?.api_key ?? '')}`;
  return createHash('sha256').update(name).digest('hex').slice(0, 12);
}

function urlsIn(value: unknown): string[] {
  if (typeof value === 'string') return /^https?:\/\//.test(value) ? [value] : [];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(urlsIn) : [];
}

function readConfig(file: string): Table {
  if (!existsSync(file)) return {};
  try {
    return parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw refuse(
      'preflight',
      `Kimi's config is not valid TOML: ${file}: ${String(error).split('\n')[0]}`,
      `kimi doctor config ${file}`,
    );
  }
}

/** `KIMI_MODEL_NAME` and its kin make a provider of their own (kimi-code docs, env-vars). */
function addModelFromEnvironment(config: Table, env: Env): void {
  const { KIMI_MODEL_NAME: model, KIMI_MODEL_API_KEY: key } = env;
  if (model === undefined || key === undefined) return;
  const type = env.KIMI_MODEL_PROVIDER_TYPE ?? 'kimi';
  const base = env.KIMI_MODEL_BASE_URL;
  config.providers = {
    ...(config.providers as Table | undefined),
    environment: { type, api_key: key, ...(base === undefined ? {} : { base_url: base }) },
  };
  config.models = {
    ...(config.models as Table | undefined),
    environment: {
      provider: 'environment',
      model,
      max_context_size: Number(env.KIMI_MODEL_MAX_CONTEXT_SIZE ?? 262144),
      capabilities: (env.KIMI_MODEL_CAPABILITIES ?? 'tool_use').split(','),
    },
  };
  config.default_model = 'environment';
}

const LOGIN = 'Start `kimi` and type /login; or set KIMI_MODEL_NAME and KIMI_MODEL_API_KEY.';

function requireLogin(config: Table, source: string, env: Env): void {
  const models = (config.models ?? {}) as Record<string, Table>;
  const providers = (config.providers ?? {}) as Record<string, Table>;
  const name = String(config.default_model ?? '');
  const model = models[name];
  if (model === undefined)
    throw refuse('preflight', `Kimi has no model configured (${join(source, 'config.toml')}).`, LOGIN);
  for (const provider of Object.values(providers)) {
    const variable = provider.api_key_env;
    if (typeof variable !== 'string' || env[variable] === undefined) continue;
    delete provider.api_key_env;
    provider.api_key = env[variable];
  }
  const provider = providers[String(model.provider)];
  if (provider === undefined) throw refuse('preflight', `Kimi's model ${name} names an unknown provider.`, LOGIN);
  const slot = (provider.oauth as Table | undefined)?.key;
  const stored = typeof slot === 'string' && existsSync(join(source, 'credentials', `${slot}.json`));
  if (typeof provider.api_key === 'string' || provider.env !== undefined || stored) return;
  throw refuse('preflight', `Kimi is not logged in (provider ${String(model.provider)} has no credential).`, LOGIN);
}

/**
 * Makes the run's home, mode 0700, and makes it again before a later attempt: it is Kimi's to write, so whatever it put
 * in these places is replaced and never followed. `credentials/` and `oauth/` are links to the user's folders: refresh
 * tokens rotate, and copies (also of single files) blank one another. Refuses where the home itself is a link.
 */
export function makeHome(home: string, plan: HomePlan): void {
  mkdirSync(home, { recursive: true, mode: 0o700 });
  if (!lstatSync(home).isDirectory())
    throw refuse('wrong-state', `The Kimi home of this run was replaced by a link: ${home}`, `rm ${home}`);
  replaceStranger(join(home, 'config.toml'), plan.config);
  copyKept(home, plan.source, plan.copies);
  if (Object.keys(plan.servers).length > 0)
    replaceStranger(join(home, 'mcp.json'), JSON.stringify({ mcpServers: plan.servers }));
  for (const folder of ['credentials', 'oauth'])
    if (existsSync(join(plan.source, folder))) linkTo(join(plan.source, folder), join(home, folder));
  const device = join(plan.source, 'device_id');
  if (existsSync(device)) replaceStranger(join(home, 'device_id'), readFileSync(device, 'utf8'));
}

/** Where what Kimi is told lies, outside its home: it can read there and not write. */
export const briefsOf = (home: string): string => join(dirname(dirname(home)), 'briefs', basename(home));

/** Removes the home of a run and its briefs; links in it lead nowhere for us. A run from elsewhere has none. */
export function dropHome(home: string): void {
  if (home === '') return;
  for (const folder of [home, briefsOf(home)]) rmSync(folder, { recursive: true, force: true });
}

function linkTo(target: string, at: string): void {
  const there = lstatSync(at, { throwIfNoEntry: false });
  if (there?.isSymbolicLink() === true) {
    if (readlinkSync(at) === target) return;
    unlinkSync(at);
  } else rmSync(at, { recursive: true, force: true });
  symlinkSync(target, at, 'dir');
}
