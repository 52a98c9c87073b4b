import { type Block, readDocument } from '../blocks.ts';
import { plainText } from '../inline.ts';

/** What a section of a plan is for: work to be done, how to check it, or what to know. */
export type Role = 'work' | 'check' | 'context';

export interface Section {
  readonly role: Role;
  readonly title: string;
  /** Heading depth; 0 before the first heading. */
  readonly depth: number;
  readonly line: number;
  readonly blocks: Block[];
  readonly above: Section | undefined;
  /** Set for a heading that carries a number, such as "Step 2: …" or "3. …". */
  readonly unit: { readonly word: string } | undefined;
}

export interface Outline {
  readonly title: string;
  readonly sections: readonly Section[];
}

const CHECK =
  /\b(verif\w*|vérif\w*|testing|test (plan|strategy|cases|steps)|tests?$|validation|acceptance|success criteria|done criteria|definition of done|how to test|quality gates?|pruebas?|prüfung|doğrula\w*|kiểm)|^(checks?|checklist)\b|検証|動作確認|验证|测试|тест|перевір|провер/i;
const CONTEXT =
  /^(context\w*|contesto|kontext|bağlam|background|motivation|problem|issue|why|goals?|non-?goals?|objectives?|current|existing|as-is|what exists|already|key decisions?|(key |design )?decisions?|risks?|open|questions?|alternatives?|considered|roll-?back|roll-?out|deploy\w*|release|git|branch|future|follow-?ups?|out of scope|references?|related|notes?|constraints|global constraints|assumptions?|pre-?requisites?|dependencies|self-?review|estimat\w*|timeline|effort|verdict|analysis|root cause|appendix|glossary|runbook|operations?|recommended|breaking|known|limitations?|trade-?offs?|patterns?|conventions?|reusable|commits?|hors|fuera|außerhalb|kapsam)\b|^(背景|概要|目的|現状|既知|運用|参考|补充|контекст|мета)|\b(not (be )?(touched|changed|modified|in (this|scope))|no changes?|unchanged|do not|don't|reuse|for reference|read for context|to read|under test|réutiliser|wiederverwend\w*)\b|変更しない|不修改|不变|スコープ外|対象外/i;
const UNIT =
  /^\W*(?:(?<word>\p{L}[\p{L}.]*)\s*#?\s*)?(?<number>\d+(?:\.\d+)*[a-z]?|[一二三四五六七八九十]+)\s*(?:[.():：、–—-]|$|章|步)\s*/u;

/** A step is work wherever it stands. */
const STEP =
  /^(task|step|phase|stage|part|étape|etape|schritt|paso|fase|adım|aşama|шаг|крок|этап|етап|bước|ステップ|フェーズ|タスク|第)$/i;

/** Cuts a plan at its headings and gives each piece a role, which pieces below inherit. */
export function outline(source: string): Outline {
  const sections: Section[] = [];
  let current: Section = { role: 'work', title: '', depth: 0, line: 1, blocks: [], above: undefined, unit: undefined };
  sections.push(current);
  let title = '';
  for (const block of readDocument(source).blocks) {
    if (block.kind !== 'heading') {
      current.blocks.push(block);
      continue;
    }
    const text = block.text.replace(/\s+#+$/, '');
    const first = title === '';
    if (first) title = plainText(text).replace(/^(implementation )?plan\s*[:–—-]+\s*/i, '');
    let above: Section | undefined = current;
    while (above !== undefined && above.depth >= block.depth) above = above.above;
    const found = UNIT.exec(text.replace(/^[*`\s]+/, ''));
    const name = plainText(text)
      .slice(found === null ? 0 : plainText(found[0]).length)
      .trim();
    const own = first && block.depth === 1 ? 'work' : roleOf(name === '' ? text : name);
    current = {
      role:
        own === 'work' && above !== undefined && !(above.role === 'context' && STEP.test(found?.groups?.word ?? ''))
          ? above.role
          : own,
      title: text,
      depth: block.depth,
      line: block.line,
      blocks: [],
      above,
      unit: found === null ? undefined : { word: found.groups?.word?.toLowerCase() ?? '' },
    };
    sections.push(current);
  }
  return { title, sections };
}

export const roleOf = (name: string): Role => (CONTEXT.test(name) ? 'context' : CHECK.test(name) ? 'check' : 'work');
