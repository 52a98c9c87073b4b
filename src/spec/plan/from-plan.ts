import type { Block } from '../blocks.ts';
import { detectCommands, type RepoFacts } from '../facts.ts';
import { type Finding, finding, type Place, type Spec, type Task } from '../model.ts';
import { emptySpec, oneLine } from '../parse.ts';
import { commandsInBlock, commandsInText, isShell } from './commands.ts';
import { findPaths, resolvePath } from './paths.ts';
import { type Outline, outline, type Segment } from './segments.ts';
import { verbIn } from './words.ts';
import { readWork, toCommands, type Work } from './work.ts';

export interface Converted {
  readonly spec: Spec;
  /** Findings on places of the plan. */
  readonly findings: readonly Finding[];
  /** What the plan holds and the spec does not. */
  readonly leftOut: readonly string[];
}

interface Unit {
  readonly segment: Segment;
  readonly title: string;
  readonly work: Work;
  readonly text: string;
  readonly parallel: boolean;
}

const FILES_HEADING = /\bfiles?\b|dosya|ファイル|文件|fichiers|archivos|dateien/i;

/** Turns an approved plan into a spec, with no model. What cannot be derived is a finding on its place. Pure. */
export function fromPlan(source: string, facts: RepoFacts, number: string): Converted {
  const plan = outline(source);
  const findings: Finding[] = [];
  const leftOut: string[] = [];
  const units = unitsOf(plan, facts);
  const spec = emptySpec();
  spec.number = number;
  spec.format = '1';
  spec.title = plan.title === '' ? (units[0]?.title ?? '') : plan.title;
  const files = fileSections(plan, facts, units.length > 0);
  spec.tasks = buildTasks(plan, placeStray(units, files, spec.title, findings));
  for (const unit of [...units, ...files]) {
    findings.push(...unit.work.findings);
    leftOut.push(...unit.work.leftOut);
  }
  for (const task of spec.tasks)
    if (task.files.length === 0)
      findings.push(
        finding(
          'plan/no-path',
          'warning',
          task.at,
          `"${task.title}" names no file.`,
          'Name the files that it changes, in backticks.',
        ),
      );
  if (spec.tasks.length === 0)
    findings.push(
      finding(
        'plan/empty',
        'error',
        { line: 1, column: 1 },
        'The plan names nothing to do: no step, no file.',
        'Add steps with the paths of the files they change.',
      ),
    );
  addVerification(spec, plan, facts);
  addProse(spec, plan, facts, leftOut);
  return { spec, findings: dedupe(findings), leftOut };
}

function dedupe(findings: readonly Finding[]): Finding[] {
  const seen = new Set<string>();
  return findings
    .filter((item) => !seen.has(item.message) && seen.add(item.message) !== undefined)
    .sort((left, right) => left.line - right.line);
}

const makeUnit = (segment: Segment, title: string, blocks: readonly Block[], facts: RepoFacts): Unit => {
  const heading = {
    kind: 'item',
    depth: 1,
    nested: false,
    text: segment.title,
    line: segment.line,
    end: segment.line,
    column: 1,
  } as const;
  const named = findPaths(segment.title, facts).length > 0 ? [heading] : [];
  const work = readWork(
    [...named, ...blocks],
    verbIn(segment.title.split('`')[0] ?? '') === 'DELETE' ? undefined : sectionVerb(segment.title),
    facts,
  );
  return {
    segment,
    title,
    work,
    text: `${title}\n${blocks.map((block) => block.text).join('\n')}`,
    parallel: segment.parallel,
  };
};

/** "Files to create" speaks for every path under it; "Add a header" does not. */
const sectionVerb = (title: string) =>
  FILES_HEADING.test(title) || /^\W*(create|modify|delete|new|modified|deleted)\W*$/i.test(title)
    ? verbIn(title)
    : undefined;

function unitsOf(plan: Outline, facts: RepoFacts): Unit[] {
  const work = plan.segments.filter(
    (segment) => segment.role === 'work' && !(FILES_HEADING.test(segment.title) && !segment.unit),
  );
  const named = headedUnits(plan, facts);
  if (named.length > 0) return named;
  const listed = [...plan.segments.filter((segment) => segment.depth === 0), ...work].flatMap((segment) =>
    listedUnits(segment, facts),
  );
  if (listed.length > 1) return listed;
  const headed = work.filter(
    (segment) =>
      segment.depth > 0 &&
      (segment.blocks.some((block) => block.kind !== 'code' && findPaths(block.text, facts).length > 0) ||
        findPaths(segment.title, facts).length > 0),
  );
  if (headed.length > 0) return headed.map((segment) => makeUnit(segment, segment.title, segment.blocks, facts));
  const rest = plan.segments.filter(
    (segment) => segment.role === 'work' || (segment.role === 'context' && segment.depth <= 1),
  );
  const whole = rest.flatMap((segment) => segment.blocks);
  const first = rest[0];
  if (
    first === undefined ||
    !whole.some((block) => block.kind !== 'code' && block.kind !== 'row' && findPaths(block.text, facts).length > 0)
  )
    return [];
  return plan.segments.some((segment) => FILES_HEADING.test(segment.title))
    ? []
    : [makeUnit(first, plan.title, whole, facts)];
}

/** Headings such as "Step 2: …" and "Phase 1"; plain headings below one belong to it. */
function headedUnits(plan: Outline, facts: RepoFacts): Unit[] {
  const groups: { segment: Segment; blocks: Block[] }[] = [];
  for (const segment of plan.segments) {
    const group = groups.at(-1);
    if (segment.unit && segment.role === 'work') groups.push({ segment, blocks: [...segment.blocks] });
    else if (group !== undefined && segment.role === 'work' && segment.depth > group.segment.depth)
      group.blocks.push(headingBlock(segment), ...segment.blocks);
  }
  const kept = groups.filter(({ segment, blocks }, index) => {
    const next = groups[index + 1]?.segment;
    const holds = next !== undefined && next.depth > segment.depth;
    return !holds || blocks.some((block) => findPaths(block.text, facts).length > 0);
  });
  return kept
    .map(({ segment, blocks }) => makeUnit(segment, segment.title, blocks, facts))
    .filter(
      (unit) =>
        unit.work.files.size > 0 ||
        unit.work.requirements.length > 0 ||
        unit.work.findings.length > 0 ||
        unit.work.commands.length > 0,
    );
}

const headingBlock = (segment: Segment): Block => ({
  kind: 'paragraph',
  depth: 0,
  nested: false,
  text: `**${segment.title}**`,
  line: segment.line,
  end: segment.line,
  column: 1,
});

/** Top-level ordered items are steps when more than one of them is there. */
function listedUnits(segment: Segment, facts: RepoFacts): Unit[] {
  const groups: { head: Block; blocks: Block[] }[] = [];
  for (const block of segment.blocks) {
    if (block.kind === 'item' && !block.nested && block.ordered !== undefined)
      groups.push({ head: block, blocks: [block] });
    else if (block.nested || block.kind === 'code') groups.at(-1)?.blocks.push(block);
  }
  const withPaths = groups.filter(({ blocks }) => blocks.some((block) => findPaths(block.text, facts).length > 0));
  if (groups.length < 2 || withPaths.length * 2 < groups.length) return [];
  const open = groups.filter(({ head }) => head.checked !== true);
  return open.map(({ head, blocks }) => ({
    ...makeUnit({ ...segment, title: '', line: head.line }, shortTitle(head.text), blocks, facts),
  }));
}

export function shortTitle(text: string): string {
  const first = (text.split('\n')[0] ?? '').replace(/\*\*|`/g, '').trim();
  const sentence = /^(.{8,80}?)(?:[:.。]\s|[:.。]$|\s[–—]\s|\s--\s)/.exec(first)?.[1] ?? first;
  return sentence.length > 80 ? `${sentence.slice(0, 77)}...` : sentence;
}

/** Tables and lists of files beside the steps: they give paths and verbs, and are a task when there is no step. */
function fileSections(plan: Outline, facts: RepoFacts, others: boolean): Unit[] {
  const sections = plan.segments.filter(
    (segment) => segment.role === 'work' && !segment.unit && segment.depth > 0 && FILES_HEADING.test(segment.title),
  );
  return sections.map((segment) => makeUnit(segment, others ? 'Remaining files' : plan.title, segment.blocks, facts));
}

/** Files of a table go to the step that speaks of them; the rest become one task. */
function placeStray(units: Unit[], files: readonly Unit[], title: string, findings: Finding[]): Unit[] {
  const strays = files.flatMap((unit) => [...unit.work.files.values()]);
  const left: typeof strays = [];
  for (const file of strays) {
    const owner =
      units.find((unit) => unit.work.files.has(file.path)) ??
      units.find((unit) => unit.text.includes(file.path.split('/').at(-1) ?? file.path)) ??
      (units.length === 1 ? units[0] : undefined);
    const known = owner?.work.files.get(file.path);
    if (owner === undefined) left.push(file);
    else if (known === undefined || file.verb === 'DELETE') owner.work.files.set(file.path, file);
  }
  const first = files[0];
  if (left.length === 0 || first === undefined)
    return units.length > 0 ? units : files.filter((unit) => unit.work.requirements.length > 0);
  const requirements = files
    .flatMap((unit) => unit.work.requirements)
    .filter(
      (line) => left.some((file) => line.text.includes(file.path.split('/').at(-1) ?? file.path)) || units.length === 0,
    );
  if (units.length > 0)
    findings.push(
      finding(
        'plan/unassigned',
        'info',
        left[0]?.at ?? { line: 1, column: 1 },
        `No step speaks of ${left
          .map((file) => file.path)
          .slice(0, 4)
          .join(', ')}.`,
        'They are in a task of their own.',
      ),
    );
  const work: Work = {
    ...first.work,
    files: new Map(left.map((file) => [file.path, file])),
    requirements,
    findings: [],
    leftOut: [],
    commands: [],
  };
  return [...units, { ...first, title: units.length > 0 ? 'Remaining files' : title, work }];
}

function buildTasks(plan: Outline, units: readonly Unit[]): Task[] {
  const real = units.filter((unit) => unit.work.files.size > 0 || unit.work.requirements.length > 0);
  const tasks = real.map((unit, index): Task => {
    const created = [...unit.work.files.values()].filter((file) => file.verb === 'CREATE').map((file) => file.path);
    return {
      number: index + 1,
      title: unit.title === '' ? `Part ${index + 1}` : unit.title,
      independent: false,
      dependsOn: [],
      uses: [],
      files: [...unit.work.files.values()].map(({ stated: _stated, ...file }) => file),
      interfaces: [],
      requirements: unit.work.requirements,
      verification: toCommands(unit.work.commands, created).filter((command) => command.kind === 'command'),
      criteria: [],
      notes: unit.work.listings.join('\n\n'),
      at: { line: unit.segment.line, column: 1 },
    };
  });
  createOnce(tasks);
  for (const [index, task] of tasks.entries()) task.dependsOn = dependencies(plan, { real, tasks, index });
  for (const task of tasks) {
    const needed = tasks.some((other) => other.dependsOn.includes(task.number));
    task.independent = tasks.length > 1 && task.dependsOn.length === 0 && !needed && task.files.length > 0;
  }
  return tasks;
}

/** What an earlier task creates, a later one modifies. */
function createOnce(tasks: readonly Task[]): void {
  const created = new Set<string>();
  for (const task of tasks) {
    for (const file of task.files) {
      if (file.verb !== 'CREATE') continue;
      if (created.has(file.path)) file.verb = 'MODIFY';
      created.add(file.path);
    }
  }
}

function dependencies(
  plan: Outline,
  { real, tasks, index }: { real: readonly Unit[]; tasks: readonly Task[]; index: number },
): number[] {
  const unit = real[index] as Unit;
  const task = tasks[index] as Task;
  const found = new Set<number>();
  for (const [at, other] of tasks.slice(0, index).entries()) {
    const before = real[at] as Unit;
    const shares = other.files.some((file) => task.files.some((mine) => mine.path === file.path));
    const uses = other.files.some((file) => file.verb === 'CREATE' && mentionsFile(unit.text, file.path));
    const said = new RegExp(
      `\\b(?:after|depends on|requires|from|builds on)\\s+(?:step|task|phase)?s?\\s*#?${other.number}\\b|\\b(?:step|task)\\s+${other.number}\\b`,
      'i',
    ).test(unit.text);
    const phase =
      plan.phased &&
      !unit.parallel &&
      before.segment.phase !== undefined &&
      unit.segment.phase !== undefined &&
      unit.segment.phase === before.segment.phase + 1;
    if (shares || uses || said || phase) found.add(other.number);
  }
  return [...found];
}

function mentionsFile(text: string, path: string): boolean {
  const stem = (path.split('/').at(-1) ?? path).replace(/\.\w+$/, '');
  return stem.length > 3 && new RegExp(`(^|[^\\w])${stem.replace(/[.*+?^$()|[\]{}\\]/g, '\\$&')}([^\\w]|$)`).test(text);
}

function addVerification(spec: Spec, plan: Outline, facts: RepoFacts): void {
  const created = spec.tasks.flatMap((task) =>
    task.files.filter((file) => file.verb === 'CREATE').map((file) => file.path),
  );
  const found: { text: string; at: Place }[] = [];
  for (const segment of plan.segments.filter((item) => item.role === 'verification' || item.role === 'criteria')) {
    for (const block of segment.blocks) readCheck(block, found, spec);
  }
  const mine = new Set(spec.tasks.flatMap((task) => task.verification.map((command) => command.text)));
  const commands = toCommands(found, created).filter((command) => !mine.has(command.text));
  spec.verification = commands.filter((command) => command.kind === 'command');
  for (const { kind, text, at } of commands) {
    if (kind === 'manual') spec.criteria.push({ text: `By hand: \`${text}\``, targets: ['review'], at });
  }
  const runnable = [...spec.verification, ...spec.tasks.flatMap((task) => task.verification)].some(
    (command) => command.kind === 'command',
  );
  if (runnable) return;
  const at = { line: 1, column: 1 };
  spec.verification.push(
    ...detectCommands(facts).map((text) => ({
      kind: 'command' as const,
      text,
      expect: 0,
      baselineFails: false,
      shell: false,
      detected: true,
      at,
    })),
  );
}

/** Commands are verification; prose of a checklist is for the reviewer. */
function readCheck(block: Block, found: { text: string; at: Place }[], spec: Spec): void {
  if (block.kind === 'code') {
    if (isShell(block.lang ?? ''))
      found.push(
        ...commandsInBlock(block.text, block.line + 1).map(({ text, line }) => ({ text, at: { line, column: 1 } })),
      );
    return;
  }
  const commands = commandsInText(block.text, true);
  found.push(...commands.map((text) => ({ text, at: { line: block.line, column: block.column } })));
  if (commands.length > 0 || block.kind === 'rule' || /:$/.test(block.text.trim())) return;
  const text = oneLine(block.text);
  if (text !== '')
    spec.criteria.push({
      text: text.replaceAll('<-', '←'),
      targets: ['review'],
      at: { line: block.line, column: block.column },
    });
}

const CONTEXT_CAP = 3000;

/** Goal, context, what must stay as it is, and what was left out. */
function addProse(spec: Spec, plan: Outline, facts: RepoFacts, leftOut: string[]): void {
  const work = new Set(spec.tasks.flatMap((task) => task.files.map((file) => file.path)));
  const paragraphs: string[] = [];
  for (const segment of plan.segments) {
    const prose = segment.blocks.filter((block) => block.kind === 'paragraph' || block.kind === 'item');
    if (segment.role === 'context')
      paragraphs.push(
        ...prose.map((block) => `${block.kind === 'item' ? '- ' : ''}${block.text.replace(/\n\s*/g, ' ')}`),
      );
    if (segment.role === 'outside')
      spec.constraints.push(
        ...prose.map((block) => ({
          text: `MUST NOT: ${block.text.replace(/\n\s*/g, ' ')}`,
          at: { line: block.line, column: 1 },
        })),
      );
    if (segment.role === 'untouched') protect(spec, segment, facts, work);
    if (segment.role === 'never' && segment.blocks.length > 0)
      leftOut.push(`line ${segment.line}: section "${segment.title}"`);
  }
  const known = new Set(spec.tasks.flatMap((task) => task.requirements.map((line) => line.text)));
  const [first = '', ...rest] = paragraphs.filter(
    (text) => !known.has(text.replace(/^- /, '')) && !/^\s*-{0,1}\s*$/.test(text),
  );
  spec.goal = first.startsWith('- ') || first === '' ? spec.title : first;
  const context = (first.startsWith('- ') ? [first, ...rest] : rest).join('\n');
  if (context.length > CONTEXT_CAP) leftOut.push(`${context.length - CONTEXT_CAP} characters of context`);
  spec.context = context
    .slice(0, CONTEXT_CAP)
    .replace(/\n(?!- )/g, '\n\n')
    .trim();
}

function protect(spec: Spec, segment: Segment, facts: RepoFacts, work: ReadonlySet<string>): void {
  for (const block of segment.blocks) {
    for (const mention of findPaths(block.text, facts)) {
      const resolved = resolvePath(mention.text, facts);
      if (
        resolved.kind === 'tracked' &&
        !work.has(resolved.path) &&
        !spec.protected.some((line) => line.text === resolved.path)
      )
        spec.protected.push({ text: resolved.path, at: { line: block.line, column: 1 } });
    }
  }
}
