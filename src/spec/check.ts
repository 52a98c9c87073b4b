import { splitCommand } from '../verify/words.ts';
import { checkCommand, checkRemark } from './check-command.ts';
import { checkDependencies, checkOverlaps } from './check-order.ts';
import { checkFile, checkPatterns, staying } from './check-paths.ts';
import { checkText } from './check-text.ts';
import { type RepoFacts, scriptsOf } from './facts.ts';
import { type Finding, finding, type Place, type Severity, type Spec } from './model.ts';

const START: Place = { line: 1, column: 1 };
const MAX_SPEC = 512 * 1024;
const MANY_FILES = 12;
/** A plan with more lines describes more than a small change, in however few files. */
const SMALL_PLAN = 50;
const BUILDS = /\b(make|cmake|ninja|meson|gcc|g\+\+|cc|clang(\+\+)?|rustc|build|compile)\b/;

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
  const subject = { ...input, stays: staying(input) };
  for (const task of input.spec.tasks) for (const file of task.files) checkFile(subject, { task, file }, say);
  sayAllOutside(found, say);
  checkPatterns(input, say);
  checkOverlaps(input.spec, say);
  checkDependencies(input.spec.tasks, say);
  checkVerification(input.spec, input.facts, say);
  checkCriteria(input.spec, say);
  const plan = input.spec.plan === '' ? undefined : input.lines.indexOf('## Plan');
  found.push(...checkText(input.lines, plan));
  return found.sort((left, right) => left.line - right.line || left.column - right.column);
}

export type Say = (code: string, severity: Severity, at: Place, message: string, fix: string) => void;

function checkHeader(spec: Spec, source: string, say: Say): void {
  if (spec.title === '')
    say('spec/title', 'error', START, 'The spec has no title.', 'Begin with: # Spec: 001 -- Short title');
  if (!['', '1', '2'].includes(spec.format))
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

/** Where every path lies outside, the way on is another one than mending the lines. */
function sayAllOutside(found: readonly Finding[], say: Say): void {
  const errors = found.filter((item) => item.severity === 'error');
  const outside = errors.filter(
    (item) => item.code === 'spec/path' && /outside the repository|is absolute/.test(item.message),
  );
  if (outside.length === 0 || outside.length < errors.length) return;
  say(
    'spec/outside',
    'info',
    START,
    `The only errors are ${outside.length === 1 ? 'a path' : `${outside.length} paths`} outside this repository, where no run writes.`,
    'Start kimi-dispatch in the repository that holds them; or remove those lines, and let Claude write these files itself.',
  );
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
        spec.scope === 'guess' ? 'Which files does the plan change?' : `Task ${task.number} names no file.`,
        spec.scope === 'guess'
          ? 'Write: Files: and a line such as - MODIFY src/file.ts for each'
          : 'Add: Files: and a line such as - MODIFY src/file.ts',
      );
    if (task.files.length > MANY_FILES && spec.scope === 'contract')
      say(
        'spec/large-task',
        'warning',
        task.at,
        `Task ${task.number} names ${task.files.length} files.`,
        'Split it: a worker does better with fewer.',
      );
  }
  const files = spec.tasks.flatMap((task) => task.files);
  const described = spec.plan.split('\n').filter((line) => line.trim() !== '').length;
  if (files.length > 0 && files.length <= 2 && spec.tasks.length === 1 && described <= SMALL_PLAN)
    say(
      'spec/small',
      'info',
      START,
      'One or two files: Claude alone is probably cheaper.',
      'Delegate when 3 or more files change, or many lines.',
    );
}

function checkVerification(spec: Spec, facts: RepoFacts | undefined, say: Say): void {
  for (const task of spec.tasks) {
    const all = [...task.verification, ...spec.verification];
    if (all.some((command) => command.kind === 'command')) continue;
    if (spec.scope === 'guess')
      return say(
        'spec/verification-none',
        'warning',
        START,
        'Which command shows that this works? Without one the run ends unverified.',
        'Write: ## Verification, then - `command`',
      );
    // A person who writes down what to look at knows that no machine will.
    const manual = all.length > 0;
    say(
      'spec/verification-none',
      manual ? 'warning' : 'error',
      task.at,
      manual
        ? `Only a reviewer can tell whether task ${task.number} works: no command can, and the run may end unverified.`
        : `Nothing shows that task ${task.number} works: there is no verification command.`,
      'Add a ## Verification section with a command, for example: - `npm test`; or (manual) and what to look at',
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
  let built = false;
  for (const command of [...spec.tasks.flatMap((task) => task.verification), ...spec.verification]) {
    if (command.kind === 'manual') {
      checkRemark(command, say);
      continue;
    }
    const words = splitCommand(command.text);
    if (!command.shell && 'needsShell' in words)
      say(
        'spec/shell',
        'error',
        command.at,
        `This needs a shell (${words.needsShell}): ${command.text}`,
        'Add the marker: (shell)',
      );
    checkCommand(command, 'needsShell' in words ? [] : words.argv, { facts, created, scripts, built }, say);
    built ||= BUILDS.test(command.text);
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
