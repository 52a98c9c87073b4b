import { exitOfOutcome } from '../errors.ts';
import { allow } from '../review/allow.ts';
import { presentResult } from '../review/present.ts';
import { requirePrincipal } from '../run/project.ts';
import type { World } from '../world.ts';
import { readPatch, runNamed } from './look.ts';

const words = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((word): word is string => typeof word === 'string') : [];

/** `allow <run> PATH...`: a person accepts what the spec did not declare; the result is judged again. */
export async function allowCommand(
  world: World,
  args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  const { repo, run } = await runNamed(world, args[0]);
  requirePrincipal(repo, world.env, 'Allowing');
  const { env, root, now } = world;
  const result = await allow({ repo, run, env, root, now, paths: args.slice(1), tests: words(options.tests) });
  if (options.json === true) world.out(`${JSON.stringify(result, null, 2)}\n`);
  else world.out(`${presentResult(result, readPatch(result.files.patch))}\n`);
  return exitOfOutcome(result.outcome);
}
