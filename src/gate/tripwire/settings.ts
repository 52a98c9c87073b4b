import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { writeWhole } from '../../files.ts';
import { fields, gitAnswer } from '../../git/git.ts';
import type { FileSeen } from './files.ts';
import type { Reach, Reading } from './reading.ts';
import { ADDRESS, DAILY, type Difference, LEADS, MEANWHILE } from './rule.ts';
import { maySay, sh } from './words.ts';

/** What became of hooks and settings; of git's configuration, key by key. What a file held before is kept in a copy. */
export async function fileDifferences(reach: Reach, before: Reading, after: Reading): Promise<Difference[]> {
  const found: Difference[] = [];
  for (const path of new Set([...before.files.keys(), ...after.files.keys()])) {
    const [old, now] = [before.files.get(path), after.files.get(path)];
    if ((old?.print ?? '') === (now?.print ?? '')) continue;
    // What configuration of today names was not looked at before: it is that configuration which changed.
    if (old === undefined && !isHook(path)) continue;
    const keep = (): string => keepCopy(reach.keep, path, old?.text ?? '');
    const keys = old?.config === true ? await keyDifferences(reach, path, [old, now], keep) : undefined;
    found.push(...(keys ?? [fileDifference(path, [old, now], keep)]));
  }
  return found;
}

const isHook = (path: string): boolean => /\/hooks\/[^/]+$/.test(path);

type Pair = readonly [old: FileSeen | undefined, now: FileSeen | undefined];

function fileDifference(path: string, [old, now]: Pair, keep: () => string): Difference {
  const kind = 'file';
  if ((old?.print ?? '') === '')
    return { kind, how: 'added', name: path, said: `was made${MEANWHILE}`, back: `rm ${sh(path)}` };
  const how = (now?.print ?? '') === '' ? 'gone' : 'changed';
  const said = `${how === 'gone' ? 'is gone' : 'was changed'}${MEANWHILE}`;
  return { kind, how, name: path, said, back: old === undefined ? '' : wayBack(path, [old, now], keep) };
}

function wayBack(path: string, [old, now]: readonly [FileSeen, FileSeen | undefined], keep: () => string): string {
  const place = sh(path);
  if (old.link !== (now?.link ?? '')) {
    const remove = now === undefined || now.print === '' ? '' : `rm ${place} && `;
    if (old.link !== '') return `${remove}ln -s ${sh(old.link)} ${place}`;
    return old.text === undefined ? '' : `${remove}install -m ${octal(old)} ${sh(keep())} ${place}`;
  }
  if (old.text === undefined) return '';
  if (now === undefined || now.print === '') return `install -m ${octal(old)} ${sh(keep())} ${place}`;
  // A link of the user's stays one.
  const mode = old.mode === now.mode ? [] : [`chmod ${octal(old)} ${place}`];
  return [...(old.text === now.text ? [] : [`cp ${sh(keep())} ${place}`]), ...mode].join(' && ');
}

const octal = ({ mode }: FileSeen): string => mode.toString(8);

function keepCopy(folder: string, path: string, text: string): string {
  const file = join(folder, `${basename(path)}.${createHash('sha256').update(text).digest('hex').slice(0, 8)}`);
  writeWhole(file, text);
  return file;
}

/** The keys that differ; undefined where git cannot read one of the texts, or nothing but their form differs. */
async function keyDifferences(
  reach: Reach,
  path: string,
  [old, now]: Pair,
  keep: () => string,
): Promise<Difference[] | undefined> {
  const [before, after] = await Promise.all([valuesOf(reach, old?.text ?? ''), valuesOf(reach, now?.text ?? '')]);
  if (before === undefined || after === undefined) return undefined;
  const names = new Set([...before.keys(), ...after.keys()]);
  const keys = [...names].filter((key) => before.get(key)?.join('\0') !== after.get(key)?.join('\0'));
  if (keys.length === 0) return (old?.text ?? '') === (now?.text ?? '') ? undefined : [];
  const call = `git config --file ${sh(path)}`;
  return keys.map((key) => {
    const values = before.get(key) ?? [];
    const how = values.length === 0 ? 'added' : after.has(key) ? 'changed' : 'gone';
    const said = { added: 'was set', changed: 'was changed', gone: 'is gone' }[how];
    const [value = ''] = values;
    const back =
      how === 'added'
        ? `${call} --unset-all ${sh(key)}`
        : values.length === 1 && (after.get(key)?.length ?? 0) < 2 && maySay(key, value)
          ? `${call} ${sh(key)} ${sh(value) || "''"}`
          : `cp ${sh(keep())} ${sh(path)}`;
    const leads = LEADS.test(key) && (after.get(key) ?? []).some((value) => ADDRESS.test(value));
    const kind = DAILY.test(key) && !leads ? 'dailyConfig' : 'config';
    return { kind, how, name: `git config ${key}`, said: `${said}${MEANWHILE}`, back };
  });
}

async function valuesOf({ repo }: Reach, text: string): Promise<Map<string, string[]> | undefined> {
  const answer = await gitAnswer(repo, ['config', '--file', '-', '-z', '--list'], { input: text }).catch(
    () => undefined,
  );
  if (answer === undefined) return undefined;
  const found = new Map<string, string[]>();
  for (const entry of fields(answer.stdout)) {
    const end = entry.indexOf('\n');
    const key = end < 0 ? entry : entry.slice(0, end);
    found.set(key, [...(found.get(key) ?? []), end < 0 ? 'true' : entry.slice(end + 1)]);
  }
  return found;
}
