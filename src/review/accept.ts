import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../errors.ts';
import { checkGate, type Gate } from '../gate/gate.ts';
import { changesBetween } from '../git/change.ts';
import { git, gitAnswer } from '../git/git.ts';
import type { Repo } from '../git/repo.ts';
import { append, runsFolder } from '../ledger/store.ts';
import { ownerHere } from '../process/alive.ts';
import { digestOf } from '../run/run.ts';
import { parseSpec } from '../spec/parse.ts';
import { commitPatch } from './patch.ts';
import { type Result, resultSchema } from './result.ts';
import { keepResult } from './stored.ts';

export interface AcceptCall {
  readonly repo: Repo;
  /** What the job that ran the model uploaded: spec.md, result.json, changes.patch. */
  readonly folder: string;
  /** The spec as this repository has it: what was run must be what was asked for. */
  readonly specFile: string;
  readonly now: Date;
}

export interface Accepted {
  readonly result: Result;
  readonly gate: Gate;
}

/**
 * Takes over the result of a job that had a model and no rights, in a job that has rights and no model. Nothing of it
 * is believed: the spec's digest, the base, the patch, the scope and the caps are checked here again, and the commit
 * is made here from the patch. A run that was taken over already is left as it is.
 */
export async function accept(call: AcceptCall): Promise<Accepted> {
  const { repo, folder } = call;
  const result = readUploaded(folder);
  const spec = readFileSync(call.specFile, 'utf8');
  const uploaded = readFileSync(join(folder, 'spec.md'), 'utf8');
  if (digestOf(uploaded) !== result.spec.digest || spec !== uploaded)
    throw refuse(
      'gate',
      `The result is not of ${call.specFile}: the digests differ.`,
      'Run the spec of this commit again.',
    );
  const known = await gitAnswer(repo, ['cat-file', '-e', `${result.base}^{commit}`], { answers: [1, 128] });
  if (known.code !== 0)
    throw refuse(
      'gate',
      `The base ${result.base.slice(0, 12)} is not in this repository.`,
      'Fetch it: git fetch --unshallow',
    );
  const patch = readFileSync(join(folder, 'changes.patch'));
  const commit = await commitPatch(repo, { patch, base: result.base, result });
  const changes = await changesBetween(repo, result.base, commit);
  const gate = await checkGate(repo, parseSpec(uploaded).spec, { changes, base: result.base, commit });
  if (gate.violations.length > 0)
    throw refuse(
      'gate',
      `The change breaks the gate: ${gate.violations
        .slice(0, 5)
        .map(({ path, why }) => `${path}: ${why}`)
        .join('; ')}`,
      'Correct the spec, or run it again.',
    );
  record(call, { ...result, commit, changes: [...changes] });
  await git(repo, ['update-ref', `refs/heads/${result.branch}`, commit], { quiet: true });
  return { result, gate };
}

function readUploaded(folder: string): Result {
  for (const name of ['result.json', 'spec.md', 'changes.patch'])
    if (!existsSync(join(folder, name)))
      throw refuse('usage', `${name} is not in ${folder}.`, 'Upload the folder that run --artifacts DIR wrote.');
  const parsed = resultSchema.safeParse(JSON.parse(readFileSync(join(folder, 'result.json'), 'utf8')));
  if (!parsed.success)
    throw refuse('gate', 'result.json is not one of this version.', 'Use the same version in both jobs.');
  const { data } = parsed;
  if (
    !/^[\w-]{1,64}$/.test(data.run) ||
    !/^kimi\/[\w.-]{1,100}$/.test(data.branch) ||
    !/^[0-9a-f]{40,64}$/.test(data.base)
  )
    throw refuse('gate', 'result.json names a run, branch or base that cannot be one.');
  if (data.outcome !== 'succeeded')
    throw refuse('gate', `The run ended with ${data.outcome}.`, 'Only what succeeded is taken over.');
  return data;
}

function record({ repo, folder, now }: AcceptCall, result: Result): void {
  const own = join(runsFolder(repo.commonDir), result.run);
  mkdirSync(own, { recursive: true, mode: 0o700 });
  for (const name of ['spec.md', 'changes.patch']) copyFileSync(join(folder, name), join(own, name));
  const files = { folder: own, patch: join(own, 'changes.patch'), report: join(own, 'report.md') };
  const kept = { ...result, spec: { ...result.spec, path: join(own, 'spec.md') }, files };
  keepResult(own, kept);
  if (existsSync(join(own, 'events.ndjson'))) return;
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
}
