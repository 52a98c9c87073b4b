import { protectedClass } from '../path-classes.ts';
import { splitCommand } from '../verify/words.ts';
import { checkCommand } from './check-command.ts';
import { checkDependencies, checkOverlaps } from './check-order.ts';
import { checkText } from './check-text.ts';
import { type RepoFacts, scriptsOf } from './facts.ts';
import { type Finding, finding, type Place, type Severity, type Spec, type SpecFile, type Task } from './model.ts';
import { pathProblem } from './path-form.ts';

const START: Place = { line: 1, column: 1 };
const MAX_SPEC = 512 * 1024;
const MANY_FILES = 12;

/** Checks a spec like source code. Without facts (no repository) the checks against the base are left out. Pure. */
export function checkSpec(input: {
  spec: Spec;
  source: string;
  lines: readonly string[];
  facts?: RepoFacts | undefined;
}): Finding[] {
  const found: Finding[] = [];
  const say = (code: string, severity: Severity, at: Place, message: string, fix: string): void => {
    found.push(finding(code, severity, at, message, fix));
  };
  checkHeader(input.spec, input.source, say);
  checkTasks(input.spec, say);
  for (const task of input.spec.tasks)
    for (const file of task.files) checkFile(input.spec, task, file, input.facts, say);
  checkOverlaps(input.spec, say);
  checkDependencies(input.spec.tasks, say);
  checkVerification(input.spec, input.facts, say);
  checkCriteria(input.spec, say);
  found.push(...checkText(input.lines));
  return found.sort((left, right) => left.line - right.line || left.column - right.column);
}

export type Say = (code: string, severity: Severity, at: Place, message: string, fix: string) => void;

function checkHeader(spec: Spec, source: string, say: Say): void {
  if (spec.title === '')
    say('spec/title', 'error', START, 'The spec has no title.', 'Begin with: # Spec: 001 -- Short title');
  if (spec.format !== '' && spec.format !== '1')
    say('spec/format', 'error', START, `Format ${spec.format} is not known.`, 'Write: Format: 1');
  if (spec.tasks.length === 0)
    say('spec/tasks', 'error', START, 'The spec has no task.', 'Add: ## Tasks, then ### Task 1: Title');
  if (Buffer.byteLength(source) > MAX_SPEC)
    say(
      'spec/size',
      'error',
      START,
      'The spec is larger than 512 KB.',
      'Split it, and link to files in place of pasting them.',
    );
  if (spec.base.startsWith('-')) say('spec/base', 'error', START, `${spec.base} is not a base.`, 'Write: Base: HEAD');
}

function checkTasks(spec: Spec, say: Say): void {
  const seen = new Set<number>();
  for (const [index, task] of spec.tasks.entries()) {
    if (seen.has(task.number))
      say('spec/task-number', 'error', task.at, `There are two tasks ${task.number}.`, `Number this one ${index + 1}.`);
    else if (task.number !== index + 1)
      say(
        'spec/task-number',
        'error',
        task.at,
        `Task ${task.number} stands at place ${index + 1}.`,
        `Number the tasks 1 to ${spec.tasks.length}, in order.`,
      );
    seen.add(task.number);
    if (task.title === '')
      say(
        'spec/task-title',
        'error',
        task.at,
        `Task ${task.number} has no title.`,
        `Write: ### Task ${task.number}: What it does`,
      );
    if (task.files.length === 0)
      say(
        'spec/no-files',
        'warning',
        task.at,
        `Task ${task.number} names no file.`,
        'Add: Files: and a line such as - MODIFY src/file.ts',
      );
    if (task.files.length > MANY_FILES)
      say(
        'spec/large-task',
        'warning',
        task.at,
        `Task ${task.number} names ${task.files.length} files.`,
        'Split it: a worker does better with fewer.',
      );
  }
  const files = spec.tasks.flatMap((task) => task.files);
  if (files.length > 0 && files.length <= 2 && spec.tasks.length === 1)
    say(
      'spec/small',
      'info',
      START,
      'One or two files: Claude alone is probably cheaper.',
      'Delegate when 3 or more files change, or many lines.',
    );
}

function checkFile(spec: Spec, task: Task, file: SpecFile, facts: RepoFacts | undefined, say: Say): void {
  if (file.verb === undefined)
    say('spec/verb', 'error', file.at, `"${file.path}" has no verb.`, 'Begin the line with CREATE, MODIFY or DELETE.');
  const problem = pathProblem(file.path);
  if (problem !== undefined) return say('spec/path', 'error', file.at, problem.message, problem.fix);
  const before = spec.tasks.filter((other) => other.number < task.number || task.dependsOn.includes(other.number));
  const created = before.some((other) => other.files.some((item) => item.path === file.path && item.verb === 'CREATE'));
  checkProtectedClass(file, say);
  if (facts === undefined) return;
  const tracked = facts.files.has(file.path);
  const folder = parentProblem(file.path, facts);
  if (folder !== undefined)
    return say('spec/path', 'error', file.at, folder, 'Name a path that is a plain file of this repository.');
  if (file.verb === 'CREATE' && tracked)
    say('spec/create-exists', 'error', file.at, `${file.path} exists at the base.`, `Write: - MODIFY ${file.path}`);
  else if (file.verb === 'CREATE') checkCase(file, facts, say);
  else if (!tracked && !created) sayMissing(file, facts, say);
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

function checkCase(file: SpecFile, facts: RepoFacts, say: Say): void {
  const lower = file.path.toLowerCase();
  for (const path of facts.files.keys()) {
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
function parentProblem(path: string, facts: RepoFacts): string | undefined {
  const parts = path.split('/');
  for (let length = 1; length <= parts.length; length++) {
    const part = parts.slice(0, length).join('/');
    const mode = facts.files.get(part);
    if (mode === '160000') return `${path} lies in the submodule ${part}.`;
    if (mode === '120000' && length < parts.length) return `${path} leads through the link ${part}.`;
    if (mode !== undefined && length < parts.length) return `${part} is a file, not a folder.`;
  }
  const folder = `${path}/`;
  for (const other of facts.files.keys()) if (other.startsWith(folder)) return `${path} is a folder.`;
  return undefined;
}

function checkProtectedClass(file: SpecFile, say: Say): void {
  const found = protectedClass(file.path);
  if (found === undefined || file.allowProtected) return;
  say(
    'spec/protected',
    'error',
    file.at,
    `${file.path} is protected: it is ${found.name}.`,
    `If you mean it, write: - ${file.verb ?? 'MODIFY'} ${file.path} (ALLOW PROTECTED)`,
  );
}

function checkVerification(spec: Spec, facts: RepoFacts | undefined, say: Say): void {
  const whole = spec.verification.some((command) => command.kind === 'command');
  for (const task of spec.tasks) {
    if (whole || task.verification.some((command) => command.kind === 'command')) continue;
    say(
      'spec/verification-none',
      'error',
      task.at,
      `Nothing shows that task ${task.number} works: there is no verification command.`,
      'Add a ## Verification section with a command, for example: - `npm test`',
    );
  }
  const created = new Set(
    spec.tasks.flatMap((task) => task.files.filter((file) => file.verb === 'CREATE').map((file) => file.path)),
  );
  const scripts =
    facts === undefined
      ? undefined
      : {
          names: scriptsOf(facts),
          changes: spec.tasks.some((task) => task.files.some((file) => file.path === 'package.json')),
        };
  for (const command of [...spec.tasks.flatMap((task) => task.verification), ...spec.verification]) {
    if (command.kind === 'manual') continue;
    const words = splitCommand(command.text);
    if (!command.shell && 'needsShell' in words)
      say(
        'spec/shell',
        'error',
        command.at,
        `This needs a shell (${words.needsShell}): ${command.text}`,
        'Add the marker: (shell)',
      );
    checkCommand(command, 'needsShell' in words ? [] : words.argv, { facts, created, scripts }, say);
  }
}

function checkCriteria(spec: Spec, say: Say): void {
  const commands = spec.verification.filter((command) => command.kind === 'command').length;
  for (const [list, count] of [
    [spec.criteria, commands] as const,
    ...spec.tasks.map((task) => [task.criteria, task.verification.length] as const),
  ]) {
    for (const criterion of list) {
      if (criterion.targets.length === 0)
        say(
          'spec/criterion',
          'warning',
          criterion.at,
          'Nothing is named that shows this criterion.',
          'End the line with <- V1, <- T1, <- path FILE, or <- review',
        );
      for (const target of criterion.targets) {
        const task = /^T(\d+)$/.exec(target);
        const check = /^V(\d+)$/.exec(target);
        const known =
          task !== null
            ? spec.tasks.some((item) => item.number === Number(task[1]))
            : check !== null
              ? Number(check[1]) >= 1 && Number(check[1]) <= count
              : /^(review|path \S.*|R\d+)$/.test(target);
        if (!known)
          say(
            'spec/criterion',
            'warning',
            criterion.at,
            `"${target}" names nothing in this spec.`,
            'Use V1 (a command of the same list), T1 (a task), path FILE, or review.',
          );
      }
    }
  }
}
