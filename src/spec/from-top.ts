import type { RepoFacts } from './facts.ts';

/** A path in somebody's home, up to a quote, a space or an operator. */
const IN_HOME = /(?<![\w.~/$}:-])(?:\/(?:Users|home|root|workspaces?)|~|\$HOME|[A-Za-z]:)[\\/][^\s"'`;&|()<>]*/g;

/**
 * A command whose paths begin at the top of the repository, for a plan that names the checkout itself, in whoever's
 * home: run as it stands, it would look at the checkout and not at the work. Any other command comes back as it is.
 * @param where without a `name`, only the checkout's own folder counts.
 */
export function fromTop(text: string, where: Pick<RepoFacts, 'root' | 'name'>): string {
  const { root, name } = where;
  if (root.length < 2) return text;
  // A lone name stays a path: `./gradlew`.
  const relative = (rest: string): string => (rest.includes('/') ? rest : rest === '' ? '.' : `./${rest}`);
  const literal = root.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const own = new RegExp(`(?<![\\w.~/-])${literal}(?:/+([^\\s"'\`;&|()<>]*)|(?=["'\\s;&|)]|$))`, 'g');
  const found = text
    .replace(own, (_path, rest = '') => relative(rest))
    .replace(IN_HOME, (path) => {
      const parts = path.replace(/[\\/]+$/, '').split(/[\\/]+/);
      const at = parts.lastIndexOf(name);
      return name !== '' && at > 0 ? relative(parts.slice(at + 1).join('/')) : path;
    });
  return found === text
    ? text
    : found.replace(/\bcd\s+(["']?)\.\1\s*(?:&&|;)\s*/g, '').replace(/\bcd (["']?)\.\//g, 'cd $1');
}
