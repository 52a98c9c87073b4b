import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { git, gitAnswer } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import type { RunState } from '../ledger/events.ts';
import { ask } from '../process/ask.ts';
import { code, counted, fenced, subject } from '../quote.ts';
import { fill } from '../run/brief.ts';
import { ok } from '../verify/compare.ts';
import type { Result } from './result.ts';

export interface PullRequest {
  readonly remote: string;
  readonly branch: string;
  /** The address, when `gh` made or found one; else where it can be opened by hand. */
  readonly url: string | undefined;
  readonly made: 'created' | 'updated' | 'by-hand';
  readonly bodyFile: string;
}

export interface PrCall {
  readonly repo: Repo;
  readonly run: RunState;
  readonly result: Result;
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
  readonly remote: string;
}

/** Where git would push the branch that is checked out; `origin` where nothing says. */
export async function pushRemote(repo: Repo): Promise<string> {
  const head = await gitAnswer(repo, ['symbolic-ref', '-q', '--short', 'HEAD'], { answers: [1] });
  const branch = head.stdout.trim();
  const own = branch === '' ? [] : [`branch.${branch}.pushRemote`];
  const upstream = branch === '' ? [] : [`branch.${branch}.remote`];
  for (const key of [...own, 'remote.pushDefault', ...upstream]) {
    const found = (await gitAnswer(repo, ['config', '--get', key], { answers: [1] })).stdout.trim();
    // A dot is this repository itself.
    if (found !== '' && found !== '.') return found;
  }
  return 'origin';
}

/** Pushes the run's branch, and nothing else, and opens a draft; done twice it updates what is there. */
export async function openPullRequest(call: PrCall): Promise<PullRequest> {
  const { repo, run, result, remote } = call;
  if (run.commit === undefined || result.changes.length === 0)
    throw refuse('wrong-state', `Run ${run.id} changed nothing.`, `kimi-dispatch show ${run.id}`);
  const url = (await gitAnswer(repo, ['remote', 'get-url', remote], { answers: [2, 128] })).stdout.trim();
  if (url === '')
    throw refuse('wrong-state', `There is no remote called ${remote}.`, 'git remote add origin URL, or --remote NAME');
  const body = pullRequestBody(call);
  const bodyFile = join(result.files.folder, 'pull-request.md');
  writeFileSync(bodyFile, body, { mode: 0o600 });
  await push(call);
  const common = { remote, branch: run.branch, bodyFile };
  const seen = await ask(
    'gh',
    ['pr', 'view', run.branch, '--json', 'url', '--jq', '.url'],
    call.env,
    60_000,
    repo.root,
  );
  if (seen.code === undefined) return { ...common, url: webAddress(url, run.branch), made: 'by-hand' };
  if (seen.code === 0) {
    await gh(call, ['pr', 'edit', run.branch, '--body-file', bodyFile]);
    return { ...common, url: seen.stdout.trim() || undefined, made: 'updated' };
  }
  const title = subject(result.title) || run.id;
  const made = await gh(call, [
    'pr',
    'create',
    '--draft',
    '--head',
    run.branch,
    '--title',
    title,
    '--body-file',
    bodyFile,
  ]);
  return { ...common, url: made.trim().split('\n').at(-1), made: 'created' };
}

async function push({ repo, run, remote }: PrCall): Promise<void> {
  // The exact commit that was reviewed, whatever the branch points to by now; the user's push hooks apply.
  const refspec = `+${run.commit}:refs/heads/${run.branch}`;
  await git(repo, ['push', '--porcelain', remote, refspec], { honour: true }).catch((error: unknown) => {
    throw refuse(
      'wrong-state',
      `The remote refused the branch: ${error instanceof Error ? error.message.slice(0, 500) : String(error)}`,
      `git push ${remote} ${refspec}`,
    );
  });
}

async function gh(call: PrCall, args: readonly string[]): Promise<string> {
  const said = await ask('gh', args, call.env, 60_000, call.repo.root);
  if (said.code === 0) return said.stdout;
  throw refuse(
    'wrong-state',
    `gh ${args.slice(0, 2).join(' ')} failed: ${said.stderr.trim().slice(-400)}`,
    'gh auth status',
  );
}

interface BodyCall extends Pick<PrCall, 'result' | 'root'> {
  readonly run: Pick<RunState, 'id' | 'branch'>;
}

/** The body, from the template: what was asked, what was checked, how to look. The worker's words are not in it. */
export function pullRequestBody({ run, result, root }: BodyCall): string {
  const rows = result.verification.map((row) => {
    const before = row.before === undefined ? '-' : ok(row.before) ? 'pass' : 'red';
    return `- ${code(row.command)}: ${before} → ${ok(row.after) ? 'pass' : 'red'} (${row.verdict})`;
  });
  const remarks = [
    ...result.scope.violations.map(({ path, why }) => `- violation: ${code(path)}: ${code(why)}`),
    ...result.flags.map(({ path, why }) => `- look at: ${code(path)}: ${code(why)}`),
  ];
  const spec = readFileSync(result.spec.path, 'utf8');
  return fill(root, 'pr.hbs', {
    summary: `${result.outcome}: ${counted(result.changes.length, 'file')} changed by Kimi from a checked spec.`,
    spec: `<details><summary>spec.md</summary>\n\n${fenced(spec.slice(0, 30_000), 'markdown')}\n\n</details>`,
    verifier: result.claimed === true ? 'claimed by the first job, not run again here' : 'run by kimi-dispatch',
    verification: rows.length === 0 ? 'No command was run.' : rows.join('\n'),
    gate: remarks.length === 0 ? 'Nothing to remark.' : remarks.join('\n'),
    branch: run.branch,
    base: result.base,
    run: run.id,
    digest: result.spec.digest,
    kimi: code(result.kimi?.version ?? 'unknown', 40),
    sandbox: code(result.sandbox, 60),
  });
}

/** Where a pull request can be opened by hand, for remotes that are web addresses. */
function webAddress(remote: string, branch: string): string | undefined {
  const found = /^(?:https?:\/\/|git@|ssh:\/\/git@)([^/:]+)[/:](.+?)(?:\.git)?$/.exec(remote);
  if (found === null) return undefined;
  return `https://${found[1]}/${found[2]}/compare/${encodeURIComponent(branch)}?expand=1`;
}
