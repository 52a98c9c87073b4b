import { createHash } from 'node:crypto';

/** A plan as it lies in a spec of format 2: the last section, in a fence longer than any run of backticks in it. */
export interface Enclosed {
  /** What stands before the section: the header, in the grammar of every spec. */
  readonly head: string;
  readonly plan: string;
  /** The fields of the header that only format 2 knows. */
  readonly scope: string;
  /** Why the plan cannot be trusted to be the one that was approved, or ''. */
  readonly damage: string;
}

const START = /^## Plan\r?\n\r?\n(`{3,})markdown\r?\n/m;

/** Cuts the plan off a spec of format 2 before anything is read as Markdown; undefined for every other spec. Linear. */
export function cutPlan(source: string): Enclosed | undefined {
  const start = START.exec(source);
  const before = source.slice(0, start?.index ?? source.length);
  const preamble = before.slice(0, Math.max(0, before.search(/^## /m)) || before.length);
  if (!/^Format: 2[ \t]*\r?$/m.test(preamble)) return undefined;
  const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(preamble)?.[1]?.trim() ?? '';
  const head = preamble.replace(/^(Scope|Plan): .*$/gm, '') + before.slice(preamble.length);
  const scope = field('Scope');
  if (start === null) return { head, plan: '', scope, damage: 'There is no section "## Plan" with a fenced block' };
  const body = source.slice(start.index + start[0].length);
  const end = body.lastIndexOf(`\n${start[1]}`);
  const plan = end < 0 ? body : body.slice(0, end);
  const after = end < 0 ? 'open' : body.slice(end + 1 + (start[1] ?? '').length).trim();
  const damage =
    after !== ''
      ? 'The plan is not closed by its fence at the end of the file'
      : field('Plan') !== markOf(plan)
        ? 'The plan is not the one that this header was made for'
        : '';
  return { head, plan, scope, damage };
}

/** Length in bytes and digest of a plan, as its header states them. */
export const markOf = (plan: string): string =>
  `${Buffer.byteLength(plan)} bytes, sha256:${createHash('sha256').update(plan).digest('hex')}`;

/** The last section of a spec: the plan, byte for byte. */
export function enclose(plan: string): string {
  const longest = [...plan.matchAll(/`+/g)].reduce((most, run) => Math.max(most, run[0].length), 2);
  const fence = '`'.repeat(longest + 1);
  return `## Plan\n\n${fence}markdown\n${plan}\n${fence}`;
}
