import { refusalOf } from '../errors.ts';
import { resolveBase } from '../git/repo.ts';
import { examine, type Row } from '../install/doctor.ts';
import { versionsFor } from '../process/versions.ts';
import { withoutPassword } from '../queue/setting.ts';
import { lackingIn, sayLacking } from '../run/lacking.ts';
import { planProvision } from '../run/provision.ts';
import type { World } from '../world.ts';
import { repoOf } from './look.ts';
import { queueFor } from './queue.ts';

const MARK = { ok: 'ok    ', warn: 'note  ', broken: 'BROKEN' } as const;

/** The narrow rule for those who want no question in plan mode either. */
const RULE =
  '"permissions": { "allow": ["Bash(kimi-dispatch run:*)", "Bash(kimi-dispatch show:*)", "Bash(kimi-dispatch diff:*)"] }';

/** The rows as lines for people. */
export const table = (rows: readonly Row[]): string =>
  rows
    .map(({ check, verdict, found, remedy }) => {
      const fix = remedy === undefined ? '' : `\n        fix: ${remedy}`;
      return `${MARK[verdict]}  ${check.padEnd(12)} ${found}${fix}\n`;
    })
    .join('');

/** `doctor`: one row for each part; exit 1 when something is broken. */
export async function doctorCommand(
  world: World,
  _args: readonly string[],
  options: Record<string, unknown>,
): Promise<number> {
  const rows = [
    ...(await examine({ env: world.env, root: world.root, now: world.now, live: options.live === true })),
    ...(await repositoryRows(world)),
    ...(await queueRows(world)),
  ];
  const broken = rows.some((row) => row.verdict === 'broken');
  if (options.json === true) world.out(`${JSON.stringify({ version: 1, healthy: !broken, rows })}\n`);
  else {
    world.out(table(rows));
    world.out(`\nTo let Claude run and look without a question, in settings.json: ${RULE}\n`);
  }
  return broken ? 1 : 0;
}

/** The repository that doctor stands in, and what its worktrees will lack. */
async function repositoryRows(world: World): Promise<Row[]> {
  try {
    const repo = await repoOf(world);
    const { copies } = await planProvision(repo, await resolveBase(repo, 'HEAD'), undefined);
    return [
      { check: 'Repository', verdict: 'ok', found: repo.root },
      ...versionsFor(repo.root, world.env).missing.map((found): Row => ({ check: 'Versions', verdict: 'warn', found })),
      ...sayLacking(await lackingIn(repo, copies)).map((found): Row => ({ check: 'Worktree', verdict: 'warn', found })),
    ];
  } catch (error) {
    return [rowOf('Repository', 'warn', error)];
  }
}

/** The queue where one is set: that it keeps what it is given, and how many workers take from it. */
async function queueRows(world: World): Promise<Row[]> {
  try {
    const setting = queueFor(world, {});
    if (setting === undefined) return [];
    const { openQueue } = await import('../queue/connect.ts');
    const door = await openQueue(setting);
    const workers = await door.queue.getWorkersCount().finally(() => door.close());
    const found = `${withoutPassword(setting.url)}, ${workers} workers`;
    const remedy = 'On any machine with Kimi and git: kimi-dispatch worker';
    return [
      workers === 0 ? { check: 'Queue', verdict: 'warn', found, remedy } : { check: 'Queue', verdict: 'ok', found },
    ];
  } catch (error) {
    return [rowOf('Queue', 'broken', error)];
  }
}

function rowOf(check: string, verdict: Row['verdict'], error: unknown): Row {
  const refusal = refusalOf(error);
  const found = refusal?.message ?? String(error);
  return { check, verdict, found, ...(refusal?.fix === undefined ? {} : { remedy: refusal.fix }) };
}
