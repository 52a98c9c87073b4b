import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Sessions } from '../session/store.ts';
import type { World } from '../world.ts';
import { repoOf } from './look.ts';
import { refuseTogether } from './taken.ts';

/** `hook`: the latest decisions and why; `--off` and `--on` are the switch of this repository. */
export async function hookCommand(
  world: World,
  _args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  refuseTogether('hook', options, ['explain', 'off', 'on']);
  if (options.off === true || options.on === true) {
    const { commonDir } = await repoOf(world);
    const file = join(commonDir, 'kimi-dispatch', 'off');
    if (options.on === true) rmSync(file, { force: true });
    else {
      mkdirSync(join(commonDir, 'kimi-dispatch'), { recursive: true });
      writeFileSync(file, '');
    }
    world.out(`Offers in this repository are ${options.on === true ? 'on' : 'off'}.\n`);
    return 0;
  }
  const lines = new Sessions(world.env, world.now).decisions().slice(-20);
  if (lines.length === 0)
    world.out('The hooks have decided nothing yet. Restart Claude Code after `kimi-dispatch install`.\n');
  for (const line of lines)
    world.out(
      `${String(line.t).slice(0, 19)}  ${String(line.event ?? '-')}${line.tool === undefined ? '' : ` ${String(line.tool)}`}: ${String(line.why)}\n`,
    );
  return 0;
}
