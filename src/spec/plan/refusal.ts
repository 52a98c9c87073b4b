import { plainText } from '../inline.ts';
import type { Outline } from './outline.ts';

/** Why a text is no plan of work to hand over: what it is instead, in one word. */
export interface Refused {
  readonly line: number;
  readonly message: string;
  readonly fix: string;
}

const DONE =
  /\b(all )?(phases? |tasks? |steps? )?(complete[d]?|done|implemented|merged|shipped|finished|closed|erledigt|terminé|completad[oa]|tamamlandı)\b|✅|完了|完成/i;

/** Recognises a plan that is done, a status board and a runbook. Pure. */
export function refusal(
  plan: Outline,
  { source, files, checks }: { source: string; files: number; checks: number },
): Refused | undefined {
  const blocks = plan.sections.flatMap((section) => section.blocks);
  const boxes = blocks.filter((block) => block.checked !== undefined);
  const lines = source.split('\n');
  const status = lines.findIndex((line) =>
    /^\W*(#+\s*)?(overall )?(status|estado|durum|statut|状態|状态)\W*[:：]/i.test(line),
  );
  const says =
    status >= 0 && DONE.test(lines[status] ?? '') && !/\bnot\b|partial|in progress|pending/i.test(lines[status] ?? '');
  const ticked = boxes.length > 2 && boxes.every((block) => block.checked);
  const ask = (line: number, what: string, fix: string): Refused => ({
    line,
    message: `This plan is ${what}: there is nothing in it to hand over.`,
    fix,
  });
  if (says || ticked)
    return ask(says ? status + 1 : (boxes[0]?.line ?? 1), 'done', 'Write what is left as a plan of its own.');
  if (files > 0) return undefined;
  const board = blocks.find(
    (block) =>
      block.kind === 'row' &&
      (block.header ?? []).some((cell) =>
        /^\W*(status|state|estado|durum|statut|stand|状態|状态)\W*$/i.test(plainText(cell)),
      ),
  );
  if (board !== undefined)
    return ask(board.line, 'a status board', 'Name one item of it and the files that it changes.');
  const code = blocks.filter(
    (block) => block.kind === 'code' && /^(sh|bash|shell|zsh|console|powershell|ps1)\b/i.test(block.lang ?? ''),
  );
  if (code.length > 1 && checks + code.length > 2)
    return ask(code[0]?.line ?? 1, 'a runbook', 'Run its commands yourself; a plan names files to change.');
  return undefined;
}
