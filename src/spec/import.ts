/** Formats of other tools that are read: each becomes a plan, and the plan becomes a spec as every plan does. */
export type Format = 'openspec' | 'spec-kit' | 'superpowers' | 'kiro';

export interface Imported {
  readonly format: Format;
  /** A plan in Markdown: nothing is in it that was not in the source. */
  readonly plan: string;
}

interface Item {
  readonly title: string;
  readonly lines: string[];
}

/** Recognises a format by its own marks; undefined when it is none of them. */
export function formatOf(text: string): Format | undefined {
  if (/^\s*[-*] \[[ x]\] T\d{3,}\b/m.test(text)) return 'spec-kit';
  if (/^\s*[-*] \[[ x]\] \*{0,2}Step \d+/m.test(text) && /^#{2,3} Task \d+/m.test(text)) return 'superpowers';
  if (/^\s*[-*] \[[ x]\] \d+\.\d+\s/m.test(text) && /^## \d+\.\s/m.test(text)) return 'openspec';
  if (/^\s*[-*] \[[ x]\]\*? \d+(\.\d+)?\.? /m.test(text)) return 'kiro';
  return undefined;
}

/** Reads a source into a plan. Done items are left out: they are no work any more. */
export function importPlan(text: string, format: Format): Imported {
  const lines = text.split(/\r\n?|\n/);
  const title =
    lines
      .find((line) => /^# /.test(line))
      ?.slice(2)
      .trim() ?? 'Imported plan';
  const items = format === 'superpowers' ? superpowers(lines) : checklist(lines, format);
  const tasks = items.flatMap((item, index) => [`### Task ${index + 1}: ${item.title}`, '', ...item.lines, '']);
  const commands = format === 'superpowers' ? runLines(lines) : [];
  const verification =
    commands.length === 0 ? [] : ['## Verification', ...commands.map((command) => `- \`${command}\``), ''];
  return {
    format,
    plan: [
      `# ${title.replace(/^(Tasks|Implementation Plan):?\s*/i, '') || title}`,
      '',
      '## Tasks',
      '',
      ...tasks,
      ...verification,
    ].join('\n'),
  };
}

const ITEM: Readonly<Record<Exclude<Format, 'superpowers'>, RegExp>> = {
  // `- [ ] T012 [P] [US1] Create User model in src/models/user.py`
  'spec-kit': /^\s*[-*] \[( |x)\] T\d+\s+(?:\[[^\]]+\]\s*)*(.+)$/i,
  // `- [ ] 1.2 Add the endpoint in src/api.ts`
  openspec: /^\s*[-*] \[( |x)\] \d+(?:\.\d+)+\s+(.+)$/i,
  // `- [ ] 2. Set up storage`, `  - [ ] 2.1 Write src/store.ts`
  kiro: /^\s*[-*] \[( |x)\]\*? \d+(?:\.\d+)*\.?\s+(.+)$/i,
};

/** An item that has sub-items of its own is their heading and no task. */
function checklist(lines: readonly string[], format: Exclude<Format, 'superpowers'>): Item[] {
  const items: (Item & { readonly indent: number })[] = [];
  let open: (Item & { readonly indent: number }) | undefined;
  for (const line of lines) {
    const indent = line.length - line.trimStart().length;
    const found = ITEM[format].exec(line);
    if (found !== null) {
      const parent = items.at(-1);
      if (parent !== undefined && indent > parent.indent && parent === open) items.pop();
      open = found[1] === ' ' ? { title: (found[2] ?? '').trim(), lines: [], indent } : undefined;
      if (open !== undefined) items.push(open);
      else if (parent !== undefined && indent > parent.indent) items.push(parent);
    } else if (/^#/.test(line)) open = undefined;
    else if (open !== undefined && /^\s+[-*] /.test(line) && !/_Requirements?:/.test(line))
      open.lines.push(`- ${line.trim().slice(2)}`);
  }
  // A path is often in the title alone: it is the first line of the task too, where plans are read for paths.
  return items.map((item) => ({ title: item.title, lines: [`- ${item.title}`, ...item.lines] }));
}

/** `### Task 2: Title`, `**Files:**` with `- Create: path`, steps as a checklist with code between them. */
function superpowers(lines: readonly string[]): Item[] {
  const items: Item[] = [];
  let fenced = false;
  for (const line of lines) {
    if (/^\s*(```|~~~)/.test(line)) fenced = !fenced;
    if (fenced) continue;
    const head = /^#{2,3} Task \d+:?\s*(.*)$/.exec(line);
    if (head !== null) items.push({ title: (head[1] ?? '').trim(), lines: [] });
    const open = items.at(-1);
    if (open === undefined) continue;
    const file = /^\s*[-*] (Create|Modify|Delete|Test): `?([^`]+?)`?(?::\d+(?:-\d+)?)?\s*$/.exec(line);
    const verb = { Create: 'Create', Modify: 'Modify', Delete: 'Delete', Test: 'Change' }[file?.[1] ?? ''];
    if (file !== null && verb !== undefined)
      open.lines.push(`- ${verb} \`${(file[2] ?? '').replace(/:\d+(-\d+)?$/, '')}\``);
    const step = /^\s*[-*] \[ \] \*{0,2}Step \d+:?\s*(.+?)\*{0,2}$/.exec(line);
    if (step !== null) open.lines.push(`- ${(step[1] ?? '').trim()}`);
  }
  return items;
}

/** `Run: pytest tests/x.py -v` lines, each once. */
function runLines(lines: readonly string[]): string[] {
  const found = lines.flatMap((line) => {
    const command = /^\s*Run:\s*`?([^`]+?)`?\s*$/.exec(line)?.[1];
    return command === undefined || /^git /.test(command) ? [] : [command.trim()];
  });
  return [...new Set(found)];
}
