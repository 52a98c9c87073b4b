import type { RepoFacts } from '../facts.ts';
import { plainOf, plainText, spans } from '../inline.ts';
import { readFile } from '../lines.ts';
import { findPaths, joins, lastWords, type Mention, nearWords } from '../mentions.ts';
import { byName, byStem, rooted } from '../tracked.ts';
import { drawnFiles } from '../tree.ts';
import type { Outline, PlanBlock, Section } from './outline.ts';

/** A path with what the plan's structure says of it. */
export interface Candidate {
  readonly text: string;
  readonly section: Section;
  readonly line: number;
  /** What names it: the plan's structure, a sentence that changes it, a sentence, or words that only point at it. */
  readonly rank: 'listed' | 'prose' | 'mention' | 'context';
  /** True where the plan says that the file itself goes. */
  readonly deletes: boolean;
  /** The folder that the section speaks of, or ''. */
  readonly folder: string;
  /** True for a path that is written from the top. */
  readonly exact: boolean;
  /** True for a path that a line of the spec's grammar creates: it says itself where it lies. */
  readonly creates?: boolean;
  /** The list that it stands in, by its place in the section; items of one list are equals. */
  readonly list?: number | undefined;
}

/** What only points at a path, in a label or in the words before it. */
const POINTS =
  /\b(see|like|unlike|similar to|same as|based on|mirror\w*|references?|refer to|look at|consult|read|reus\w*|existing|us(es?|ing)|from|defined|described|documented|compared?|verify|check|review|confirm|inspect|unchanged|keep|leave|not|don't|without|follow\w*|suivre|patterns?|conventions?|example|source|spec|design|docs?|run|command|expected|output|evidence|imports?|called by|under test|tests? for|plans?|parent|per|via|wraps?|against|grep|in line with|branch|tracking|ticket|backup|depend\w*)\b|参照|参考|参见|既存/i;
const DELETES =
  /\b(delet\w+|remov(e[sd]?|al)|drop|supprim\w*|lösch\w*|elimina\w*|borra\w*|sil(in\w*|ecek)?|удал\w*|видал\w*)\b|削除|删除|移除/i;
const CREATES =
  /\b(creat\w+|new|crée\w*|créer|creer|nouveau\w*|erstell\w*|nuevo\w*|crear|yeni|oluştur\w*|створ\w*|созда\w*)\b|新規|作成|新建|创建|新增/i;
const EDITS =
  /\b(add(s|ed)?|modif\w*|updat\w*|edit\w*|chang\w*|extend\w*|refactor\w*|fix\w*|renam\w*|mov\w*|rewrit\w*|writ\w*|append\w*|insert\w*|extract\w*|implement\w*|wir\w*|register\w*|replac\w*|migrat\w*|convert\w*|in|into|to|güncelle\w*|değiştir\w*)\b|追加|変更|修正|更新|修改/i;
const FILES = /\b(files?|dosya\w*|fichiers?|archivos?|ficheros?|dateien?)\b|ファイル|文件|файл/i;
const NOTHING =
  /^\W*(no( code| api| ui| new)?( \S+){0,4} (changes?|needed|required|necessary)|none|nothing|unchanged|unaffected|not needed)\b/i;
const SMALL = String.raw`\W*((the|all|root|both|old|unused|legacy|dead|and|files?|directory|folder)\W+)*$`;
/** The verb that stands right before a path: it is the file itself that goes. */
const TO_DELETE = new RegExp(`(${DELETES.source})${SMALL}`, 'i');
const ALONE = new RegExp(`^\\W*(${DELETES.source})${SMALL}`, 'i');
const DELETED =
  /^\W*[(（—–→-]+\W*(deleted?|removed?)\W*($|[)）.,;—–]|(the |this |whole |entire )?(file|entirely)\b)|^[`*\s]*(を|dosyasını)?\s*(削除|删除|sil)/i;
const ONE_WORD = /^\P{L}*\p{L}+\P{L}*($|file|entire|[(（—–-])/iu;
const LOOK_ONLY =
  /^\W*(verify|check|review|read|references?|keep|reuse|unchanged|none|no |existing|pattern|already|see|do not|not (to be |be )?(touched|changed|modified|edited)|untouched|under test)/i;
/** A line that is one path in backticks, and perhaps a remark on it. */
const ONE_PATH = /^\S+\s+`[^`]+`\s*($|--|[–—-]\s|[(:])/;
/** Who takes something from a file changes it. */
const TAKES = /\b(delet|remov|drop|extract|mov|strip)\w*\s+\S.*\sfrom\s*$/i;
const SENTENCE = /^\W*(\p{L}+\s+){2}\p{L}/u;

/** All paths of the plan with their ranks. Pure. */
export function candidates(plan: Outline, facts: RepoFacts): Candidate[] {
  const folders = new Map<Section | undefined, string>();
  return plan.sections.flatMap((section) => {
    const { found, folder = folders.get(section.above) ?? '' } = new Reader(section, facts).read();
    folders.set(section, folder);
    return found.map((item) => ({ ...item, folder }));
  });
}

/** True for a section that lists files as such: what a sentence elsewhere names is then no work. */
export const listsFiles = (section: Section): boolean => FILES.test(section.title) && section.role === 'work';

class Reader {
  private readonly found: Omit<Candidate, 'folder'>[] = [];
  /** The paths of the heading and of the first paragraphs: a folder that stands there alone is where everything goes. */
  private readonly leads: Mention[][] = [];
  private paragraphs = 0;
  private list: number | undefined;
  /** What the last label said, for the items below it. */
  private label = { text: '', depth: 0 };
  private readonly columns = new Map<readonly string[], number>();

  constructor(
    private readonly section: Section,
    private readonly facts: RepoFacts,
  ) {}

  /** What the section names, and the folder that it speaks of. */
  read(): { found: Omit<Candidate, 'folder'>[]; folder: string | undefined } {
    if (this.section.depth > 0) this.heading(this.section);
    for (const [at, block] of this.section.blocks.entries()) {
      if (!block.nested) this.list = block.kind === 'item' ? (this.list ?? at) : undefined;
      if (block.kind === 'code') this.tree(block);
      else if (block.kind === 'row') this.row(block);
      else if (block.checked !== true && !this.written(block)) this.text(block);
    }
    const [lead] = this.leads.find(([path, ...others]) => path?.text.endsWith('/') && others.length === 0) ?? [];
    return { found: this.found, folder: lead?.text.replace(/^\.\/|\/$/g, '') };
  }

  private add(text: string, line: number, how: Pick<Candidate, 'rank'> & Partial<Candidate>): void {
    const { section } = this;
    const tests = section.role === 'check' && how.rank === 'listed' && /test|spec/i.test(text);
    const rank = section.role === 'work' || tests ? how.rank : 'context';
    this.found.push({ deletes: false, exact: false, list: this.list, ...how, rank, text, section, line });
  }

  private heading({ title, line, blocks }: Section): void {
    const runs = spans(title);
    const paths = findPaths(runs, this.facts);
    this.leads.push(paths);
    const quiet = NOTHING.test(blocks[0]?.text ?? '');
    for (const { text, before, quoted } of paths) {
      const unsure = /\([^)]*$/.test(before) || (!text.includes('/') && byName(text, this.facts).length === 0);
      const vague = text.endsWith('/') || (!quoted && unsure);
      const rank = quiet || vague || POINTS.test(nearWords(before)) ? 'context' : 'listed';
      this.add(text, line, { rank, deletes: TO_DELETE.test(before) });
    }
    // A type in a heading is the one file that is called so.
    for (const { kind, text } of paths.length > 0 || quiet ? [] : runs) {
      const [file, ...others] = kind === 'code' && /^[A-Z]\w+$/.test(text) ? byStem(text, this.facts) : [];
      if (file !== undefined && others.length === 0) this.add(file, line, { rank: 'prose' });
    }
  }

  /** Reads a line of the spec's grammar, which names a path whatever it looks like; false for any other block. */
  private written({ kind, text, line }: PlanBlock): boolean {
    const { verb, path } = readFile(text.split('\n')[0] ?? '', undefined, { line, column: 1 });
    if (kind !== 'item' || verb === undefined || /^\W?$|[*{]|\w:\/\/|:L?\d/.test(path)) return false;
    const lists = listsFiles(this.section) || FILES.test(this.label.text) || /^[^/]+\//.test(path);
    if (!lists || !(ONE_PATH.test(text) || (!/[\s`]|[,:]$/.test(path) && !text.includes('`')))) return false;
    this.add(path, line, { rank: 'listed', deletes: verb === 'DELETE', creates: verb === 'CREATE' });
    return true;
  }

  private text(block: PlanBlock): void {
    const paths = findPaths(block.runs, this.facts);
    const leads = block.kind === 'paragraph' && !block.nested && this.paragraphs++ < 2;
    if (leads) this.leads.push(paths);
    const ends = block.kind === 'paragraph' ? !block.nested : block.depth < this.label.depth;
    if (ends) this.label = { text: '', depth: 0 };
    if (paths.length === 0) {
      const text = plainOf(block.runs);
      if (labelOf(text.split('\n')[0] ?? '') || /[:：]$/.test(text)) this.label = { text, depth: block.depth };
      return;
    }
    let head = '';
    let previous: Mention | undefined;
    for (const mention of paths) {
      const same = previous?.offset === mention.offset ? previous : undefined;
      const between = same === undefined ? '' : mention.before.slice(same.before.length).replace(same.text, '');
      if (same === undefined || labelOf(head) === undefined || !joins(between)) head = mention.before;
      const own = labelOf(head);
      const label = own || this.label.text;
      const near = TAKES.test(lastWords(head)) ? nearWords(head).replace(/from$/i, '') : nearWords(head);
      const points = POINTS.test(own === undefined ? `${label} ${near}` : label) && !FILES.test(label);
      const works = [CREATES, EDITS, DELETES].some((verb) => verb.test(lastWords(head)));
      const context = points || (own !== undefined && saysContext(mention.after));
      const below = same?.text.endsWith('/') === true && !mention.text.includes('/') ? same.text : '';
      const listed = own !== undefined || (below !== '' && label !== '');
      const rank = context ? 'context' : listed ? 'listed' : works ? 'prose' : 'mention';
      const how = { rank, deletes: this.deletes(mention, head, label) } as const;
      this.add(below + mention.text, block.line + mention.offset, how);
      previous = mention;
    }
  }

  private deletes({ after }: Mention, head: string, label: string): boolean {
    const { title } = this.section;
    const said = label === '' && (FILES.test(title) || ONE_WORD.test(title)) ? title : label;
    const explained = /^\W*[:—–-]/.test(after) && labelOf(head) === '';
    if (DELETED.test(after) || (TO_DELETE.test(head) && !/^\W*(from|in|of|'s)\b/i.test(after))) return true;
    return DELETES.test(said) && !EDITS.test(said) && !explained;
  }

  /** A row of a table whose column holds paths, and what another cell says is to be done with them. */
  private row({ cells = [], header = [], line }: PlanBlock): void {
    const at = this.columns.get(header) ?? this.columnOf(header);
    const others = cells.filter((_, column) => column !== at).map(plainText);
    const rank = others.some((cell) => LOOK_ONLY.test(cell)) ? 'context' : 'listed';
    const goes = others.some((cell) => ONE_WORD.test(cell) && DELETES.test(cell));
    const alone = others.every((cell) => cell === '');
    for (const mention of findPaths(spans(cells[at] ?? ''), this.facts)) {
      const deletes = goes || DELETED.test(mention.after) || (alone && this.deletes(mention, '', ''));
      this.add(mention.text, line, { rank, deletes });
    }
  }

  /** The first column in which most cells begin with a path; looked for once for each table. */
  private columnOf(header: readonly string[]): number {
    const rows = this.section.blocks.filter((block) => block.header === header).slice(0, 100);
    // A sentence or the name of an area may begin so: only the first column may go on in words, or hold patterns.
    const leads = (cell = '', column = 0): boolean => {
      const [path] = findPaths(spans(cell), this.facts);
      return (
        path !== undefined &&
        labelOf(path.before) === '' &&
        (column === 0 || !(path.text.includes('*') || SENTENCE.test(path.after)))
      );
    };
    const at = header.findIndex((_, n) => rows.filter((row) => leads(row.cells?.[n], n)).length * 2 > rows.length);
    this.columns.set(header, at);
    return at;
  }

  /** The new files of a drawn tree, and those that a remark marks. */
  private tree(block: PlanBlock): void {
    for (const { path, remark, offset, fromTop } of drawnFiles(block.text)) {
      const below = rooted(path, this.facts);
      const works = !this.facts.files.has(below) || [CREATES, EDITS, /[←*]/].some((mark) => mark.test(remark));
      this.add(below, block.line + 1 + offset, {
        rank: works ? 'listed' : 'context',
        exact: fromTop || below !== path,
      });
    }
  }
}

const saysContext = (after: string): boolean =>
  /^\W*if (it |they )?(exists?|present|any)\b/i.test(after) || (/^\W*[(（:—–-]/.test(after) && LOOK_ONLY.test(after));

/** What stands before a path that an item or a line is about: '' for nothing, a verb of the spec, or a label such as "Files:". */
function labelOf(before: string): string | undefined {
  if (!/[\p{L}\p{N}]/u.test(before)) return '';
  const [, label = '', small = ''] =
    /^[^\p{L}\p{N}]*([^.:：。]{1,60}?)\s*(?:\([^)]*\))?\s*([:：]?)[\s*_]*(?:(?:all|every|each|root|the|new|both|one)\s+)?$/iu.exec(
      before,
    ) ?? [];
  if (small === '') return /^\W*(CREATE|MODIFY|DELETE)\W*$/.test(before) || ALONE.test(before) ? before : undefined;
  return /\d$/.test(label) || label === '' ? undefined : label;
}
