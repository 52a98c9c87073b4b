import { splitCommand } from './words.ts';

/** Words that make a runner run once, or do something else than tests. */
const ONCE =
  /^(run|related|bench|list|init|typecheck|--run|--watch=false|--no-watch|--watchAll=false|--watch-all=false)$/;
const FRONT = new Set(['npx', 'bunx', 'exec', 'dlx', 'pnpm', 'yarn', 'bun', 'x', '--no-install', '--']);
const MANAGERS = new Set(['npm', 'pnpm', 'yarn', 'bun']);

/**
 * True for a command that would wait for changes of files unless CI is set: a bare `vitest`, `react-scripts test`, or a
 * script of package.json that is one. `scripts` are those of the manifest in the folder where it runs.
 */
export function watches(command: string, scripts: Readonly<Record<string, string>>, deep = 0): boolean {
  return command.split(/&&|\|\||;|\n/).some((part) => watchesOne(part.trim(), scripts, deep));
}

function watchesOne(command: string, scripts: Readonly<Record<string, string>>, deep: number): boolean {
  const words = splitCommand(command);
  if ('needsShell' in words) return false;
  const { argv } = words;
  const script =
    deep < 3 && MANAGERS.has(argv[0] ?? '')
      ? argv.slice(1).find((word) => !/^(run|run-script|-.*)$/.test(word))
      : undefined;
  const text = script === undefined ? undefined : scripts[script === 't' ? 'test' : script];
  if (text !== undefined)
    return !argv.some((word) => ONCE.test(word) && word.startsWith('--')) && watches(text, scripts, deep + 1);
  const rest = argv.slice(argv.findIndex((word) => !FRONT.has(word)));
  if (rest.slice(1).some((word) => ONCE.test(word))) return false;
  return rest[0] === 'vitest' || (rest[0] === 'react-scripts' && rest[1] === 'test');
}
