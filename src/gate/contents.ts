import { blobsOf, type Entry, sizesOf } from '../git/blobs.ts';
import type { Change } from '../git/change.ts';
import type { Repo } from '../git/repo.ts';
import { isTest } from '../path-classes.ts';
import type { GateInput, Remark, Remarks } from './gate.ts';
import { keysIn } from './known-keys.ts';
import { manifestChange } from './manifest.ts';
import type { Trees } from './paths.ts';
import { readings } from './readings.ts';
import { KEY, SECRET } from './secret-formats.ts';
import { weakened } from './tests.ts';

const MB = 1024 * 1024;
/** Larger than this is hardly source: it is not read, and it gates. */
const LARGEST = 5 * MB;
/** Contents that are in memory at a time. */
const BATCH = 32 * MB;
/** Contents that are searched in all; what lies beyond gates. */
const MOST = 512 * MB;

interface Sides {
  readonly change: Change;
  readonly was: Entry | undefined;
  readonly is: Entry;
}

/** Judges what the changed files hold: links, sizes, package manifests, tests, conflict markers, secrets. */
export async function judgeContents(repo: Repo, input: GateInput, trees: Trees): Promise<Remarks> {
  const violations: Remark[] = [];
  const flags: Remark[] = [];
  const sides = input.changes.flatMap((change) => sidesOf(change, trees));
  const ids = new Set(sides.flatMap(({ was, is }) => (was === undefined ? [is.id] : [was.id, is.id])));
  const sizes = await sizesOf(repo, [...ids]);
  const size = (entry: Entry | undefined): number => (entry === undefined ? 0 : (sizes.get(entry.id) ?? 0));
  let total = 0;
  let batch: Sides[] = [];
  let waiting = 0;
  const judgeBatch = async (): Promise<void> => {
    const read = batch.flatMap(({ was, is }) => [
      is.id,
      ...(was !== undefined && size(was) <= LARGEST ? [was.id] : []),
    ]);
    const blobs = await blobsOf(repo, [...new Set(read)]);
    for (const side of batch) {
      const found = await judgeContent(side, blobs, { ...input, ...trees });
      violations.push(...found.violations);
      flags.push(...found.flags);
    }
    [batch, waiting] = [[], 0];
  };
  for (const side of sides) {
    const { path } = side.change;
    const bytes = size(side.is) + (size(side.was) <= LARGEST ? size(side.was) : 0);
    if (size(side.is) > LARGEST) violations.push({ path, why: `is larger than ${LARGEST / MB} MB` });
    else if (total + bytes > MOST)
      violations.push({ path, why: `was not searched: the change holds more than ${MOST / MB} MB` });
    else {
      if (waiting + bytes > BATCH) await judgeBatch();
      batch.push(side);
      waiting += bytes;
      total += bytes;
    }
  }
  await judgeBatch();
  return { violations, flags };
}

function sidesOf(change: Change, { before, after }: Trees): Sides[] {
  const is = after.get(change.path);
  const was = before.get(change.path);
  if (is === undefined || is.mode === '160000') return [];
  return [{ change, is, was: was?.mode === '160000' ? undefined : was }];
}

async function judgeContent(
  { change, was, is }: Sides,
  blobs: ReadonlyMap<string, Buffer>,
  context: Trees & Pick<GateInput, 'known'>,
): Promise<Remarks> {
  const { path } = change;
  const bytes = blobs.get(is.id);
  if (bytes === undefined) return { violations: [{ path, why: 'its content cannot be read' }], flags: [] };
  const after = readings(bytes);
  const before = was === undefined ? [] : readings(blobs.get(was.id) ?? Buffer.alloc(0));
  const old = before.join('\n');
  const violations: string[] = [];
  const flags: string[] = [];
  for (const from of keysIn(context.known ?? [], { after, before })) violations.push(`${KEY} (from ${from})`);
  if (is.mode === '120000') {
    const target = bytes.toString();
    if (leavesTree(path, target)) violations.push(`a link that leaves the tree: ${target.slice(0, 80)}`);
  } else {
    const text = after.at(-1) ?? '';
    if (isTest(path)) flags.push(...weakened(before.at(-1), text));
    if (/(^|\/)package\.json$/i.test(path)) {
      const { scripts, runners } = manifestChange(before.at(-1), text);
      if (scripts)
        (context.declared.get(path)?.allowProtected === true ? flags : violations).push('package scripts were changed');
      if (runners.length > 0) flags.push(`the configuration of ${runners.join(', ')} was changed`);
    }
    if (hasConflict(text) && !hasConflict(old)) violations.push('holds merge conflict markers');
    const { newSecrets } = await import('./secrets.ts');
    const found = new Set<string>();
    for (const reading of after) for (const secret of await newSecrets(path, reading, old)) found.add(secret);
    violations.push(...[...found].map((secret) => `${SECRET}, ${secret}`));
  }
  const remark = (why: string): Remark => ({ path, why });
  return { violations: violations.map(remark), flags: flags.map(remark) };
}

const hasConflict = (text: string): boolean => /^<{7} /m.test(text) && /^>{7} /m.test(text);

/** True when a link's target is absolute or climbs above the root of the tree. */
function leavesTree(path: string, target: string): boolean {
  if (target.startsWith('/') || /^[A-Za-z]:/.test(target)) return true;
  let depth = path.split('/').length - 1;
  for (const part of target.split('/')) {
    if (part === '..') depth -= 1;
    else if (part !== '.' && part !== '') depth += 1;
    if (depth < 0) return true;
  }
  return false;
}
