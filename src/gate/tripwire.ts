import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gitAnswer } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import type { Remark } from './gate.ts';

/** What lies outside the worktree and must not change by Kimi's hand: name → digest. */
export interface Snapshot {
  readonly guarded: ReadonlyMap<string, string>;
  /** Branches and HEAD: the user goes on working, so a change is only a note. */
  readonly watched: ReadonlyMap<string, string>;
}

/** Settings that make a program run; the others (remotes, upstreams) are the user's daily work. */
const RUNS_PROGRAMS =
  /^(core\.(hookspath|fsmonitor|sshcommand|pager|editor|askpass|gitproxy|attributesfile)|sequence\.editor|alias\.|filter\.|diff\..*\.(textconv|command)|diff\.external|merge\..*\.driver|mergetool\.|difftool\.|credential\.|include\.|includeif\.|gpg\.|pager\.|init\.templatedir|uploadpack\.|protocol\.|url\.)/i;

/**
 * Looks at what a worker without a sandbox could reach: hooks, settings of git that run programs, the settings of Kimi
 * and of Claude Code. Inside the sandbox all of it is read-only, and nothing is compared (ruling 18).
 */
export async function lookOutside(repo: Repo, homes: { kimi: string; claude: string }): Promise<Snapshot> {
  const guarded = new Map<string, string>();
  for (const path of hookFiles(join(repo.commonDir, 'hooks'))) guarded.set(path, digestOf(path));
  for (const path of [
    join(homes.kimi, 'config.toml'),
    join(homes.kimi, 'mcp.json'),
    join(homes.claude, 'settings.json'),
    join(repo.root, '.claude', 'settings.json'),
    join(repo.root, '.claude', 'settings.local.json'),
    join(repo.root, '.mcp.json'),
  ])
    guarded.set(path, digestOf(path));
  const [config, refs] = await Promise.all([
    gitAnswer(repo, ['config', '--list', '-z', '--show-scope'], { answers: [1], honour: true }),
    gitAnswer(repo, ['for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads', 'refs/tags']),
  ]);
  const running = config.stdout
    .split('\0')
    .filter((_entry, index, all) => index % 2 === 1 && RUNS_PROGRAMS.test(all[index] ?? ''));
  guarded.set('git config', createHash('sha256').update(running.join('\0')).digest('hex'));
  const watched = refs.stdout
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('refs/heads/kimi/'))
    .map((line) => line.split(' ') as [string, string]);
  return { guarded, watched: new Map(watched) };
}

/** What changed between two looks: violations for what is guarded, notes for the rest. */
export function changedOutside(before: Snapshot, after: Snapshot): { violations: Remark[]; notes: string[] } {
  const different = (left: ReadonlyMap<string, string>, right: ReadonlyMap<string, string>): string[] =>
    [...new Set([...left.keys(), ...right.keys()])].filter((name) => left.get(name) !== right.get(name));
  return {
    violations: different(before.guarded, after.guarded).map((path) => ({
      path,
      why: 'was changed outside the worktree while Kimi worked without a sandbox',
    })),
    notes: different(before.watched, after.watched).map(
      (name) => `${name.replace('refs/heads/', '')} changed meanwhile`,
    ),
  };
}

const hookFiles = (folder: string): string[] =>
  existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];

function digestOf(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat?.isFile() !== true) return '';
  return `${stat.mode} ${createHash('sha256').update(readFileSync(file)).digest('hex')}`;
}
