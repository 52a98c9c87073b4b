import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { examine } from '../install/doctor.ts';
import { carryOut, type InstallCall, planInstall, uninstall } from '../install/install.ts';
import { programIn } from '../install/places.ts';
import { versionIn } from '../install/runtime.ts';
import type { World } from '../world.ts';
import { table } from './doctor.ts';
import { repoOf } from './look.ts';
import { refuseTogether } from './taken.ts';

type Options = Record<string, unknown>;

/** `install` and `upgrade`: the plan first, then all of it or nothing. */
export const installCommand =
  (name: 'install' | 'upgrade') =>
  async (world: World, _args: readonly string[], options: Options): Promise<number> => {
    refuseTogether(name, options, ['user', 'project']);
    const project = await projectOf(world, options);
    const call: InstallCall = {
      root: world.root,
      env: world.env,
      as: options.as === 'plugin' ? 'plugin' : 'files',
      project,
      allowLook: options.allowLook === true,
    };
    const plan = planInstall(call);
    if (name === 'upgrade' && plan.before === undefined)
      throw refuse('wrong-state', `Nothing is installed in ${plan.places.claude}.`, 'npx kimi-dispatch install');
    if (world.root === programIn(plan.places.runtime))
      throw refuse('usage', 'This is the installed program itself.', `npx kimi-dispatch@latest ${name}`);
    for (const step of plan.steps) world.out(`${step}\n`);
    for (const change of plan.changes)
      if (change.do !== 'keep') world.out(`${change.do} ${join(plan.places.claude, change.path)} (${change.why})\n`);
    if (options.dryRun === true) {
      world.out('Nothing was changed.\n');
      return 0;
    }
    await carryOut(call, plan);
    const version = versionIn(world.root) ?? '';
    world.out(`kimi-dispatch ${version} is installed.\n\n`);
    const rows = await examine({ env: world.env, root: world.root, now: world.now, live: false });
    world.out(table(rows));
    world.out('\nNew sessions have it at once; in an open one: /reload-plugins\n');
    if (options.allowLook !== true)
      world.out('In plan mode looking at a result asks. To allow it: npx kimi-dispatch install --allow-look\n');
    return 0;
  };

/** `uninstall`: what is ours goes, what the user changed stays and is named. */
export async function uninstallCommand(world: World, _args: readonly string[], options: Options): Promise<number> {
  const project = await projectOf(world, options);
  const { kept, changes, claude } = await uninstall(
    { root: world.root, env: world.env, project },
    options.dryRun === true,
  );
  for (const change of changes)
    if (change.do === 'remove')
      world.out(`${options.dryRun === true ? 'would remove' : 'removed'} ${join(claude, change.path)}\n`);
  for (const path of kept) world.out(`kept ${join(claude, path)}: you changed it\n`);
  if (options.dryRun === true) world.out('Nothing was changed.\n');
  return 0;
}

const projectOf = async (world: World, options: Options): Promise<string | undefined> =>
  options.project === true ? (await repoOf(world)).root : undefined;
