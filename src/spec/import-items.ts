/** A source on its way: its lines, those that something was made of (from 0). */
export interface Source {
  readonly lines: readonly string[];
  readonly used: Set<number>;
}

/** An open item of a source: a task. */
export interface Item {
  /** As the source names it: `T012`, `1.2`. */
  readonly id: string;
  readonly title: string;
  readonly lines: string[];
  /** Where it stands, from 0. */
  readonly line: number;
  /** The ids that it says it depends on. */
  readonly after: readonly string[];
  /** The source says that it may go beside its neighbours. */
  readonly parallel: boolean;
  /** Counts the headings before it. */
  readonly phase: number;
}

const ITEM = {
  // `- [ ] T012 [P] [US1] Create User model in src/models/user.py (depends on T010)`
  'spec-kit':
    /^(?<indent>\s*)[-*] \[(?<mark>[ x])\](?<optional>) (?<id>T\d+)\s+(?<tags>(?:\[[^\]]+\]\s*)*)(?<title>.+)$/i,
  // `- [ ] 1.2 Add the endpoint in src/api.ts`
  openspec: /^(?<indent>\s*)[-*] \[(?<mark>[ x])\](?<optional>) (?<id>\d+(?:\.\d+)+)\s+(?<tags>)(?<title>.+)$/i,
  // `- [ ] 2. Set up storage`, `  - [ ]* 2.1 Write tests in test/store.test.ts`
  kiro: /^(?<indent>\s*)[-*] \[(?<mark>[ x])\](?<optional>\*?) (?<id>\d+(?:\.\d+)*)\.?\s+(?<tags>)(?<title>.+)$/i,
} as const;

interface Open {
  readonly item: Item;
  readonly indent: number;
  /** The lines below it that belong to it. */
  readonly own: number[];
}

/** The items of a checklist. One that has items of its own is their heading and no task. */
export function readChecklist(source: Source, format: keyof typeof ITEM): Item[] {
  const { lines, used } = source;
  const found: Open[] = [];
  let open: Open | undefined;
  let phase = 0;
  for (const [index, line] of lines.entries()) {
    const groups = ITEM[format].exec(line)?.groups;
    if (groups !== undefined) {
      used.add(index);
      const indent = (groups.indent ?? '').length;
      const parent = found.at(-1);
      if (parent !== undefined && parent === open && indent > parent.indent) {
        found.pop();
        for (const below of parent.own) used.delete(below);
      }
      const done = groups.mark !== ' ';
      open = done ? undefined : { item: itemOf(groups, { line: index, phase }), indent, own: [] };
      if (open !== undefined) found.push(open);
      // The heading of a done item is still there for what comes below it.
      else if (parent !== undefined && indent > parent.indent && !found.includes(parent)) found.push(parent);
    } else if (/^#/.test(line)) {
      open = undefined;
      phase += 1;
    } else if (open !== undefined && /^\s+[-*] /.test(line) && !/_Requirements?:/.test(line)) {
      open.item.lines.push(`- ${line.trim().slice(2)}`);
      open.own.push(index);
      used.add(index);
    }
  }
  return found.map(({ item }) => item);
}

type Groups = Readonly<Record<string, string | undefined>>;

function itemOf({ id = '', title = '', tags = '' }: Groups, at: { line: number; phase: number }): Item {
  const said = /\(?\bdepends on ((?:T\d+[\s,and]*)+)\)?/i.exec(title)?.[1] ?? '';
  const plain = title.trim();
  return {
    id,
    title: plain,
    // A path is often in the title alone: it is the first line of the task too, where plans are read for paths.
    lines: [`- ${plain}`],
    after: said.match(/T\d+/g) ?? [],
    parallel: /\[P\]/.test(tags),
    ...at,
  };
}

const VERB: Readonly<Record<string, string>> = { Create: 'Create', Modify: 'Modify', Delete: 'Delete', Test: 'Change' };

/** `### Task 2: Title`, `**Files:**` with `- Create: path`, steps as a checklist with code between them. */
export function readSuperpowers({ lines, used }: Source): Item[] {
  const items: Item[] = [];
  let fenced = false;
  for (const [index, line] of lines.entries()) {
    if (/^\s*(```|~~~)/.test(line)) fenced = !fenced;
    if (fenced) continue;
    const head = /^#{2,3} Task (\d+):?\s*(.*)$/.exec(line);
    if (head !== null)
      items.push({
        id: head[1] ?? '',
        title: (head[2] ?? '').trim(),
        lines: [],
        line: index,
        after: [],
        parallel: false,
        phase: items.length,
      });
    const open = items.at(-1);
    if (open === undefined) continue;
    const take = (text: string): void => {
      open.lines.push(text);
      used.add(index);
    };
    const file = /^\s*[-*] (Create|Modify|Delete|Test): `?([^`]+?)`?(?::\d+(?:-\d+)?)?\s*$/.exec(line);
    if (file !== null) take(`- ${VERB[file[1] ?? '']} \`${(file[2] ?? '').replace(/:\d+(-\d+)?$/, '')}\``);
    const step = /^\s*[-*] \[([ x])\] \*{0,2}Step \d+:?\s*(.+?)\*{0,2}$/i.exec(line);
    if (step?.[1] === ' ') take(`- ${(step[2] ?? '').trim()}`);
    else if (step !== null) used.add(index);
    if (/^\*\*Files:\*\*\s*$/.test(line)) used.add(index);
  }
  return items;
}
