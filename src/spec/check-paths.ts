import { protectedClass } from '../path-classes.ts';
import type { Say } from './check.ts';
import type { RepoFacts } from './facts.ts';
import type { Severity, Spec, SpecFile, Task } from './model.ts';
import { pathProblem } from './path-form.ts';
import { matcher } from './patterns.ts';

interface Subject {
  readonly spec: Spec;
  readonly facts?: RepoFacts | undefined;
}

/** The files of the base that no task deletes. */
export function staying({ spec, facts }: Subject): RepoFacts['files'] {
  const stays = new Map(facts?.files);
  for (const { path, verb } of spec.tasks.flatMap((task) => task.files)) if (verb === 'DELETE') stays.delete(path);
  return stays;
}

/** Checks one declared path: its verb and form, its class, and against the base whether it is there. */
export function checkFile(
  { spec, facts, stays }: Subject & { stays: RepoFacts['files'] },
  { task, file }: { task: Task; file: SpecFile },
  say: Say,
): void {
  if (file.verb === undefined)
    say('spec/verb', 'error', file.at, `"${file.path}" has no verb.`, 'Begin the line with CREATE, MODIFY or DELETE.');
  const problem = pathProblem(file.path);
  if (problem !== undefined) return say('spec/path', 'error', file.at, problem.message, problem.fix);
  checkProtectedClass(file, spec.scope === 'guess' ? 'warning' : 'error', say);
  if (facts === undefined) return;
  const tracked = facts.files.has(file.path);
  // A deletion makes way for what is created: a folder where a file was, or the same name in another case.
  const folder = parentProblem(file.path, file.verb === 'DELETE' ? facts.files : stays);
  if (folder !== undefined)
    return say('spec/path', 'error', file.at, folder, 'Name a path that is a plain file of this repository.');
  sayIgnored(file, facts, say);
  if (file.verb === 'CREATE' && stays.has(file.path))
    say('spec/create-exists', 'error', file.at, `${file.path} exists at the base.`, `Write: - MODIFY ${file.path}`);
  else if (file.verb === 'CREATE') checkCase(file, stays, say);
  else if (!tracked && !createdBefore(spec, { task, file })) sayMissing(file, facts, say);
}

const createdBefore = ({ tasks }: Spec, { task, file }: { task: Task; file: SpecFile }): boolean =>
  tasks.some(
    ({ number, files }) =>
      (number < task.number || task.dependsOn.includes(number)) &&
      files.some(({ path, verb }) => path === file.path && verb === 'CREATE'),
  );

function sayIgnored(file: SpecFile, facts: RepoFacts, say: Say): void {
  const rule = facts.ignored?.get(file.path);
  if (rule === undefined) return;
  say(
    'path/ignored',
    'info',
    file.at,
    `${file.path} is ignored by ${rule}; it will be in the change because the spec declares it.`,
    'Nothing to do if you mean this file.',
  );
}

/** A pattern that matches nothing is often a slip of the pen: what it was to protect is not protected. */
export function checkPatterns({ spec, facts }: Subject, say: Say): void {
  if (facts === undefined) return;
  const paths = [...facts.files.keys(), ...spec.tasks.flatMap((task) => task.files.map((file) => file.path))];
  const sayUnmatched = (lines: Spec['protected'], severity: Severity, fix: string): void => {
    for (const line of lines) {
      const matches = matcher([line]);
      if (!paths.some((path) => matches(path)))
        say(
          'spec/pattern',
          severity,
          line.at,
          `"${line.text}" matches no file at the base and no path of a task.`,
          fix,
        );
    }
  };
  sayUnmatched(spec.protected, 'warning', 'Name a file, a folder, or a pattern such as src/gen/**');
  sayUnmatched(spec.generated, 'info', 'Nothing to do if the files are only written during the run.');
}

function sayMissing(file: SpecFile, facts: RepoFacts, say: Say): void {
  const untracked = facts.untracked.has(file.path);
  const name = file.path.split('/').at(-1) ?? '';
  const near = [...facts.files.keys()].filter((path) => path.endsWith(`/${name}`) || path === name).slice(0, 3);
  const hint = untracked
    ? `git add ${file.path} && git commit`
    : near.length > 0
      ? `Did you mean ${near.join(' or ')}?`
      : `Write: - CREATE ${file.path}`;
  say(
    'spec/missing',
    'error',
    file.at,
    `${file.path} does not exist at the base${untracked ? ': it is not committed' : ''}.`,
    hint,
  );
}

function checkCase(file: SpecFile, stays: RepoFacts['files'], say: Say): void {
  const lower = file.path.toLowerCase();
  for (const path of stays.keys()) {
    if (path.toLowerCase() === lower)
      return say(
        'spec/case',
        'error',
        file.at,
        `${file.path} differs from ${path} only in case.`,
        'Choose another name: some file systems see one file.',
      );
  }
}

/** A path cannot lead through a link or a submodule, and cannot be a folder. */
function parentProblem(path: string, files: RepoFacts['files']): string | undefined {
  const parts = path.split('/');
  for (let length = 1; length <= parts.length; length++) {
    const part = parts.slice(0, length).join('/');
    const mode = files.get(part);
    if (mode === '160000') return `${path} lies in the submodule ${part}.`;
    if (mode === '120000' && length < parts.length) return `${path} leads through the link ${part}.`;
    if (mode !== undefined && length < parts.length) return `${part} is a file, not a folder.`;
  }
  const folder = `${path}/`;
  for (const other of files.keys()) if (other.startsWith(folder)) return `${path} is a folder.`;
  return undefined;
}

function checkProtectedClass(file: SpecFile, severity: Severity, say: Say): void {
  const found = protectedClass(file.path);
  if (found === undefined || file.allowProtected) return;
  say(
    'spec/protected',
    severity,
    file.at,
    `${file.path} is protected: it is ${found.name}.`,
    `If you mean it, write: - ${file.verb ?? 'MODIFY'} ${file.path} (ALLOW PROTECTED)`,
  );
}
