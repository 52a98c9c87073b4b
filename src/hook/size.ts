import { counted } from '../quote.ts';
/** The size of a plan as far as its own words tell it. */
export interface PlanSize {
  readonly files: number;
  /** Only when the plan states it. */
  readonly lines: number | undefined;
  readonly independent: number;
}

/** What stands around a path in prose and Markdown; none of it is part of one. */
const EDGES = /[\s`"'()*[\]<>|,;:、。，]+/;
const FILE =
  /^(?:[\w@.+-]+\/)*(?:[\w@+-][\w@.+-]*\.[A-Za-z][A-Za-z0-9]{0,7}|Makefile|Dockerfile|Gemfile|Rakefile|Justfile)$/;
const NOT_FILES = /^(?:e\.g|i\.e|etc|v?\d[\d.]*\w*|[\w-]+\.(?:com|org|net|io|dev)|(?:node|vue|next|express)\.js)$/i;
const LONGEST = 300;
const LINES = /(?<![\d-])(\d{1,5})(?: ?[-–] ?(\d{1,5}))? ?(?:new |changed )?(?:lines\b|LOC\b|loc\b|行)/g;

/** Counts the distinct files, the stated lines and the tasks marked independent. Linear in the plan's length. */
export function sizeOf(plan: string): PlanSize {
  const text = plan.slice(0, 400_000);
  const files = new Set<string>();
  for (const word of text.split(EDGES)) {
    const name = word.replace(/^\.\//, '').replace(/\.$/, '');
    if (name.length > 0 && name.length <= LONGEST && FILE.test(name) && !NOT_FILES.test(name)) files.add(name);
  }
  // `src/a.ts` and a later bare `a.ts` are one file.
  const whole = [...files].filter((name) => name.includes('/')).map((name) => name.slice(name.lastIndexOf('/') + 1));
  const bare = [...files].filter((name) => !name.includes('/') && whole.includes(name)).length;
  let lines: number | undefined;
  for (const match of text.matchAll(LINES)) lines = (lines ?? 0) + Number(match[2] ?? match[1]);
  return { files: files.size - bare, lines, independent: (text.match(/\[INDEPENDENT\]/gi) ?? []).length };
}

/** True when no heading of the plan speaks of checking, and no line names a command that does. */
export const unchecked = (plan: string): boolean =>
  !/^#{1,6} .*(verif|test|valid|vérif|prüf|prueba|doğrula|検証|验证)|`[^`\n]*\b(test|lint|check|build|pytest|vitest)\b[^`\n]*`/im.test(
    plan.slice(0, 400_000),
  );

export type Advice = 'claude' | 'either' | 'kimi';

/** Small plans are Claude's without a question; large ones propose Kimi first; between, the user is asked. */
export function adviceFor({ files, lines }: PlanSize): Advice {
  if (files <= 2 && (lines === undefined || lines < 50)) return 'claude';
  return files >= 3 && lines !== undefined && lines >= 100 ? 'kimi' : 'either';
}

export function describeSize(size: PlanSize): string {
  const parts = [counted(size.files, 'file')];
  if (size.lines !== undefined) parts.push(`about ${size.lines} lines`);
  if (size.independent > 1) parts.push(`${size.independent} independent tasks`);
  return `${parts.join(', ')}; about ${4 + size.files * 3} Kimi requests (estimated)`;
}
