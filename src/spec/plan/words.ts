import type { Verb } from '../model.ts';

/** What a section of a plan is for, by its heading. Languages: English, Turkish, Japanese, Chinese, German, French, Spanish. */
export type Role = 'work' | 'verification' | 'criteria' | 'untouched' | 'never' | 'context' | 'outside';

// Japanese and Chinese have no word boundaries; \b would never match there.
const ROLES: readonly [Role, RegExp][] = [
  [
    'untouched',
    /\bnot? (touched|changed|modified)\b|\bno changes?\b|read for context|\b(files? to )?(review|read|reference)\b(?!.*\b(plan|steps)\b)|do not (touch|modify|change)|変更しない|不修改|dokunulmayacak/i,
  ],
  [
    'outside',
    /out of scope|non-?goals?|not in scope|スコープ外|対象外|超出范围|不在范围|kapsam dışı|hors périmètre|fuera de alcance|außerhalb/i,
  ],
  [
    'never',
    /\broll ?back\b|\bdeploy(ment|ing)?\b|branch (policy|strategy)|\brelease\b|git workflow|ロールバック|デプロイ|回滚|部署|geri alma|dağıtım/i,
  ],
  [
    'criteria',
    /(acceptance|completion|success|validation|done) (criteria|metrics)|definition of done|完了条件|受け入れ|验收|kabul kriter/i,
  ],
  [
    'verification',
    /\bverif(y|ication)\b|\btest(s|ing)?( plan| checklist| commands?| strategy)?$|^test(s|ing)?\b(?!.*\bfor\b)|\bvalidation\b|how to (test|check)|検証|テスト(計画|方法)?$|确认方法|验证|測試|测试(计划|方法)?$|doğrulama|^testler?$|überprüfung|vérification|verificación|pruebas/i,
  ],
  [
    'context',
    /^(context|background|overview|summary|problem|motivation|current (state|behaviou?r)|analysis|goal|objective|architecture|risks?|notes?|references?|open questions?|assumptions|review notes?|why|rationale|root cause|before|after|before.*after)\b|背景|概要|目的|現状|总结|概述|目标|bağlam|özet|amaç|kontext|contexte|contexto/i,
  ],
];

export function roleOf(heading: string): Role {
  return ROLES.find(([, pattern]) => pattern.test(heading.replace(/[*`#:]/g, '').trim()))?.[0] ?? 'work';
}

/** `Step 1: Title`, `Phase 2`, `3. Title`, `第1章`, `ステップ 1` → a unit of work by its own heading. */
const UNIT =
  /^(?:\**\s*)?(?:(?:step|phase|task|stage|part|milestone|adım|aşama|görev|schritt|étape|paso|fase|ステップ|フェーズ|タスク|手順|步骤|阶段|任务)\s*#?\s*(\d+(?:\.\d+)?[a-z]?)|第\s*([\d一二三四五六七八九十]+)\s*[步章阶段]*|(\d+(?:\.\d+)?)[.)、]\s*(?=\S))\s*\**\s*(?:--|[–—:.、：-])?\s*/i;
const PHASE = /^(?:\**\s*)?(?:phase|stage|milestone|aşama|fase|フェーズ|阶段)\b|^第.*[章阶段]/i;

export function unitOf(heading: string): { title: string; phase: boolean } | undefined {
  const match = UNIT.exec(heading);
  if (match === null) return undefined;
  const title = heading
    .slice(match[0].length)
    .replace(/^\*+|\*+$/g, '')
    .trim();
  return { title: title === '' ? heading.replace(/\*/g, '').trim() : title, phase: PHASE.test(heading) };
}

export const PARALLEL = /\b(in parallel|parallel|independent(ly)?|concurrently)\b|並行|並列|并行|paralel/i;

const VERB_WORDS: readonly [Verb, RegExp][] = [
  [
    'CREATE',
    /\b(create[sd]?|new file|new|add(?:ing)? (?:a |the )?(?:new )?(?:file|module|component|test|page|folder)|oluştur\w*|yeni|erstell\w*|neue?r?|crée[rz]?|nouveau|crear|nuevo)\b|新規|作成|追加|新建|创建|新增/i,
  ],
  ['DELETE', /\b(delete[sd]?|remove[sd]?|drop|sil(?:in|ecek)?|löschen?|supprimer|eliminar|borrar)\b|削除|删除|移除/i],
  [
    'MODIFY',
    /\b(modif(?:y|ied|ies)|update[sd]?|edit|change[sd]?|extend|refactor|fix|rename|move|register|wire|değiştir\w*|güncelle\w*|ändern|modifier|modificar|actualizar)\b|変更|修正|更新|修改/i,
  ],
];

/** The verb that a short label or table cell states, or undefined. */
export const verbIn = (text: string): Verb | undefined => VERB_WORDS.find(([, pattern]) => pattern.test(text))?.[0];

/** The verb that stands right before a path: only such a "remove" means the file itself. */
export function verbBefore(text: string): Verb | undefined {
  const clause =
    text
      .slice(-200)
      .split(/[.;。；]\s|\s[–—]\s|--/)
      .at(-1) ?? '';
  if (
    /\b(delete|remove|drop|sil|löschen?|supprimer|eliminar)\W*(the\s|file\s|old\s|obsolete\s|unused\s|legacy\s|dead\s|and\s|,|`|\*)*\W*$|(削除|删除|移除)[:：\s*`]*$/i.test(
      clause,
    )
  )
    return 'DELETE';
  if (
    /\b(create|new|oluştur|yeni|crear|crée[rz]?|erstelle)\W*(\w+[\s-]){0,6}\W*$|(新規|作成|新建|创建|新增|追加)[^。]{0,12}$/i.test(
      clause,
    )
  )
    return 'CREATE';
  return undefined;
}

/** Verbs that follow the path, as Japanese, Chinese, Turkish and "`path` (NEW)" put them. */
export function verbAfter(text: string): Verb | undefined {
  const near = text.slice(0, 40);
  const mark =
    /^[\s`*]*\(\**(new|yeni|新規|新建|新增|created?|deleted?|removed?|削除|删除|silinecek)(?![a-z])/i.exec(near)?.[1] ??
    /^[\s`*]*(?:--|[–—-])\s*\**(create|new file|delete)(?![a-z])/i.exec(near)?.[1];
  if (mark !== undefined) return verbIn(mark);
  if (/^[`*\s]*(を|ファイルを)?(削除)|^[`*\s]*(dosyasını )?sil/.test(near)) return 'DELETE';
  if (/^[`*\s]*(を|ファイルを)?(新規)?(作成|追加)|^[`*\s]*(dosyasını )?oluştur/.test(near)) return 'CREATE';
  return undefined;
}

/** True when the path is only pointed at: read it, follow it, leave it. */
export function isReference(before: string): boolean {
  const near = before.slice(-80);
  if (/\b(follow(s|ing)?|style|pattern|conventions?|example)\b(\W+\w+){0,3}\W*$/i.test(near)) return true;
  if (/\bfrom\W*$/i.test(near)) return TAKING.test(near);
  return REFERENCE.test(near);
}

/** "Call x from `a`" points at a; "export x from `a`" and "extract x from `a`" change it. */
const TAKING =
  /\b(call(s|ed|ing)?|use[sd]?|using|import(s|ed|ing)?|take[sn]?|copied|copy|reuse[sd]?|read(s|ing)?|comes?|get(s|ting)?)\b/i;

const REFERENCE =
  /\b(see|like|unlike|similar to|same as|based on|as (?:in|does)|mirrors?|mirroring|reference|refer to|look at|consult|read|reuse[sd]?|reusing|existing|per|uses?|using|already in|defined in|described in|compare|do not (?:touch|change|modify)|don't (?:touch|change|modify)|leave|keep)\W*(?:the\s|how\s|existing\s|in\s|file\s|`|\*|\()*\W*$|(参照|参考|参见)[:：\s`*]*$/i;
