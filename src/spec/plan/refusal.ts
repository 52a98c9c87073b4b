import { plainText } from '../inline.ts';
import { type Finding, finding } from '../model.ts';
import type { Outline } from './outline.ts';

const STATUS = /^\W*(overall )?(status|state|estado|durum|statut|stand|状態|状态)\W*$/i;
const DONE =
  /\b(complete[d]?|done|implemented|merged|shipped|finished|closed|erledigt|terminé|completad[oa]|tamamlandı)\b|✅|完了|完成/i;
const OPEN = /\bnot\b|partial|progress|pending|ready|approv|plan|await|propos|draft|design|next/i;

const refuse = (line: number, what: string, fix: string): Finding =>
  finding('plan/refused', 'error', { line, column: 1 }, `This plan is ${what}: no work to hand over.`, fix);

/** Recognises what is no plan of work: one that is done, a status board, a runbook, and one that says nothing. Pure. */
export function refusal({ sections }: Outline, found: { files: number; checks: number }): Finding | undefined {
  const blocks = sections.flatMap((section) => section.blocks);
  const boxes = blocks.filter((block) => block.checked !== undefined);
  const texts = sections.flatMap(({ title, line, blocks: own }) => [{ text: title, line }, ...own]);
  const states = texts.flatMap(({ text, line }) =>
    text.split('\n').flatMap((one) => {
      const colon = one.search(/[:：]/);
      const [name, value] = colon < 0 ? [one, ''] : [one.slice(0, colon), one.slice(colon + 1)];
      return STATUS.test(name) ? [{ line, done: DONE.test(value) && !OPEN.test(value) }] : [];
    }),
  );
  const [done] = boxes.length > 2 && boxes.every((block) => block.checked) ? boxes : states;
  if (done !== undefined && ('kind' in done || states.every((state) => state.done)))
    return refuse(done.line, 'done', 'Write what is left as a plan of its own.');
  if (found.files > 0) return undefined;
  const board = blocks.find(({ header = [] }) => header.some((cell) => STATUS.test(plainText(cell))));
  if (board !== undefined) return refuse(board.line, 'a status board', 'Name one item of it and its files.');
  const code = blocks.filter((block) => /^(sh|bash|shell|zsh|console|powershell|ps1)\b/i.test(block.lang ?? ''));
  if (code.length > 1 && found.checks + code.length > 2)
    return refuse(code[0]?.line ?? 1, 'a runbook', 'Run its commands yourself; a plan names files to change.');
  return found.checks > 0 ? undefined : refuse(1, 'without a file or a check', 'Add ## Files and ## Verification.');
}
