/** The size of a plan as far as its own words tell it. */
export interface PlanSize {
  readonly files: number;
  /** Only when the plan states it. */
  readonly lines: number | undefined;
  readonly independent: number;
}

const PATH =
  /(?:^|[\s`"'(*[])((?:[\w@.-]+\/)*[\w@-][\w@.-]*\.[A-Za-z][A-Za-z0-9]{0,7})(?=$|[\s`"'),:;*\]]|\.(?:\s|$))/gm;
const NAMED_FILES = /(?:^|[\s`/])(Makefile|Dockerfile|Gemfile|Rakefile|Justfile)(?=$|[\s`,:;])/gm;
const NOT_FILES =
  /^(?:e\.g|i\.e|etc\.?|v?\d[\d.]*\w*|Node\.js|node\.js|Vue\.js|Next\.js|[\w-]+\.(?:com|org|net|io|dev))$/i;
const LINES =
  /(?:~|≈|about |around |roughly |approximately )?(\d{1,5})(?:\s*[-–]\s*(\d{1,5}))?\s+(?:new |changed )?(?:lines|LOC|loc|行)/g;

/** Counts the distinct files, the stated lines and the tasks marked independent. Linear in the plan's length. */
export function sizeOf(plan: string): PlanSize {
  const text = plan.slice(0, 400_000);
  const files = new Set<string>();
  for (const pattern of [PATH, NAMED_FILES])
    for (const match of text.matchAll(pattern)) {
      const name = (match[1] ?? '').replace(/^\.\//, '');
      if (!NOT_FILES.test(name)) files.add(name);
    }
  // `src/a.ts` and a later bare `a.ts` are one file.
  const whole = [...files].filter((name) => name.includes('/')).map((name) => name.slice(name.lastIndexOf('/') + 1));
  const bare = [...files].filter((name) => !name.includes('/') && whole.includes(name)).length;
  let lines: number | undefined;
  for (const match of text.matchAll(LINES)) lines = (lines ?? 0) + Number(match[2] ?? match[1]);
  return { files: files.size - bare, lines, independent: (text.match(/\[INDEPENDENT\]/gi) ?? []).length };
}

export type Advice = 'claude' | 'either' | 'kimi';

/** Rule A5: small plans are Claude's without a question; large ones propose Kimi first; between, the user is asked. */
export function adviceFor({ files, lines }: PlanSize): Advice {
  if (files <= 2 && (lines === undefined || lines < 50)) return 'claude';
  return files >= 3 && lines !== undefined && lines >= 100 ? 'kimi' : 'either';
}

export function describeSize(size: PlanSize): string {
  const parts = [`${size.files} ${size.files === 1 ? 'file' : 'files'}`];
  if (size.lines !== undefined) parts.push(`about ${size.lines} lines`);
  if (size.independent > 1) parts.push(`${size.independent} independent tasks`);
  return parts.join(', ');
}
