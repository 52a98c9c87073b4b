import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bytesOf, onDisk, textOf } from '../names.ts';
import { FROM_STDIN, fields, type GitPlace, git, gitAnswer } from './git.ts';
import { tameTree } from './odd.ts';

/** A path that could not be taken into a change: it lies where it lay. */
export interface Left {
  readonly path: string;
  readonly why: string;
}

export interface StageCall {
  /** A commit or tree that the index began with. */
  readonly base: string;
  /** The private index, and a folder for lists of paths. */
  readonly env: Readonly<Record<string, string>>;
  readonly scratch: string;
  /** A file of patterns that stay out, beside the tree's own .gitignore. */
  readonly excludes: string;
  /** Paths that are taken although git ignores them. */
  readonly declared: readonly string[];
  /** Bytes that are read at most. */
  readonly most?: number;
}

/**
 * Brings a private index to what lies in a worktree. One path that git refuses (a name or an encoding that it does not
 * take, a repository inside) never costs the others: it is left out and named.
 */
export async function stage(tree: GitPlace, call: StageCall): Promise<Left[]> {
  const large = await keepOut(tree, call, await tameTree(tree.dir, call.most));
  const out = new Set(large.map(({ path }) => path));
  const whole = await add(tree, call, ['-A', '--sparse', ...except(out)]);
  const left = [...large, ...(whole === undefined ? [] : await stageEach(tree, call, out))];
  const declared = call.declared.filter((path) => !out.has(path) && existsSync(onDisk(tree.dir, path)));
  if (declared.length > 0) left.push(...(await stageSome(tree, call, declared, ['-A', '-f', '--sparse'])));
  return [...left, ...(await dropNested(tree, call))];
}

const except = (paths: ReadonlySet<string>): string[] =>
  paths.size === 0 ? [] : ['--', ':(top)', ...[...paths].map((path) => `:(top,exclude,literal)${path}`)];

/** Of large files those that would be read: not what git ignores, nor what provisioning put there. */
async function keepOut(tree: GitPlace, call: StageCall, large: readonly Left[]): Promise<Left[]> {
  if (large.length === 0) return [];
  const listed = new Set(await changedPaths(tree, call));
  return large.filter(({ path }) => listed.has(path) || call.declared.includes(path));
}

async function stageEach(tree: GitPlace, call: StageCall, out: ReadonlySet<string>): Promise<Left[]> {
  const paths = (await changedPaths(tree, call)).filter((path) => !out.has(path));
  return stageSome(tree, call, paths, ['-A', '--sparse']);
}

async function changedPaths(tree: GitPlace, call: StageCall): Promise<string[]> {
  const args = ['-c', `core.excludesFile=${call.excludes}`, 'ls-files', '-z', '-m', '-d', '-o', '--exclude-standard'];
  return [...new Set(fields(await git(tree, args, { env: call.env })))];
}

/** Adds many paths at once; where git refuses, the halves are tried until the one that it refuses is found. */
async function stageSome(
  tree: GitPlace,
  call: StageCall,
  paths: readonly string[],
  flags: readonly string[],
): Promise<Left[]> {
  const list = join(call.scratch, 'paths');
  writeFileSync(list, bytesOf(paths.join('\0')));
  const why = await add(tree, call, [...flags, `--pathspec-from-file=${list}`, '--pathspec-file-nul']);
  if (why === undefined) return [];
  if (paths.length === 1) return [{ path: paths[0] ?? '', why }];
  const middle = Math.ceil(paths.length / 2);
  const first = await stageSome(tree, call, paths.slice(0, middle), flags);
  return [...first, ...(await stageSome(tree, call, paths.slice(middle), flags))];
}

const ADD_MS = 15 * 60_000;

/** Why git refused; undefined when it did not. */
async function add(tree: GitPlace, call: StageCall, args: readonly string[]): Promise<string | undefined> {
  const literal = args.some((arg) => arg.startsWith('--pathspec')) ? ['--literal-pathspecs'] : [];
  const git = [...literal, '-c', `core.excludesFile=${call.excludes}`, 'add', ...args];
  const answer = await gitAnswer(tree, git, {
    env: call.env,
    answers: [1, 128],
    timeoutMs: ADD_MS,
  });
  if (answer.code === 0) return undefined;
  const lines = answer.stderr.split('\n').filter((line) => /^(error|fatal): /.test(line));
  const line = lines.find((text) => !/adding files failed/.test(text)) ?? lines[0] ?? `exit ${answer.code}`;
  return line.replace(/^\w+: /, '');
}

/** A repository that the worker made would come in as a link to a commit that nobody has: its content stays where it is. */
async function dropNested(tree: GitPlace, call: StageCall): Promise<Left[]> {
  const rows = fields(await git(tree, ['diff-index', '--cached', '--raw', '-z', call.base], { env: call.env }));
  const nested: string[] = [];
  for (let index = 0; index + 1 < rows.length; index += 2)
    if (/^:(?!160000)\d+ 160000 /.test(rows[index] ?? '')) nested.push(rows[index + 1] ?? '');
  if (nested.length > 0)
    await git(tree, ['--literal-pathspecs', 'reset', '-q', call.base, ...FROM_STDIN], {
      env: call.env,
      input: nested.join('\0'),
    });
  return nested.map((path) => ({ path, why: 'a git repository of its own' }));
}

/** The user's own global ignores and these patterns, as one file. */
export async function writeExcludes(tree: GitPlace, folder: string, patterns: readonly string[]): Promise<string> {
  const set = (
    await gitAnswer(tree, ['config', '--get', '--path', 'core.excludesFile'], { answers: [1] })
  ).stdout.trim();
  const config = tree.env.XDG_CONFIG_HOME ?? join(tree.env.HOME ?? '/', '.config');
  const user = set === '' ? join(config, 'git', 'ignore') : set;
  const text = existsSync(user) ? textOf(readFileSync(user)) : '';
  const file = join(folder, 'excludes');
  writeFileSync(file, bytesOf(`${text}\n${patterns.map((pattern) => `${pattern}\n`).join('')}`));
  return file;
}

/** What git ignores in a worktree, folders as a whole (`dist/`), but for what an index holds. */
export const ignoredIn = async (tree: GitPlace, env: StageCall['env']): Promise<string[]> =>
  fields(await git(tree, ['ls-files', '-z', '--others', '--ignored', '--exclude-standard', '--directory'], { env }));
