import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { programIn } from './places.ts';

/** A file that the installer owns: path relative to the Claude home. */
export interface OwnFile {
  readonly path: string;
  readonly text: string;
  readonly executable: boolean;
}

export const COMMANDS = ['kimi-spec.md', 'kimi-dispatch.md', 'kimi-status.md'];

/** The mod: what a client that knows mods loads beside the hooks. */
const MOD = ['register.tsx', 'pure.ts', 'state.d.ts'];

const own = (path: string, text: string, executable = false): OwnFile => ({ path, text, executable });

/** The template: what no plugin can carry. */
function guidance(root: string): OwnFile[] {
  const read = (...parts: string[]): string => readFileSync(join(root, ...parts), 'utf8');
  return [own('templates/hybrid/spec-template.md', read('templates', 'spec.md'))];
}

/** The plugin: manifest, hooks, hook program, and a shim on the path of the Bash tool that starts the runtime. */
export function pluginFiles(root: string, runtime: string): OwnFile[] {
  const read = (...parts: string[]): string => readFileSync(join(root, ...parts), 'utf8');
  return [
    own('.claude-plugin/plugin.json', read('.claude-plugin', 'plugin.json')),
    own('hooks/hooks.json', read('hooks', 'hooks.json')),
    ...MOD.map((name) => own(`mod/${name}`, read('mod', name))),
    own('dist/hook.cjs', read('dist', 'hook.cjs')),
    own('rules/kimi-delegation.md', read('rules', 'kimi-delegation.md')),
    own('skills/kimi-review/SKILL.md', read('skills', 'kimi-review', 'SKILL.md')),
    own('bin/kimi-dispatch', shim(runtime), true),
    // The two script names of older setups, as thin shims over the program beside them.
    ...['kimi-wrapper.sh', 'kimi-profile-switch.sh'].map((name) => own(`bin/${name}`, read('bin', name), true)),
  ];
}

export const commandFiles = (root: string): OwnFile[] =>
  COMMANDS.map((name) => own(`commands/${name}`, readFileSync(join(root, 'commands', name), 'utf8')));

/** Everything that goes into a Claude home. `plugin`: the client's own marketplace carries commands and hooks. */
export function homeFiles(root: string, runtime: string, as: 'files' | 'plugin'): OwnFile[] {
  if (as === 'plugin') return guidance(root);
  const plugin = pluginFiles(root, runtime).map((file) => ({ ...file, path: `skills/kimi-dispatch/${file.path}` }));
  return [...commandFiles(root), ...guidance(root), ...plugin];
}

/** Starts the program of a runtime. A path in single quotes is one word to sh, whatever it holds. */
export const shim = (runtime: string): string =>
  `#!/bin/sh\nprogram='${join(programIn(runtime), 'bin', 'kimi-dispatch.js').replaceAll("'", `'\\''`)}'\nif [ ! -f "$program" ]; then\n  echo "kimi-dispatch is no longer where it was installed. Fix: npx kimi-dispatch install" >&2\n  exit 2\nfi\nexec node "$program" "$@"\n`;
