import type { Block } from '../blocks.ts';
import type { RepoFacts } from '../facts.ts';
import { type Command, type Finding, finding, type Place, type SpecFile, type Verb } from '../model.ts';
import { oneLine } from '../parse.ts';
import { commandsInBlock, commandsInText, isCheck, isShell, toCommand } from './commands.ts';
import { findPaths, type Mention, resolvePath } from './paths.ts';
import { isReference, verbAfter, verbBefore, verbIn } from './words.ts';

/** What one unit of a plan asks for. */
export interface Work {
  readonly files: Map<string, SpecFile & { stated: boolean }>;
  readonly requirements: { text: string; at: Place }[];
  readonly listings: string[];
  readonly commands: { text: string; at: Place }[];
  readonly findings: Finding[];
  readonly leftOut: string[];
}

const SMALL_LISTING = 40;
const FEW = 10;

/** Reads the blocks of one unit. `verb` is what the heading above says of its files. */
export function readWork(blocks: readonly Block[], verb: Verb | undefined, facts: RepoFacts): Work {
  const work: Work = { files: new Map(), requirements: [], listings: [], commands: [], findings: [], leftOut: [] };
  for (const block of blocks) {
    if (block.kind === 'code') readCode(block, work);
    else if (block.kind === 'row') readRow(block, verb, facts, work);
    else if (block.kind === 'item' && block.checked === true)
      work.leftOut.push(`line ${block.line}: done already: ${block.text.split('\n')[0]}`);
    else if (block.kind === 'item' || block.kind === 'paragraph') readText(block, verb, facts, work);
  }
  return work;
}

function readCode(block: Block, work: Work): void {
  const lang = block.lang ?? '';
  if (isShell(lang) && lang !== '') {
    for (const command of commandsInBlock(block.text, block.line + 1)) {
      if (isCheck(command.text)) work.commands.push({ text: command.text, at: { line: command.line, column: 1 } });
      else work.leftOut.push(`line ${command.line}: command that is no check: ${command.text.slice(0, 80)}`);
    }
    return;
  }
  const lines = block.end - block.line + 1;
  if (lang === 'mermaid' || /^(text|ascii|diagram|tree)?$/.test(lang) || lines > SMALL_LISTING)
    work.leftOut.push(`lines ${block.line}-${block.end}: ${lang || 'text'} listing`);
  else work.listings.push(`\`\`\`${lang}\n${block.text.trimEnd()}\n\`\`\``);
}

function readRow(block: Block, verb: Verb | undefined, facts: RepoFacts, work: Work): void {
  const cells = block.cells ?? [];
  const action = (block.header ?? []).findIndex((name) =>
    /^(action|operation|change type|type|status|işlem|操作|アクション|種別)$/i.test(name.trim()),
  );
  const holder = cells.findIndex((cell) => findPaths(cell, facts).length > 0);
  if (holder < 0) return;
  const others = cells.filter((_, index) => index !== holder).join(' ');
  const marked = /\*\*\s*(create|modify|delete|new|update|remove)\s*\*\*|^\s*(create|modify|delete|new|remove)\b/i.exec(
    others,
  )?.[0];
  const stated =
    (action >= 0 ? verbIn(cells[action] ?? '') : undefined) ??
    verbAfter(` ${(cells[holder] ?? '').replace(/^.*?[`)\w/](?=\s*\()/, '')}`) ??
    (marked === undefined ? undefined : verbIn(marked)) ??
    verb;
  for (const mention of findPaths(cells[holder] ?? '', facts))
    addFile({ mention, verb: stated, block, note: others.replace(/\s+/g, ' ').trim() }, facts, work);
  const text = cells.filter((cell, index) => index !== holder && index !== action && /\w{3,}/.test(cell)).join(': ');
  const path = findPaths(cells[holder] ?? '', facts)[0]?.text ?? '';
  if (text !== '' && !/^(create|modify|delete|new|update)$/i.test(text))
    work.requirements.push({ text: `${path}: ${plain(text)}`, at: placeOf(block) });
}

const placeOf = (block: Block): Place => ({ line: block.line, column: block.column });
const plain = oneLine;

const LABEL =
  /^\**(files?(?: to [a-z]+)?|new files?|create|modify|modified|update|delete|remove|add|edit|path|dosya(?:lar)?|ファイル|文件|oluştur|değiştir|sil|新規|作成|変更|削除|新建|修改|删除)(?:\s*\([^)]*\))?\s*[:：]\**\s*[:：]?/i;

function readText(block: Block, verb: Verb | undefined, facts: RepoFacts, work: Work): void {
  for (const [offset, line] of block.text.split('\n').entries()) {
    const label = LABEL.exec(line.trim());
    const labelVerb = label === null ? undefined : verbIn(label[1] ?? '');
    const strict = /^\**(CREATE|MODIFY|DELETE)\**\b/.exec(line.trim())?.[1] as Verb | undefined;
    const mentions = findPaths(line, facts);
    for (const [index, mention] of mentions.entries()) {
      const before = line.slice(index === 0 ? 0 : (mentions[index - 1]?.end ?? 0), mention.start);
      if (label === null && strict === undefined && isReference(before) && !/^\W*$/.test(before)) continue;
      const near =
        verbAfter(line.slice(mention.end)) ?? labelVerb ?? strict ?? verbBefore(line.slice(0, mention.start)) ?? verb;
      addFile(
        {
          mention,
          verb: near,
          block: { ...block, line: block.line + offset },
          note: '',
          sure: labelVerb !== undefined || strict !== undefined,
        },
        facts,
        work,
      );
    }
    for (const command of commandsInText(line, false))
      work.commands.push({ text: command, at: { line: block.line + offset, column: 1 } });
  }
  if (saysMore(block.text, facts)) work.requirements.push({ text: plain(block.text), at: placeOf(block) });
}

/** False for a line that is only a label and paths: those are in the list of files. */
function saysMore(text: string, facts: RepoFacts): boolean {
  let rest = text.replace(LABEL, '');
  for (const mention of findPaths(rest, facts)) rest = rest.replace(mention.text, '');
  const words = rest.replace(/\b(and|CREATE|MODIFY|DELETE|NEW)\b/g, '').replace(/[^\p{L}\p{N}]/gu, '');
  return words.length > 2;
}

interface Found {
  readonly mention: Mention;
  readonly verb: Verb | undefined;
  readonly block: Block;
  readonly note: string;
  /** True when the verb stands in a label, so that it is meant for exactly these paths. */
  readonly sure?: boolean;
}

function addFile(found: Found, facts: RepoFacts, work: Work): void {
  const at = { line: found.block.line, column: Math.max(1, found.block.column) };
  const resolved = resolvePath(found.mention.text, facts);
  const say = (code: string, message: string, fix: string, severity: Finding['severity'] = 'error'): void =>
    void work.findings.push(finding(code, severity, at, message, fix));
  if (resolved.kind === 'outside')
    return say(
      'plan/outside',
      `${found.mention.text} is outside this repository.`,
      'A run never writes there; name a path inside, or drop it.',
    );
  if (resolved.kind === 'ambiguous')
    return say(
      'plan/ambiguous',
      `${found.mention.text} is not one file.`,
      `Write one of: ${resolved.candidates.slice(0, 5).join(', ')}`,
    );
  if (resolved.kind === 'folder') return addFolder(found, resolved.matches, at, work);
  const { path } = resolved;
  const known = work.files.get(path);
  if (resolved.kind === 'tracked') {
    if (found.verb === 'CREATE' && found.sure === true)
      say('plan/create-exists', `${path} exists already.`, 'It was taken as MODIFY.', 'warning');
    const verb: Verb = found.verb === 'DELETE' ? 'DELETE' : 'MODIFY';
    if (known === undefined || (verb === 'DELETE' && !known.stated))
      work.files.set(path, { verb, path, note: '', allowProtected: false, at, stated: verb === 'DELETE' });
    return;
  }
  if (known !== undefined) return;
  if (found.verb === 'DELETE')
    return say(
      'plan/delete-missing',
      `${path} is to be deleted, and no tracked file has that name.`,
      'Correct the path.',
    );
  if (!path.includes('/') && !rootPlausible(path, facts))
    return say(
      'plan/where',
      `No tracked file is called ${path}, and the plan does not say in which folder it goes.`,
      `Write the whole path, for example: ${example(path, facts)}`,
    );
  const verb: Verb = found.verb === 'MODIFY' && found.sure === true ? 'MODIFY' : 'CREATE';
  work.files.set(path, { verb, path, note: '', allowProtected: false, at, stated: found.verb === 'CREATE' });
}

const SOURCE =
  /\.(tsx?|jsx?|mts|cts|mjs|cjs|vue|svelte|py|rb|php|go|rs|c|h|cpp|cs|java|kt|scala|swift|m|dart|exs?|erl|hs|lua)$/;

/** A bare new name can be meant for the top folder when files of its kind lie there, or when it is no source file. */
function rootPlausible(path: string, facts: RepoFacts): boolean {
  if (!SOURCE.test(path) || /\.config\.\w+$/.test(path)) return true;
  const extension = path.slice(path.lastIndexOf('.'));
  const same = [...facts.files.keys()].filter((file) => file.endsWith(extension));
  return same.length === 0 ? facts.files.size === 0 : same.some((file) => !file.includes('/'));
}

function example(path: string, facts: RepoFacts): string {
  const extension = path.slice(path.lastIndexOf('.'));
  const folders = new Map<string, number>();
  for (const file of facts.files.keys()) {
    if (!file.endsWith(extension)) continue;
    const folder = file.slice(0, file.lastIndexOf('/') + 1);
    folders.set(folder, (folders.get(folder) ?? 0) + 1);
  }
  const best = [...folders].sort((left, right) => right[1] - left[1])[0]?.[0] ?? 'src/';
  return `${best}${path}`;
}

function addFolder(found: Found, matches: readonly string[], at: Place, work: Work): void {
  const text = found.mention.text;
  if (found.verb === 'CREATE' && matches.length === 0) return;
  if (/[*{]/.test(text) && matches.length > 0 && matches.length <= FEW) {
    for (const path of matches)
      if (!work.files.has(path))
        work.files.set(path, {
          verb: found.verb === 'DELETE' ? 'DELETE' : 'MODIFY',
          path,
          note: '',
          allowProtected: false,
          at,
          stated: false,
        });
    return;
  }
  // A folder in prose is usually a place, not work: it is asked about when nothing else says which files.
  if (work.files.size > 0 && !/[*{]/.test(text)) return;
  const some = matches.slice(0, 5).join(', ');
  work.findings.push(
    finding(
      'plan/folder',
      'warning',
      at,
      `${text} is ${/[*{]/.test(text) ? 'a pattern' : 'a folder'}; a task needs files.`,
      matches.length === 0
        ? 'Name the files.'
        : `Name the files you mean, for example: ${some}${matches.length > 5 ? ` (${matches.length} in all)` : ''}`,
    ),
  );
}

/** The commands of a unit or a section as verification lines. */
export const toCommands = (found: readonly { text: string; at: Place }[], created: readonly string[]): Command[] => {
  const seen = new Set<string>();
  return found
    .filter(({ text }) => !seen.has(text) && seen.add(text) !== undefined)
    .map(({ text, at }) => toCommand(text, at, created));
};
