import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { refuse } from '../errors.ts';
import { ask } from '../process/ask.ts';
import { commandFiles, pluginFiles } from './content.ts';
import type { InstallPlaces } from './places.ts';

type Env = Readonly<Record<string, string>>;

/** `--as plugin`: a marketplace of our own in a place that stays, because a directory marketplace runs in place. */
export async function addPlugin(root: string, places: InstallPlaces, env: Env): Promise<void> {
  const folder = places.marketplace;
  rmSync(folder, { recursive: true, force: true });
  for (const file of [...commandFiles(root), ...pluginFiles(root, places.runtime)]) {
    const path = join(folder, 'plugin', file.path);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, file.text, { mode: file.executable ? 0o755 : 0o644 });
  }
  const market = {
    name: 'kimi-dispatch',
    description: 'The kimi-dispatch that was installed on this machine.',
    owner: { name: 'kimi-dispatch' },
    plugins: [{ name: 'kimi-dispatch', source: './plugin', description: 'Delegate approved plans to Kimi.' }],
  };
  mkdirSync(join(folder, '.claude-plugin'), { recursive: true });
  writeFileSync(join(folder, '.claude-plugin', 'marketplace.json'), `${JSON.stringify(market, null, 2)}\n`);
  await claude(['plugin', 'marketplace', 'add', folder], env);
  await claude(['plugin', 'install', 'kimi-dispatch@kimi-dispatch'], env);
}

/** Undoes `addPlugin` by the client's own commands. */
export async function removePlugin(env: Env): Promise<void> {
  await claude(['plugin', 'uninstall', 'kimi-dispatch@kimi-dispatch'], env);
  await claude(['plugin', 'marketplace', 'remove', 'kimi-dispatch'], env);
}

async function claude(args: readonly string[], env: Env): Promise<void> {
  const said = await ask('claude', args, env, 120_000);
  if (said.code === 0) return;
  throw refuse(
    'preflight',
    `claude ${args.join(' ')} failed: ${(said.stderr || said.stdout).trim().slice(-400) || 'no `claude` on PATH'}`,
    'Install Claude Code, or use --as files.',
  );
}
