import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { writeWhole } from '../files.ts';
import { git } from '../git/git.ts';
import { isWritable } from '../git/locate.ts';
import { openRepo, type Repo } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { findRun, readEvents, runsFolder } from '../ledger/store.ts';
import { reveal } from '../quote.ts';
import type { Result } from '../review/result.ts';
import { gitEnvironment, type World } from '../world.ts';
import { refuseTogether } from './taken.ts';

/** The repository around the working folder; a copy of it in our state folder where it cannot be written. */
export async function repoOf(world: World): Promise<Repo> {
  const repo = await openRepo(world.cwd, gitEnvironment(world.env));
  if (isWritable(repo.commonDir)) return repo;
  const [{ copyOf }, { placesOf }] = await Promise.all([import('../git/copy.ts'), import('../run/places.ts')]);
  const copy = await copyOf(repo, join(placesOf(world.env, repo).state, 'copy'));
  world.err(`This repository cannot be written: a copy of it is used, ${copy.root}\n`);
  return copy;
}

export interface Named {
  readonly repo: Repo;
  readonly run: RunState;
  /** The run's folder in the ledger. */
  readonly folder: string;
}

/** The run that an argument names, in the repository around the working folder. */
export async function runNamed(world: World, name: string | undefined): Promise<Named> {
  const repo = await repoOf(world);
  const run = findRun(repo.commonDir, name ?? '');
  return { repo, run, folder: join(runsFolder(repo.commonDir), run.id) };
}

/** `show`: the result as Claude reads it. */
export async function showCommand(
  world: World,
  args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  refuseTogether('show', options, ['json', 'full', 'html']);
  const { folder } = await runNamed(world, args[0]);
  const { readResult } = await import('../review/stored.ts');
  const { presentResult } = await import('../review/present.ts');
  const result = readResult(folder);
  if (options.html === true) return showPage(world, folder, result);
  if (options.json === true) world.out(`${JSON.stringify(result, null, 2)}\n`);
  else if (options.full === true) world.out(readFileSync(result.files.report, 'utf8'));
  else world.out(`${presentResult(result, readPatch(result.files.patch))}\n`);
  return 0;
}

/** `show --html`: one file beside the result, and its path on stdout. */
async function showPage(world: World, folder: string, result: Result): Promise<number> {
  const { diffStyle, resultPage } = await import('../review/page.ts');
  const file = join(folder, 'result.html');
  writeWhole(file, resultPage(result, readEvents(folder), readPatch(result.files.patch), diffStyle(world.root)));
  world.out(`${file}\n`);
  return 0;
}

export const readPatch = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');

/** `diff`: the change as git shows it, whole or for one path; hidden characters in it are shown. To apply: changes.patch. */
export async function diffCommand(
  world: World,
  args: readonly string[],
  options: Record<string, unknown> = {},
): Promise<number> {
  const { repo, run } = await runNamed(world, args[0]);
  if (run.commit === undefined)
    throw refuse('wrong-state', `Run ${run.id} has no change.`, `kimi-dispatch show ${run.id}`);
  const from = options.sinceReview === true ? (run.reviewed ?? run.base) : run.base;
  const path = args[1] === undefined ? [] : ['--', `:(top,literal)${args[1]}`];
  const call = ['diff', '--no-color', '--no-ext-diff', '--no-textconv', from, run.commit, ...path];
  world.out(`${reveal(await git(repo, call))}\n`);
  return 0;
}
