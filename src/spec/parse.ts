import { type Block, type Document, normalise, placeOf, rawItem, readDocument } from './blocks.ts';
import { cutPlan } from './enclosed.ts';
import { codeSpan, readCommand, readCriterion, readDuration, readFile } from './lines.ts';
import { type Finding, finding, type Place, type Spec, type Task, type Verb } from './model.ts';

export interface Parsed {
  readonly spec: Spec;
  readonly findings: readonly Finding[];
  readonly lines: readonly string[];
}

type Section = 'preamble' | 'goal' | 'context' | 'constraints' | 'tasks' | 'verification' | 'criteria' | 'extra';

const SECTIONS: Record<string, Section> = {
  goal: 'goal',
  context: 'context',
  constraints: 'constraints',
  tasks: 'tasks',
  verification: 'verification',
  'completion criteria': 'criteria',
};
const TITLE = /^Spec\s*:?\s*#?(\d+)\s*(?:--|[–—:-])\s*(.+)$/;
const TASK = /^Task\s+(\d{1,6})(?:\s*(?:--|[–—:.-])\s*|\s+|$)(.*)$/i;
const TAG = /\s\[INDEPENDENT\]$/i;

/** More sections than anybody wrote for a reader; the time stays linear in what is left. */
const MOST_SECTIONS = 5000;

type Slot =
  | { readonly list: 'files'; readonly verb: Verb | undefined }
  | { readonly list: 'interfaces' | 'requirements' | 'verification' | 'done' | 'protected' | 'generated' };

const LABELS: Record<string, Slot> = {
  files: { list: 'files', verb: undefined },
  'files to create': { list: 'files', verb: 'CREATE' },
  'files to modify': { list: 'files', verb: 'MODIFY' },
  'files to delete': { list: 'files', verb: 'DELETE' },
  interfaces: { list: 'interfaces' },
  requirements: { list: 'requirements' },
  verification: { list: 'verification' },
  'done when': { list: 'done' },
  protected: { list: 'protected' },
  'allow generated': { list: 'generated' },
};

/** A line that may be the title of a spec: a text without one need not be read as Markdown. */
const TITLE_LINE = /^\ufeff? {0,3}#[ \t]+Spec/m;

/** True when the text is a spec already: it is passed through byte for byte. */
export function isSpec(source: string): boolean {
  if (!TITLE_LINE.test(source)) return false;
  const heading = readDocument(cutPlan(source)?.head ?? source).blocks.find((block) => block.kind === 'heading');
  return heading !== undefined && heading.depth === 1 && /^Spec\s*:?\s*#?\d+\s*(--|[–—:-])/.test(heading.text);
}

/** Parses a spec of any bytes. Never throws: what cannot be read is a finding, and the rest is kept. */
export function parseSpec(source: string): Parsed {
  const enclosed = cutPlan(source);
  if (enclosed === undefined) return parseText(source);
  const { spec, findings } = parseText(enclosed.head);
  const at = { line: 1, column: 1 };
  const damaged = finding(
    'spec/plan-damaged',
    'error',
    at,
    `${enclosed.damage}.`,
    'Convert the approved plan again: kimi-dispatch spec PLAN',
  );
  return {
    spec: { ...spec, plan: enclosed.plan, scope: enclosed.scope === 'guess' ? 'guess' : 'contract' },
    findings: enclosed.damage === '' ? findings : [...findings, damaged],
    lines: normalise(source).split('\n'),
  };
}

function parseText(source: string): Parsed {
  let document = readDocument(source);
  const last = document.blocks.at(-1);
  const findings: Finding[] = [];
  if (last?.kind === 'code' && last.closed === false && !last.nested) {
    const at = { line: last.line, column: last.column };
    findings.push(
      finding(
        'spec/unclosed-fence',
        'error',
        at,
        'This code block is never closed.',
        'Close it with the same fence on its own line.',
      ),
    );
    const fence = /^\s*(`{3,}|~{3,})/.exec(document.lines[last.line - 1] ?? '')?.[0] ?? '```';
    document = readDocument(`${source}\n${fence}\n`);
  }
  const parser = new Parser(document, findings);
  parser.run();
  return { spec: parser.spec, findings, lines: document.lines };
}

export const emptyTask = (number: number, title: string, at: Place): Task => ({
  number,
  title,
  independent: false,
  dependsOn: [],
  uses: [],
  files: [],
  interfaces: [],
  requirements: [],
  verification: [],
  criteria: [],
  notes: '',
  at,
});

export const emptySpec = (): Spec => ({
  number: '',
  title: '',
  format: '',
  base: '',
  profile: '',
  limits: {},
  preamble: '',
  goal: '',
  context: '',
  constraints: [],
  constraintNotes: '',
  protected: [],
  generated: [],
  tasks: [],
  taskNotes: '',
  verification: [],
  verificationNotes: '',
  criteria: [],
  criteriaNotes: '',
  extra: [],
  scope: 'contract',
  plan: '',
});

class Parser {
  readonly spec = emptySpec();
  private section: Section = 'preamble';
  private readonly seen = new Set<Section>();
  private task: Task | undefined;
  private slot: Slot | undefined;
  private titled = false;
  /** Lines that a rule has read; what is left belongs, as it stands, to its section or task. */
  private readonly claimed = new Set<number>();
  private readonly ranges: { key: string; from: number }[] = [{ key: 'preamble', from: 1 }];

  constructor(
    private readonly document: Document,
    private readonly findings: Finding[],
  ) {}

  run(): void {
    let skipTo = 0;
    for (const [index, block] of this.document.blocks.entries()) {
      if (block.line <= skipTo && block.nested) continue;
      if (block.kind === 'heading') this.heading(block, index);
      else if (block.kind === 'paragraph' && !block.nested) this.paragraph(block);
      else if (block.kind === 'item' && !block.nested && this.item(block)) skipTo = block.end;
      else if (block.kind === 'code' && !block.nested && this.slot?.list === 'verification') this.codeCommands(block);
    }
    this.collect();
  }

  private collect(): void {
    const lines = this.straightened();
    const texts = new Map<string, string>();
    for (const [index, { key, from }] of this.ranges.entries()) {
      const to = (this.ranges[index + 1]?.from ?? this.document.lines.length + 1) - 1;
      const kept: string[] = [];
      for (let line = from; line <= to; line++) if (!this.claimed.has(line)) kept.push(lines[line - 1] ?? '');
      const text = trimBlankLines(kept);
      const before = texts.get(key) ?? '';
      texts.set(key, before === '' || text === '' ? before + text : `${before}\n\n${text}`);
    }
    const text = (key: string): string => texts.get(key) ?? '';
    Object.assign(this.spec, {
      preamble: text('preamble'),
      goal: text('goal'),
      context: text('context'),
      constraintNotes: text('constraints'),
      taskNotes: text('tasks'),
      verificationNotes: text('verification'),
      criteriaNotes: text('criteria'),
    });
    for (const [index, task] of this.spec.tasks.entries()) task.notes = text(`task ${index}`);
    for (const [index, extra] of this.spec.extra.entries()) extra.text = text(`extra ${index}`);
  }

  /** Code blocks lose their indentation: beside a list it would make them part of the list. */
  private straightened(): string[] {
    const lines = [...this.document.lines];
    for (const block of this.document.blocks) {
      if (block.kind !== 'code' || block.nested || block.column === 1) continue;
      for (let at = block.line - 1; at < block.end; at++) {
        const line = lines[at] ?? '';
        lines[at] = line.slice(Math.min(block.column - 1, line.search(/\S|$/)));
      }
    }
    return lines;
  }

  private claim(from: number, to = from): void {
    for (let line = from; line <= to; line++) this.claimed.add(line);
  }

  private heading(block: Block, index: number): void {
    const text = block.text.length > 500 ? '' : block.text;
    const title = TITLE.exec(text);
    if (!this.titled && index === 0 && title !== null && block.depth === 1) {
      this.spec.number = title[1] ?? '';
      this.spec.title = (title[2] ?? '').trim();
      this.titled = true;
      this.claim(block.line);
      return;
    }
    const task = TASK.exec(text);
    const inTasks = block.depth <= 2 || (block.depth <= 4 && (this.section === 'tasks' || this.section === 'preamble'));
    if (task !== null && inTasks) this.openTask(task, block);
    else if (block.depth <= 2) this.openSection(block);
    else {
      const slot = this.labelled(text);
      if (slot !== undefined) this.claim(block.line);
      this.slot = slot ?? this.sectionSlot();
    }
  }

  private open(block: Block, key: string): void {
    this.claim(block.line);
    this.ranges.push({ key, from: block.line });
  }

  private openTask(match: RegExpExecArray, block: Block): void {
    const rest = ` ${(match[2] ?? '').trim()}`;
    this.section = 'tasks';
    this.slot = undefined;
    const task = emptyTask(Number(match[1]), rest.replace(TAG, '').trim(), placeIn(block));
    this.task = { ...task, independent: TAG.test(rest) };
    this.open(block, `task ${this.spec.tasks.length}`);
    this.spec.tasks.push(this.task);
  }

  /** Said once; what follows stays, as text, in the section before it. */
  private tooMany(block: Block): void {
    if (this.findings.some((item) => item.code === 'spec/too-many-sections')) return;
    this.say(
      'spec/too-many-sections',
      'error',
      block,
      `More than ${MOST_SECTIONS} sections have no name of a spec.`,
      'This is no spec: name a plan or a spec.',
    );
  }

  private openSection(block: Block): void {
    const title = block.text;
    const known = SECTIONS[title.toLowerCase().replace(/:$/, '').trim()];
    if (known === undefined && this.spec.extra.length >= MOST_SECTIONS) return this.tooMany(block);
    this.task = undefined;
    this.section = known ?? 'extra';
    this.slot = this.sectionSlot();
    this.open(block, known ?? `extra ${this.spec.extra.length}`);
    if (known === undefined) {
      this.spec.extra.push({ title, text: '', at: placeIn(block) });
      const near = Object.keys(SECTIONS).find((name) => distance(name, title.toLowerCase()) <= 2);
      if (near === undefined) return;
      const heading = `## ${near[0]?.toUpperCase()}${near.slice(1)}`;
      this.say(
        'spec/section-unknown',
        'warning',
        block,
        `"${title}" is not a section of a spec.`,
        `Rename it to "${heading}".`,
      );
    } else if (this.seen.has(known)) {
      this.say(
        'spec/section-twice',
        'warning',
        block,
        `The section "${title}" stands twice.`,
        'Put both into one section.',
      );
    } else this.seen.add(known);
  }

  private say(code: string, severity: Finding['severity'], block: Block, message: string, fix: string): void {
    this.findings.push(finding(code, severity, placeIn(block), message, fix));
  }

  private sectionSlot(): Slot | undefined {
    if (this.task !== undefined) return undefined;
    if (this.section === 'verification') return { list: 'verification' };
    return this.section === 'criteria' ? { list: 'done' } : undefined;
  }

  private paragraph(block: Block): void {
    let fields = 0;
    for (let line = block.line; line <= block.end; line++) {
      if (!this.field(this.document.lines[line - 1] ?? '', block, line)) continue;
      this.claim(line);
      fields += 1;
    }
    if (fields === 0) this.slot = this.sectionSlot();
  }

  private codeCommands(block: Block): void {
    if (block.closed === false || !/^(sh|bash|shell|console|zsh)?$/.test(block.lang ?? '')) return;
    for (let line = block.line + 1; line < block.end; line++) {
      const source = this.document.lines[line - 1] ?? '';
      const text = source.trim().replace(/^\$\s+/, '');
      if (text === '' || text.startsWith('#')) continue;
      const command = readCommand(codeSpan(text), placeOf(this.document.lines, line, text));
      (this.task ?? this.spec).verification.push(command);
    }
    this.claim(block.line, block.end);
  }

  /** `Depends on: 1, 2`, `Base: HEAD`, `Files to create:` → true when the line was read. */
  private field(source: string, block: Block, line: number): boolean {
    const match = /^ {0,3}\**([A-Za-z][A-Za-z ]{2,20}?)\**:\**(?:\s+(\S.*))?$/.exec(source.slice(0, 4096).trimEnd());
    if (match === null) return false;
    const name = (match[1] ?? '').trim().toLowerCase();
    const value = (match[2] ?? '').trim();
    if (value === '') {
      const slot = this.labelled(name);
      if (slot !== undefined) this.slot = slot;
      return slot !== undefined;
    }
    const at = { ...block, line };
    return this.task === undefined ? this.headerField(name, value, at) : this.taskField(name, value, at);
  }

  private labelled(text: string): Slot | undefined {
    const slot = LABELS[text.toLowerCase().replace(/:$/, '').trim()];
    if (slot === undefined) return undefined;
    const shared = slot.list === 'protected' || slot.list === 'generated';
    if (shared) return this.section === 'constraints' ? slot : undefined;
    return this.task === undefined ? undefined : slot;
  }

  private taskField(name: string, value: string, at: Block): boolean {
    const task = this.task as Task;
    const words = value.toLowerCase() === 'none' ? [] : value.split(/,|\band\b/).map((word) => word.trim());
    if (name === 'depends on') {
      const numbers = words.map((word) => /^(?:task\s*|t)?(\d{1,6})$/i.exec(word)?.[1]);
      task.dependsOn.push(...numbers.filter((number) => number !== undefined).map(Number));
      if (numbers.includes(undefined))
        this.say(
          'spec/depends',
          'error',
          at,
          `"${value}" does not name tasks by their numbers.`,
          'Write: Depends on: 1, 2',
        );
      return true;
    }
    if (name !== 'uses') return false;
    task.uses.push(...words.filter((word) => word !== '' && word.toLowerCase() !== 'none'));
    return true;
  }

  private headerField(name: string, value: string, at: Block): boolean {
    if (this.section !== 'preamble') return false;
    if (name === 'format') this.spec.format = value;
    else if (name === 'base') this.spec.base = value;
    else if (name === 'profile') this.spec.profile = value;
    else if (name === 'limits') this.limits(value, at);
    else return false;
    return true;
  }

  private limits(value: string, at: Block): void {
    for (const part of value.split(/[\s,]+/)) {
      const [name, amount = ''] = part.split('=');
      const duration = readDuration(amount);
      if (name === 'steps' && /^[1-9]\d{0,5}$/.test(amount)) this.spec.limits.steps = Number(amount);
      else if (name === 'wall' && duration !== undefined) this.spec.limits.wallSeconds = duration;
      else if (name === 'idle' && duration !== undefined) this.spec.limits.idleSeconds = duration;
      else
        this.say(
          'spec/limit',
          'error',
          at,
          `"${part}" is not a limit.`,
          'Write, for example: Limits: steps=80 wall=30m idle=5m',
        );
    }
  }

  private item(block: Block): boolean {
    const raw = rawItem(this.document.lines, block);
    const at = placeIn(block);
    const constraints = this.section === 'constraints' && this.task === undefined;
    const list = this.slot?.list ?? (constraints ? 'constraints' : undefined);
    if (list === undefined) return false;
    this.claim(block.line, block.end);
    if (raw.trim() === '') return true;
    const first = oneLine(raw.split(/\n\s*\n|\n(?=\s*(?:[-*+]|\d+[.)]|```|~~~))/)[0] ?? '');
    const target = this.task ?? this.spec;
    if (list === 'constraints') this.spec.constraints.push({ text: raw, at });
    else if (list === 'protected' || list === 'generated') this.spec[list].push({ text: first, at });
    else if (list === 'verification') target.verification.push(readCommand(first, at));
    else if (list === 'done') target.criteria.push(readCriterion(oneLine(raw), at));
    else if (list === 'files')
      this.task?.files.push(readFile(first, this.slot?.list === 'files' ? this.slot.verb : undefined, at));
    else this.task?.[list].push({ text: raw, at });
    return true;
  }
}

const placeIn = (block: Block): Place => ({ line: block.line, column: block.column });

function trimBlankLines(lines: readonly string[]): string {
  let from = 0;
  let to = lines.length;
  while (from < to && (lines[from] ?? '').trim() === '') from += 1;
  while (to > from && (lines[to - 1] ?? '').trim() === '') to -= 1;
  return lines.slice(from, to).join('\n');
}

/** Several lines as one. (A pattern with white space on both sides of the line end would be quadratic.) */
export const oneLine = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.trim())
    .join(' ')
    .trim();

/** Levenshtein distance, capped: strings that differ by more than 2 in length are far. */
export function distance(left: string, right: string): number {
  if (Math.abs(left.length - right.length) > 2) return 9;
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const change = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 9;
}
