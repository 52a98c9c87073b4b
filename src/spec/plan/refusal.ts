import { plainText } from '../inline.ts';
import type { Outline } from './outline.ts';

/** What a text is that is no plan of work to hand over, and where it shows. */
export interface Refused {
  readonly line: number;
  readonly what: string;
  readonly fix: string;
}

const STATUS = /^\W*(overall )?(status|state|estado|durum|statut|stand|状態|状态)\W*$/i;
const DONE =
  /\b(complete[d]?|done|implemented|merged|shipped|finished|closed|erledigt|terminé|completad[oa]|tamamlandı)\b|✅|完了|完成/i;
const OPEN = /\bnot\b|partial|in progress|pending/i;

/** Recognises a plan that is done, a status board and a runbook. Pure. */
export function refusal(
  { sections }: Outline,
  found: { source: string; files: number; checks: number },
): Refused | undefined {
  const blocks = sections.flatMap((section) => section.blocks);
  const boxes = blocks.filter((block) => block.checked !== undefined);
  const lines = found.source.split('\n');
  const status = lines.findIndex((line) => {
    const [name = '', value = ''] = line.replace(/^#+/, '').split(/[:：](.*)$/);
    return STATUS.test(name) && DONE.test(value) && !OPEN.test(value);
  });
  const ticked = boxes.length > 2 && boxes.every((block) => block.checked) ? (boxes[0]?.line ?? 0) : 0;
  if (status >= 0 || ticked > 0)
    return { line: ticked || status + 1, what: 'done', fix: 'Write what is left as a plan of its own.' };
  if (found.files > 0) return undefined;
  const board = blocks.find(({ header = [] }) => header.some((cell) => STATUS.test(plainText(cell))));
  if (board !== undefined)
    return { line: board.line, what: 'a status board', fix: 'Name one item of it and the files that it changes.' };
  const code = blocks.filter((block) => /^(sh|bash|shell|zsh|console|powershell|ps1)\b/i.test(block.lang ?? ''));
  if (code.length < 2 || found.checks + code.length < 3) return undefined;
  return {
    line: code[0]?.line ?? 1,
    what: 'a runbook',
    fix: 'Run its commands yourself; a plan names files to change.',
  };
}
