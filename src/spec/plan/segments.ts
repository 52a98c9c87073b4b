import { type Block, readDocument } from '../blocks.ts';
import { PARALLEL, type Role, roleOf, unitOf } from './words.ts';

/** A piece of a plan that becomes a task, or that belongs to none. */
export interface Segment {
  readonly role: Role;
  readonly title: string;
  /** Heading depth; 0 before the first heading. */
  readonly depth: number;
  readonly line: number;
  readonly blocks: Block[];
  /** Set for units of work that are numbered or named as such. */
  readonly unit: boolean;
  /** The number of the phase it stands in, when the plan has phases. */
  readonly phase: number | undefined;
  readonly parallel: boolean;
}

export interface Outline {
  readonly title: string;
  readonly lines: readonly string[];
  readonly segments: readonly Segment[];
  /** True when phases give an order. */
  readonly phased: boolean;
}

/** Cuts a plan at its headings and gives each piece a role; roles are inherited from the heading above. */
export function outline(source: string): Outline {
  const { lines, blocks } = readDocument(source);
  const segments: Segment[] = [];
  const stack: { depth: number; role: Role; parallel: boolean; phase: number | undefined }[] = [];
  let title = '';
  let phases = 0;
  let current: Segment = {
    role: 'context',
    title: '',
    depth: 0,
    line: 1,
    blocks: [],
    unit: false,
    phase: undefined,
    parallel: false,
  };
  segments.push(current);
  for (const block of blocks) {
    if (block.kind !== 'heading') {
      current.blocks.push(block);
      continue;
    }
    const text = block.text.replace(/\s+#+$/, '');
    if (title === '' && block.depth === 1) {
      title = text.replace(/^(implementation )?plan\s*[:–—-]+\s*/i, '').trim();
      if (unitOf(text) === undefined) continue;
    }
    while (stack.length > 0 && (stack.at(-1)?.depth ?? 0) >= block.depth) stack.pop();
    const above = stack.at(-1);
    const unit = unitOf(text);
    const own = unit === undefined ? roleOf(text) : unitRole(unit.title);
    const role = above !== undefined && above.role !== 'work' && own === 'work' ? above.role : own;
    const parallel = PARALLEL.test(text) || above?.parallel === true;
    if (unit?.phase === true) phases += 1;
    const phase = unit?.phase === true ? phases : above?.phase;
    stack.push({ depth: block.depth, role, parallel, phase });
    current = {
      role,
      title: cleanTitle(unit?.title ?? text),
      depth: block.depth,
      line: block.line,
      blocks: [],
      unit: unit !== undefined,
      phase,
      parallel,
    };
    segments.push(current);
  }
  return { title, lines, segments, phased: phases > 1 };
}

/** A numbered unit is work, unless its whole title says that it is the verification or the roll-back. */
function unitRole(title: string): Role {
  const role = roleOf(title);
  return role === 'context' || role === 'untouched' ? 'work' : role;
}

export const cleanTitle = (text: string): string =>
  text
    .replace(/[*`]/g, '')
    .replace(/\s*\[(INDEPENDENT|x| )\]\s*/gi, ' ')
    .replace(/:$/, '')
    .trim();
