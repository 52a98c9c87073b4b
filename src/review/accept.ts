import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { checkGate } from '../gate/gate.ts';
import { changesBetween } from '../git/change.ts';
import { git, gitAnswer } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import { append, readEvents, runsFolder } from '../ledger/store.ts';
import { ownerHere } from '../process/alive.ts';
import { digestOf } from '../run/run.ts';
import type { Spec } from '../spec/model.ts';
import { parseSpec } from '../spec/parse.ts';
import { nextOf } from './next.ts';
import { commitPatch, patchDigest } from './patch.ts';
import { type Result, resultSchema } from './result.ts';
import { keepResult, readResult } from './stored.ts';

export interface AcceptCall {
  readonly repo: Repo;
  /** What the job that ran the model uploaded: spec.md, result.json, changes.patch. */
  readonly folder: string;
  /** The spec as this repository has it: what was run must be what was asked for. */
  readonly specFile: string;
  readonly now: Date;
}

/**
 * Takes over the result of a job that had a model and no rights, in a job that has rights and no model. Spec, base,
 * patch, scope and caps are checked here again, and the commit is made here from the patch. Whether the verification
 * passed is what the first job claims: commands of a change are not run beside a write token. A run that is known here
 * with the same patch is left as it is; with another one it is refused.
 */
export async function accept(call: AcceptCall): Promise<Result> {
  const { repo, folder } = call;
  const result = readUploaded(folder);
  const spec = readFileSync(join(folder, 'spec.md'), 'utf8');
  if (digestOf(spec) !== result.spec.digest || spec !== readFileSync(call.specFile, 'utf8'))
    throw refuse(
      'gate',
      `The result is not of ${call.specFile}: the digests differ.`,
      'Run the spec of this commit again.',
    );
  if (result.patchDigest !== patchDigest(join(folder, 'changes.patch')))
    throw refuse('gate', 'The patch is not the one that the result names: the digests differ.', 'Upload both again.');
  const known = knownHere(call, result);
  if (known !== undefined) return known;
  const base = await gitAnswer(repo, ['cat-file', '-e', `${result.base}^{commit}`], { answers: [1, 128] });
  if (base.code !== 0)
    throw refuse(
      'gate',
      `The base ${result.base.slice(0, 12)} is not in this repository.`,
      'Fetch it: git fetch --unshallow',
    );
  const checked = await checkAgain(call, result, parseSpec(spec).spec);
  await git(repo, ['update-ref', `refs/heads/${result.branch}`, checked.commit ?? '']);
  return record(call, checked);
}

/** The run as it is on record here, when it is this one; another one under its name is refused. */
function knownHere({ repo }: AcceptCall, result: Result): Result | undefined {
  const own = join(runsFolder(repo.commonDir), result.run);
  if (readEvents(own).length === 0) return undefined;
  const known = readResult(own);
  const same = known.patchDigest === result.patchDigest && known.spec.digest === result.spec.digest;
  if (same && known.base === result.base && known.branch === result.branch) return known;
  throw refuse('gate', `Run ${result.run} is known here with another change.`, `kimi-dispatch show ${result.run}`);
}

/** The commit and everything that can be found out from it and the spec, in place of what was uploaded. */
async function checkAgain({ repo, folder }: AcceptCall, result: Result, spec: Spec): Promise<Result> {
  const { base } = result;
  const title = spec.title;
  const patch = readFileSync(join(folder, 'changes.patch'));
  const commit = await commitPatch(repo, { patch, base, result: { ...result, title } });
  const changes = await changesBetween(repo, base, commit);
  const { violations, flags, untouched } = await checkGate(repo, spec, { changes, base, commit });
  if (violations.length > 0)
    throw refuse(
      'gate',
      `The change breaks the gate: ${violations
        .slice(0, 5)
        .map(({ path, why }) => `${path}: ${why}`)
        .join('; ')}`,
      'Correct the spec, or run it again.',
    );
  const scope = { violations: [], untouched: [...untouched] };
  const own = { ...result, title, commit, changes, scope, flags: flags.map(({ path, why }) => ({ path, why })) };
  return { ...own, worktree: '', next: nextOf(own), claimed: true };
}

function readUploaded(folder: string): Result {
  for (const name of ['result.json', 'spec.md', 'changes.patch'])
    if (!existsSync(join(folder, name)))
      throw refuse('usage', `${name} is not in ${folder}.`, 'Upload the folder that run --artifacts DIR wrote.');
  const parsed = resultSchema.safeParse(parsedJson(readFileSync(join(folder, 'result.json'), 'utf8')));
  if (!parsed.success)
    throw refuse('gate', 'result.json is not one of this version.', 'Use the same version in both jobs.');
  const { data } = parsed;
  if (
    !/^[\w-]{1,64}$/.test(data.run) ||
    !/^kimi\/[\w.-]{1,100}$/.test(data.branch) ||
    !data.branch.startsWith(`kimi/${data.run}-`) ||
    !/^[0-9a-f]{40,64}$/.test(data.base)
  )
    throw refuse('gate', 'result.json names a run, branch or base that cannot be one.');
  if (data.outcome !== 'succeeded')
    throw refuse('gate', `The run ended with ${data.outcome}.`, 'Only what succeeded is taken over.');
  return data;
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function record({ repo, folder, now }: AcceptCall, result: Result): Result {
  const own = join(runsFolder(repo.commonDir), result.run);
  mkdirSync(own, { recursive: true, mode: 0o700 });
  for (const name of ['spec.md', 'changes.patch']) copyFileSync(join(folder, name), join(own, name));
  const files = { folder: own, patch: join(own, 'changes.patch'), report: join(own, 'report.md') };
  const kept = { ...result, spec: { ...result.spec, path: join(own, 'spec.md') }, files };
  keepResult(own, kept);
  const { run: id, title, base, branch } = result;
  append(
    own,
    {
      type: 'run-started',
      v: 1,
      id,
      title,
      digest: result.spec.digest,
      base,
      branch,
      dir: '',
      home: '',
      ...ownerHere(),
    },
    now,
  );
  append(own, { type: 'run-ended', outcome: result.outcome, commit: result.commit ?? '' }, now);
  return kept;
}
