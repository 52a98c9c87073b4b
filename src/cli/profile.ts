import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { planHome } from '../flavour/home.ts';
import { addProfile, currentProfile, listProfiles, loadProfile, useProfile } from '../profile/profile.ts';
import { QuotaBook, serviceUsage } from '../profile/quota.ts';
import type { World } from '../world.ts';
import { repoOf } from './look.ts';

const configOf = (world: World): string => world.env.XDG_CONFIG_HOME ?? join(world.env.HOME ?? '/', '.config');

/** `profile list|show [name]|use <name>|add <name> key=value...` */
export async function profileCommand(
  world: World,
  args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  const [verb = 'list', name, ...rest] = args;
  const config = configOf(world);
  const checkout = await repoOf(world).then(
    (repo) => repo.root,
    () => undefined,
  );
  const current = currentProfile(config, checkout);
  if (verb === 'list') {
    const names = listProfiles(config);
    if (options.json === true) world.out(`${JSON.stringify({ version: 1, current, profiles: names })}\n`);
    else for (const item of names) world.out(`${item === current ? '* ' : '  '}${item}\n`);
    return 0;
  }
  if (verb === 'show') {
    const profile = loadProfile(name ?? current, config);
    if (options.json === true) world.out(`${JSON.stringify(profile)}\n`);
    else for (const [key, value] of Object.entries(profile)) world.out(`${key} = ${JSON.stringify(value)}\n`);
    return 0;
  }
  if (verb !== 'use' && verb !== 'add')
    throw refuse('usage', `profile does not know "${verb}".`, 'profile list, show, use or add');
  if (name === undefined)
    throw refuse('usage', `profile ${verb} needs a name.`, `One of: ${listProfiles(config).join(', ')}`);
  if (verb === 'add') addProfile(name, Object.fromEntries(rest.map(pair)), config);
  else useProfile(name, config);
  if (options.json === true) world.out(`${JSON.stringify({ version: 1, profile: name })}\n`);
  else world.out(verb === 'add' ? `Profile ${name} is kept.\n` : `Runs use ${name} now.\n`);
  return 0;
}

/** `steps=40`, `hosts=a.com,b.com`, `setup=make x`: numbers, lists and texts by what they look like. */
function pair(text: string): [string, unknown] {
  const at = text.indexOf('=');
  if (at < 1)
    throw refuse('usage', `"${text}" is not key=value.`, 'kimi-dispatch profile add careful steps=40 wallSeconds=900');
  const [key, value] = [text.slice(0, at), text.slice(at + 1)];
  if (['hosts', 'verifyHosts', 'denyRead', 'allowRead', 'provisionHosts', 'mcp'].includes(key))
    return [key, value.split(',')];
  if (value === 'true' || value === 'false') return [key, value === 'true'];
  return [key, /^\d+(\.\d+)?$/.test(value) ? Number(value) : value];
}

/** `quota`: the requests of the last seven days, counted here; `--live` also asks the service. */
export async function quotaCommand(
  world: World,
  _args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  const config = configOf(world);
  const name = currentProfile(config);
  const { requestsPerWeek: limit } = loadProfile(name, config);
  const home = planHome(world.env, { steps: 1, attempts: 1 });
  const week = new QuotaBook(world.env).week(home.account, world.now().getTime());
  const live = options.live === true ? await askService(home.config) : undefined;
  if (options.json === true) {
    world.out(`${JSON.stringify({ version: 1, profile: name, ...week, limit, live })}\n`);
    return 0;
  }
  world.out(
    `${week.used} requests in the last seven days${limit === undefined ? '' : ` of ${limit} (profile ${name})`}\n`,
  );
  if (options.live === true)
    world.out(
      live === undefined
        ? 'The service did not tell its usage.\n'
        : `The service says: ${Math.round(live * 100)} % used\n`,
    );
  return 0;
}

async function askService(config: string): Promise<number | undefined> {
  const base = /base_url = "([^"]+)"/.exec(config)?.[1];
  const key = /api_key = "([^"]+)"/.exec(config)?.[1];
  return base === undefined || key === undefined ? undefined : serviceUsage(base, key);
}
