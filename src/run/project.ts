import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { refuse } from '../errors.ts';
import { writeWhole } from '../files.ts';
import type { Repo } from '../git/repo.ts';

export const MODES = ['hierarchical', 'peer', 'review'] as const;

const projectSchema = z.object({
  version: z.literal(1),
  name: z.string().max(200),
  principal: z.string().max(50),
  mode: z.enum(MODES),
});
export type Project = z.infer<typeof projectSchema>;

const fileOf = (commonDir: string): string => join(commonDir, 'kimi-dispatch', 'project.json');

/** What `init` recorded of a repository; undefined where nobody called it. */
export function readProject(commonDir: string): Project | undefined {
  const file = fileOf(commonDir);
  if (!existsSync(file)) return undefined;
  const parsed = projectSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (parsed.success) return parsed.data;
  throw refuse('wrong-state', `${file} was written by another version.`, 'kimi-dispatch init --force');
}

const BEGIN = '<!-- kimi-dispatch: begin -->';
const END = '<!-- kimi-dispatch: end -->';

/** Records the project and writes the guide; files that exist are extended inside markers, never overwritten. */
export function initProject(repo: Repo, root: string, project: Project, force: boolean): string[] {
  if (readProject(repo.commonDir) !== undefined && !force)
    throw refuse('wrong-state', 'This repository is initialised already.', 'kimi-dispatch init --force');
  writeWhole(fileOf(repo.commonDir), `${JSON.stringify(project, null, 2)}\n`);
  const guide = readFileSync(join(root, 'templates', 'guide.md'), 'utf8').trim();
  const agents = join(repo.root, 'AGENTS.md');
  writeWhole(agents, extend(existsSync(agents) ? readFileSync(agents, 'utf8') : '', guide));
  const context = join(repo.root, '.kimi-dispatch', 'context.md');
  if (existsSync(context)) return [agents];
  mkdirSync(dirname(context), { recursive: true });
  writeFileSync(context, `# ${project.name}\n\nDecisions and conventions that every agent should know.\n`);
  return [agents, context];
}

function extend(text: string, guide: string): string {
  const block = `${BEGIN}\n${guide}\n${END}`;
  const at = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (at >= 0 && end > at) return `${text.slice(0, at)}${block}${text.slice(end + END.length)}`;
  return text === '' ? `${block}\n` : `${text.trimEnd()}\n\n${block}\n`;
}

/**
 * In a hierarchical project only the principal dispatches and merges; a person at the terminal, who names no agent,
 * always may.
 */
export function requirePrincipal(repo: Repo, env: Readonly<Record<string, string | undefined>>, what: string): void {
  const project = readProject(repo.commonDir);
  const agent = env.KIMI_DISPATCH_AGENT;
  if (project?.mode !== 'hierarchical' || agent === undefined || agent === project.principal) return;
  throw refuse(
    'wrong-state',
    `${what} belongs to ${project.principal} in this project (mode hierarchical), and this is ${agent}.`,
    `kimi-dispatch msg send ${project.principal} "..."`,
  );
}
