import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../files.ts';
import { userHome } from '../flavour/home.ts';
import { NOTHING, type Reach, type Seen, watched } from '../gate/tripwire/tripwire.ts';
import type { Repo } from '../git/repo.ts';
import { runsFolder } from '../ledger/store.ts';
import { placesOf } from './places.ts';
import type { RunRequest } from './run.ts';

export interface OutsideCall {
  readonly repo: Repo;
  readonly env: RunRequest['env'];
  /** The id of the run. */
  readonly run: string;
}

/** What the commands of a run could reach without a sandbox. */
export const reachOf = ({ repo, env, run }: OutsideCall): Reach => ({
  repo,
  kimi: [userHome(env), userHome(env, 'kimi-cli')],
  claude: env.CLAUDE_CONFIG_DIR ?? join(env.HOME ?? '/', '.claude'),
  worktrees: placesOf(env, repo).worktrees,
  keep: join(runsFolder(repo.commonDir), run, 'before'),
});

const fileOf = ({ repo, run }: Omit<OutsideCall, 'env'>): string =>
  join(runsFolder(repo.commonDir), run, 'outside.json');

/** What was seen outside the worktree of a run so far. It stands, whatever later attempts do, until a person allows it. */
export function readOutside(call: Omit<OutsideCall, 'env'>): Seen {
  try {
    return existsSync(fileOf(call)) ? (JSON.parse(readFileSync(fileOf(call), 'utf8')) as Seen) : NOTHING;
  } catch {
    return NOTHING;
  }
}

const keepOutside = (call: Omit<OutsideCall, 'env'>, seen: Seen): void =>
  writeWhole(fileOf(call), JSON.stringify(seen));

/** Notes are told once. */
export const forgetNotes = (call: Omit<OutsideCall, 'env'>): void =>
  keepOutside(call, { ...readOutside(call), notes: [] });

/** Takes what a person allowed off the record, by its name. */
export function allowOutside(call: Omit<OutsideCall, 'env'>, names: readonly string[]): void {
  const { violations, notes } = readOutside(call);
  keepOutside(call, { violations: violations.filter(({ path }) => !names.includes(path)), notes });
}

/** Carries out what runs strangers' commands for a run. What they did outside goes on record, where nothing walled them in. */
export const watchRun = <T>(call: OutsideCall & { readonly walled: boolean }, act: () => Promise<T>): Promise<T> =>
  watched(
    call.walled ? undefined : reachOf(call),
    {
      phase: 'working',
      tell: (seen) => {
        const { violations, notes } = readOutside(call);
        if (seen.violations.length + seen.notes.length === 0) return;
        keepOutside(call, { violations: [...violations, ...seen.violations], notes: [...notes, ...seen.notes] });
      },
    },
    act,
  );
