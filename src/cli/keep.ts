import { refuse } from '../errors.ts';
import { runsFolder } from '../ledger/store.ts';
import { idleSlots, prunable, prune, pruneSlots, sizeOf } from '../review/prune.ts';
import { claudeTokens, statsOf } from '../review/stats.ts';
import { placesOf } from '../run/places.ts';
import { Sessions } from '../session/store.ts';
import type { World } from '../world.ts';
import { repoOf } from './look.ts';
import { commonDirOf } from './status.ts';

type Options = Record<string, unknown>;

const megabytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MB`;

/** `stats`: whether delegating pays. Claude's tokens come from the transcripts that the hooks saw; none are guessed. */
export async function statsCommand(world: World, _args: readonly string[], options: Options): Promise<number> {
  const commonDir = await commonDirOf(world);
  const stats = statsOf(commonDir);
  const claude = claudeTokens(commonDir, new Sessions(world.env, world.now));
  if (options.json === true) {
    world.out(`${JSON.stringify({ version: 1, ...stats, claude })}\n`);
    return 0;
  }
  const rate = stats.merged === 0 ? '-' : `${Math.round((stats.firstPass / stats.merged) * 100)} %`;
  const rows: [string, string][] = [
    ['runs', String(stats.runs)],
    ['merged', String(stats.merged)],
    ['merged without sending back', rate],
    ['rounds of sending back', String(stats.rounds)],
    ['steps (requests to Kimi)', String(stats.steps)],
    ['wall time', `${Math.round(stats.seconds / 60)} min`],
    ['Kimi tokens in / cached / out', `${stats.tokens.input} / ${stats.tokens.cached} / ${stats.tokens.output}`],
    [
      'Claude tokens, whole sessions',
      claude === undefined ? 'not measured' : `${claude.input} / ${claude.cached} / ${claude.output}`,
    ],
  ];
  for (const [name, value] of rows) world.out(`${name.padEnd(32)} ${value}\n`);
  return 0;
}

/** `prune`: lists what can go, of runs and of waiting worktrees; `--yes` removes it. Events, results and patches stay. */
export async function pruneCommand(world: World, _args: readonly string[], options: Options): Promise<number> {
  const repo = await repoOf(world);
  const days = Number(options.older ?? 30);
  const keep = Number(options.keep ?? 20);
  const bytes = Number(options.larger ?? 0) * 1024 * 1024;
  if (!Number.isFinite(days) || days < 0 || !Number.isInteger(keep) || keep < 0 || !(bytes >= 0))
    throw refuse(
      'usage',
      'prune takes days, a count and megabytes.',
      'kimi-dispatch prune --older 30 --keep 20 --larger 1',
    );
  const rule = { days, keep, bytes, now: world.now() };
  const items = prunable(repo.commonDir, rule);
  const worktrees = placesOf(world.env, repo).worktrees;
  const slots = idleSlots(repo.commonDir, worktrees, rule);
  for (const item of items) world.out(`${item.run}  ${megabytes(item.bytes)}\n`);
  for (const slot of slots) world.out(`${slot.name}  ${megabytes(slot.bytes)}\n`);
  const sum = [...items, ...slots].reduce((total, item) => total + item.bytes, 0);
  if (options.yes === true) {
    prune(items);
    for (const line of await pruneSlots(repo, slots)) world.out(`${line}\n`);
  }
  const done = options.yes === true ? 'freed' : 'can go: kimi-dispatch prune --yes';
  world.out(`${megabytes(sum)} of ${megabytes(sizeOf(runsFolder(repo.commonDir)) + sizeOf(worktrees))} ${done}\n`);
  return 0;
}
