import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gitAnswer } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import type { Remark } from './gate.ts';

/** What lies outside the worktree and must not change by Kimi's hand: name → digest. */
export interface Snapshot {
  readonly guarded: ReadonlyMap<string, string>;
  /** Branches and HEAD: the user goes on working, so a change is only a note. */
  readonly watched: ReadonlyMap<string, string>;
  /** The commits of the stash. */
  readonly stash: readonly string[];
}

export interface Outside {
  /** The Kimi home and the Claude home of the user. */
  readonly kimi: string;
  readonly claude: string;
  /** Packages of the checkout that the worktree links to. */
  readonly linked?: string | undefined;
  /** Where a copy of the repository's git configuration is kept. */
  readonly copyOfConfig: string;
}

/** Settings that make a program run; the others (remotes, upstreams) are the user's daily work. */
const RUNS_PROGRAMS =
  /^(core\.(hookspath|fsmonitor|sshcommand|pager|editor|askpass|gitproxy|attributesfile)|sequence\.editor|alias\.|filter\.|diff\..*\.(textconv|command)|diff\.external|merge\..*\.driver|mergetool\.|difftool\.|credential\.|include\.|includeif\.|gpg\.|pager\.|init\.templatedir|uploadpack\.|protocol\.|url\.)/i;

/**
 * Looks at what a worker without a sandbox could reach: hooks, settings of git that run programs, the settings of Kimi
 * and of Claude Code, the stash, linked packages. Inside the sandbox all of it is read-only, and nothing is compared.
 */
export async function lookOutside(repo: Repo, { kimi, claude, linked }: Outside): Promise<Snapshot> {
  const guarded = new Map<string, string>();
  for (const path of hookFiles(join(repo.commonDir, 'hooks'))) guarded.set(path, digestOf(path));
  for (const path of [
    join(kimi, 'config.toml'),
    join(kimi, 'mcp.json'),
    join(claude, 'settings.json'),
    join(repo.root, '.claude', 'settings.json'),
    join(repo.root, '.claude', 'settings.local.json'),
    join(repo.root, '.mcp.json'),
  ])
    guarded.set(path, digestOf(path));
  const [config, refs, stash] = await Promise.all([
    gitAnswer(repo, ['config', '--list', '-z', '--show-scope'], { answers: [1], honour: true }),
    gitAnswer(repo, ['for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads', 'refs/tags']),
    gitAnswer(repo, ['log', '-g', '--format=%H', 'refs/stash', '--'], { answers: [128], quiet: true }),
  ]);
  const running = config.stdout
    .split('\0')
    .filter((_entry, index, all) => index % 2 === 1 && RUNS_PROGRAMS.test(all[index] ?? ''));
  guarded.set(CONFIG, createHash('sha256').update(running.join('\0')).digest('hex'));
  if (linked !== undefined) guarded.set(linked, listingOf(linked));
  const watched = refs.stdout
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('refs/heads/kimi/'))
    .map((line) => line.split(' ') as [string, string]);
  return { guarded, watched: new Map(watched), stash: stash.stdout.split('\n').filter(Boolean) };
}

const CONFIG = 'git config';

/** What changed between two looks: violations for what is guarded, each with the way back, and notes for the rest. */
export function changedOutside(
  before: Snapshot,
  after: Snapshot,
  { linked, copyOfConfig }: Pick<Outside, 'linked' | 'copyOfConfig'>,
): { violations: Remark[]; notes: string[] } {
  const different = (left: ReadonlyMap<string, string>, right: ReadonlyMap<string, string>): string[] =>
    [...new Set([...left.keys(), ...right.keys()])].filter((name) => left.get(name) !== right.get(name));
  const way = (path: string): string =>
    path === linked
      ? ': install the packages again'
      : path === CONFIG
        ? `: what it said before is in ${copyOfConfig}`
        : '';
  const dropped = before.stash.filter((commit) => !after.stash.includes(commit));
  return {
    violations: [
      ...different(before.guarded, after.guarded).map((path) => ({ path, why: `${CHANGED}${way(path)}` })),
      ...dropped.map((commit) => ({ path: 'git stash', why: `lost an entry${MEANWHILE}: git stash store ${commit}` })),
    ],
    notes: different(before.watched, after.watched).map(
      (name) => `${name.replace('refs/heads/', '')} changed meanwhile`,
    ),
  };
}

const MEANWHILE = ' while Kimi worked without a sandbox';
const CHANGED = `was changed outside the worktree${MEANWHILE}`;

const hookFiles = (folder: string): string[] =>
  existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];

function digestOf(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat?.isFile() !== true) return '';
  return `${stat.mode} ${createHash('sha256').update(readFileSync(file)).digest('hex')}`;
}

/** Every file of a folder with its size and times, as a digest; folders that tools write to by themselves are left out. */
function listingOf(folder: string): string {
  const digest = createHash('sha256');
  const visit = (dir: string): void => {
    for (const name of readdirSync(dir).sort()) {
      const path = join(dir, name);
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat === undefined) continue;
      if (stat.isDirectory()) {
        if (dir !== folder || !name.startsWith('.')) visit(path);
      } else digest.update(`${path} ${stat.mode} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}\n`);
    }
  };
  if (existsSync(folder)) visit(folder);
  return digest.digest('hex');
}
