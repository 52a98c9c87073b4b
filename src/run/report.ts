import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { clean } from '../quote.ts';

const text = z.coerce.string().transform((value) => clean(value).slice(0, 2000));
const list = z.preprocess(
  (value) => (value === null || value === undefined ? [] : Array.isArray(value) ? value : [value]),
  z.array(text).max(500),
);

/** What the worker says it did. Never evidence. */
export const reportSchema = z.object({
  worker_id: text.optional(),
  task_id: text.optional(),
  parent: text.nullish(),
  timestamp: text.optional(),
  status: z.enum(['done', 'failed', 'blocked']),
  result: z.object({ summary: text.default(''), files_modified: list, notes: text.nullish() }),
  skill_candidate: z.unknown().optional(),
  purpose_gap: text.nullish(),
  question: text.nullish(),
});
export type Report = z.infer<typeof reportSchema>;

/** Finds the report in the worker's last words: fenced or bare, JSON or YAML; the last one counts. */
export function readReport(words: string): Report | undefined {
  const tail = words.slice(-200_000);
  const fenced = fencedBlocks(tail).slice(-BLOCKS);
  const brace = tail.lastIndexOf('\n{');
  const bare = [
    tail.slice(brace < 0 ? Math.max(0, tail.indexOf('{')) : brace),
    tail.slice(Math.max(0, tail.search(/^(worker_id|status):/m))),
  ];
  let yaml = LONGEST_YAML;
  for (const candidate of [...fenced.reverse(), ...bare]) {
    if (!/status/i.test(candidate)) continue;
    const value = readJson(candidate) ?? (candidate.length <= yaml ? readYaml(candidate) : undefined);
    yaml -= candidate.length;
    const parsed = reportSchema.safeParse(normalise(value));
    if (parsed.success) return parsed.data;
  }
  return undefined;
}

/** Blocks in a worker's words that are tried, from the last. */
const BLOCKS = 20;
/** Characters that are read as YAML in all: it takes time with the square of them, and nothing else happens meanwhile. */
const LONGEST_YAML = 12_000;

/** What stands between fences, each of which is closed by its like. */
function fencedBlocks(text: string): string[] {
  const blocks: string[] = [];
  let fence: string | undefined;
  let body: string[] = [];
  for (const line of text.split('\n')) {
    if (fence === undefined) {
      fence = /^ *(`{3,}|~{3,})[a-zA-Z]*\s*$/.exec(line)?.[1];
      body = [];
    } else if (line.trim() === fence) {
      blocks.push(body.join('\n'));
      fence = undefined;
    } else body.push(line);
  }
  return blocks;
}

/** `{status, summary, files}` at the top level and `{report: {…}}` are the same report, loosely written. */
function normalise(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const data = value as Record<string, unknown>;
  if (data.report !== undefined) return normalise(data.report);
  const status = typeof data.status === 'string' ? data.status.toLowerCase() : data.status;
  if (typeof data.result === 'object' && data.result !== null) return { ...data, status };
  return {
    ...data,
    status,
    result: {
      summary: data.summary ?? data.result,
      files_modified: data.files_modified ?? data.files,
      notes: data.notes,
    },
  };
}

function readJson(source: string): unknown {
  try {
    return JSON.parse(source.slice(0, source.lastIndexOf('}') + 1));
  } catch {
    return undefined;
  }
}

/** Each alias is looked for in the whole text; a report needs none. */
const ALIASES = 20;

function readYaml(source: string): unknown {
  if ((source.match(/[&*]\w/g)?.length ?? 0) > ALIASES) return undefined;
  try {
    return parseYaml(source, { maxAliasCount: 10, logLevel: 'silent', uniqueKeys: false, prettyErrors: false });
  } catch {
    return undefined;
  }
}

/** Where the report and the change differ: said in the result, never believed. */
export function contradictions(report: Report, changed: readonly string[]): string[] {
  const claimed = new Set(report.result.files_modified.map((path) => path.replace(/^\.\//, '')));
  const real = new Set(changed);
  const lines: string[] = [];
  const missing = [...claimed].filter((path) => !real.has(path));
  const unsaid = changed.filter((path) => !claimed.has(path));
  if (missing.length > 0)
    lines.push(`claims ${missing.slice(0, 5).join(', ')} but did not change ${missing.length > 1 ? 'them' : 'it'}`);
  if (unsaid.length > 0 && claimed.size > 0) lines.push(`does not mention ${unsaid.slice(0, 5).join(', ')}`);
  if (report.status === 'done' && changed.length === 0) lines.push('says done, but nothing changed');
  return lines;
}
