import { type Block, readDocument } from '../blocks.ts';
import { plainText, type Span, spans } from '../inline.ts';

/** What a section of a plan is for: work to be done, how to check it, or what to know. */
export type Role = 'work' | 'check' | 'context';

/** A block with its text split into runs; code has none. */
export type PlanBlock = Block & { readonly runs: readonly Span[] };

export interface Section {
  readonly role: Role;
  readonly title: string;
  /** Heading depth; 0 before the first heading. */
  readonly depth: number;
  readonly line: number;
  readonly blocks: PlanBlock[];
  readonly above: Section | undefined;
  /** The word before the number of a heading such as "Step 2: …"; '' for "3. …", undefined without a number. */
  readonly unit: string | undefined;
}

export type Outline = { readonly title: string; readonly sections: readonly Section[] };

const CHECK =
  /\b(verif\w*|vérif\w*|testing|test (plan|strategy|cases|steps)|tests?$|validation|acceptance|success criteria|done criteria|definition of done|how to test|quality gates?|pruebas?|prüfung|doğrula\w*|kiểm)|^(checks?|checklist)\b|検証|動作確認|验证|测试|тест|перевір|провер/i;
/** Headings of what is only to be known, as they begin; a heading that names a file is none of them. */
const CONTEXT =
  /^(context\b|contesto|contexte|kontext|bağlam|background|motivation|problem|issues?\b|why\b|(non-?)?goals?\b|objectives?|current (state|behaviou?r|implementation|status|situation|architecture|flow|setup)|existing|as-is|what exists|already (done|exists|implemented|in place)|(key |design )*decisions?|risks?\b|open (questions|issues|points)|questions?$|alternatives?|roll-?back|roll-?out|deploy(ment|ing)?\b|release (plan|process|notes)|git (workflow|strategy)|branch (policy|strategy)|future\b|follow-?ups?|out of scope|references?\b|related (work|files|code|docs|issues|links)|(implementation )?notes?$|(global )?constraints|assumptions?|pre-?requisites?|dependencies|self-?review|estimat|timeline|effort|verdict|analysis|root cause|appendix|glossary|runbook|operations?$|recommended|breaking changes?|known (issues|limitations)|expected (impact|results?|outcomes?|benefits?|effects?)|limitations?|trade-?offs?|patterns?\b|conventions?|reusable|commits?( plan| messages?)?\b|hors|fuera|außerhalb|kapsam)|^(背景|概要|目的|現状|既知|運用|参考|补充|контекст|мета)/i;
const UNTOUCHED =
  /\b(not (be )?(touched|changed|modified|in (this|scope))|no changes?|unchanged|do not|don't|reuse|for reference|read for context|to read|under test|réutiliser|wiederverwend\w*|nicht (anfassen|anrühren|ändern)|ne pas (toucher|modifier)|sin cambios|no (tocar|modificar))\b|変更しない|不修改|不变|スコープ外|対象外/i;
/** What a person also writes above work: the items say which it is. */
const EITHER = /^(recommended|implementation notes|existing)\b/i;
const CHANGE =
  /^\W*(add|creat|updat|modif|chang|remov|delet|drop|replac|renam|mov|extract|implement|writ|wir|refactor|fix|introduc|extend)\w*\b/i;
const UNIT =
  /^\W*(?:(?<word>\p{L}[\p{L}.]*)\s*#?\s*)?(?<number>\d+(?:\.\d+)*[a-z]?|[一二三四五六七八九十]+)\s*(?:[.():：、–—-]|$|章|步)\s*/u;

/** A step is work wherever it stands. */
const STEP =
  /^(task|step|phase|stage|part|étape|etape|schritt|paso|fase|adım|aşama|шаг|крок|этап|етап|bước|ステップ|フェーズ|タスク|第)$/i;

/**
 * Cuts a plan at its headings and gives each piece a role, which pieces below inherit. Lines that stand beside the plan,
 * as its header, are no part of its last section, and count on from its last line.
 */
export function outline(source: string, header = ''): Outline {
  const { title, sections } = cut(source, '');
  if (header.trim() === '') return { title, sections };
  const beside = cut(header.replace(/^\**(Files|Verification)\**:\**[ \t]*$/gim, '## $1'), 'header').sections;
  const from = source.split('\n').length + 1;
  for (const section of beside) {
    section.line += from;
    section.blocks.forEach((block, at) => {
      section.blocks[at] = { ...block, line: block.line + from, end: block.end + from };
    });
  }
  return { title, sections: [...sections, ...beside] };
}

type Piece = { -readonly [Key in keyof Section]: Section[Key] };

/** @param known the title where another text holds it: then no heading is the title. */
function cut(source: string, known: string): { title: string; sections: Piece[] } {
  let current: Piece = { role: 'work', title: '', depth: 0, line: 1, blocks: [], above: undefined, unit: undefined };
  const sections = [current];
  let title = known;
  for (const block of readDocument(source).blocks) {
    if (block.kind !== 'heading') {
      current.blocks.push({ ...block, runs: block.kind === 'code' ? [] : spans(block.text) });
      continue;
    }
    const text = block.text.replace(/\s+#+$/, '');
    const first = title === '';
    if (first) title = plainText(text).replace(/^(implementation )?plan\s*[:–—-]+\s*/i, '');
    let above: Section | undefined = current;
    while (above !== undefined && above.depth >= block.depth) above = above.above;
    const found = UNIT.exec(text.replace(/^[*`\s]+/, ''));
    const name = plainText(text.replace(found?.[0] ?? '', ''));
    const own = first && block.depth === 1 ? 'work' : roleOf(name === '' ? text : name);
    const inherits = own === 'work' && !(above?.role === 'context' && STEP.test(found?.groups?.word ?? ''));
    current = {
      role: inherits ? (above?.role ?? own) : own,
      title: text,
      depth: block.depth,
      line: block.line,
      blocks: [],
      above,
      unit: found === null ? undefined : (found.groups?.word ?? '').toLowerCase(),
    };
    sections.push(current);
  }
  for (const section of sections) {
    const items = section.blocks.filter(({ kind }) => kind === 'item');
    const changes = items.filter(({ text }) => CHANGE.test(text));
    if (section.role !== 'context' || !EITHER.test(plainText(section.title).replace(/^[\W\d]+/, ''))) continue;
    if (changes.length * 2 > items.length) section.role = 'work';
  }
  return { title, sections };
}

function roleOf(name: string): Role {
  const reads = UNTOUCHED.test(name) || (CONTEXT.test(name) && !/\w\.[a-z]{1,5}\b|\w\/\w/i.test(name));
  return reads ? 'context' : CHECK.test(name) ? 'check' : 'work';
}
