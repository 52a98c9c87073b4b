import { refuse } from '../errors.ts';

const flagOf = (name: string): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** Refuses options that a command would not act on: `task show --status x` is a slip, not a wish. */
export function refuseOthers(command: string, options: Record<string, unknown>, taken: readonly string[]): void {
  const others = Object.keys(options).filter((name) => !taken.includes(name) && options[name] !== undefined);
  if (others.length === 0) return;
  throw refuse(
    'usage',
    `${command} does not take ${others.map(flagOf).join(', ')}.`,
    `kimi-dispatch ${command.split(' ')[0]} --help`,
  );
}

/** Refuses options that contradict each other. */
export function refuseTogether(command: string, options: Record<string, unknown>, names: readonly string[]): void {
  const given = names.filter((name) => options[name] !== undefined && options[name] !== false);
  if (given.length < 2) return;
  throw refuse('usage', `${command} takes one of ${given.map(flagOf).join(', ')}, not both.`, 'Leave one out.');
}

/** Refuses options that mean nothing without another one: `[option, the one that it needs]`. */
export function refuseAlone(
  command: string,
  options: Record<string, unknown>,
  pairs: readonly (readonly [name: string, needed: string])[],
): void {
  const given = (name: string): boolean => options[name] !== undefined && options[name] !== false;
  const found = pairs.find(([name, needed]) => given(name) && !given(needed));
  if (found === undefined) return;
  const [name, needed] = found.map(flagOf);
  throw refuse('usage', `${command} takes ${name} only with ${needed}.`, `Add ${needed}, or leave ${name} out.`);
}
