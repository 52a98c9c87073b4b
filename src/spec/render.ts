import { enclose, markOf } from './enclosed.ts';
import { writeCommand, writeCriterion, writeDuration, writeFile } from './lines.ts';
import type { Spec, Task } from './model.ts';

/** Writes a spec as Markdown. `parseSpec(renderSpec(spec)).spec` equals `spec`, but for the places. */
export function renderSpec(spec: Spec): string {
  const head = [
    spec.title === '' ? '' : `# Spec: ${spec.number} -- ${spec.title}`,
    (
      field('Format', spec.format) +
      planFields(spec) +
      field('Base', spec.base) +
      field('Profile', spec.profile) +
      limits(spec)
    ).trimEnd(),
    spec.preamble,
  ];
  const sections = [
    section('Goal', [spec.goal]),
    section('Context', [spec.context]),
    section('Constraints', [
      spec.constraintNotes,
      list(spec.constraints.map((line) => line.text)),
      labelled(
        'Protected',
        spec.protected.map((line) => line.text),
      ),
      labelled(
        'Allow generated',
        spec.generated.map((line) => line.text),
      ),
    ]),
    section('Tasks', [spec.taskNotes, ...spec.tasks.map(renderTask)]),
    section('Verification', [spec.verificationNotes, list(spec.verification.map(writeCommand))]),
    section('Completion criteria', [spec.criteriaNotes, list(spec.criteria.map(writeCriterion))]),
    ...spec.extra.map((extra) => join([`## ${extra.title}`.trimEnd(), extra.text])),
    spec.plan === '' ? '' : enclose(spec.plan),
  ];
  return `${join([...head, ...sections])}\n`;
}

/** One task as Markdown, as it stands in the spec and in the worker's brief. */
export function renderTask(task: Task): string {
  const tag = task.independent ? ' [INDEPENDENT]' : '';
  const depends = task.dependsOn.length === 0 ? '' : `Depends on: ${task.dependsOn.join(', ')}\n`;
  const uses = task.uses.length === 0 ? '' : `Uses: ${task.uses.join(', ')}\n`;
  return join([
    `### Task ${task.number}: ${task.title}${tag}`.replace(/: ( |$)/, ':$1').trimEnd(),
    task.notes,
    (depends + uses).trimEnd(),
    labelled('Files', task.files.map(writeFile)),
    labelled(
      'Interfaces',
      task.interfaces.map((line) => line.text),
    ),
    labelled(
      'Requirements',
      task.requirements.map((line) => line.text),
    ),
    labelled('Verification', task.verification.map(writeCommand)),
    labelled('Done when', task.criteria.map(writeCriterion)),
  ]);
}

const join = (parts: readonly string[]): string => parts.filter((part) => part !== '').join('\n\n');

const field = (name: string, value: string): string => (value === '' ? '' : `${name}: ${value}\n`);

const planFields = (spec: Spec): string =>
  spec.plan === '' ? '' : field('Scope', spec.scope) + field('Plan', markOf(spec.plan));

function limits(spec: Spec): string {
  const { steps, wallSeconds, idleSeconds } = spec.limits;
  const parts = [
    steps === undefined ? '' : `steps=${steps}`,
    wallSeconds === undefined ? '' : `wall=${writeDuration(wallSeconds)}`,
    idleSeconds === undefined ? '' : `idle=${writeDuration(idleSeconds)}`,
  ].filter((part) => part !== '');
  return parts.length === 0 ? '' : `Limits: ${parts.join(' ')}`;
}

function section(title: string, parts: readonly string[]): string {
  const body = join(parts);
  return body === '' ? '' : `## ${title}\n\n${body}`;
}

function labelled(label: string, items: readonly string[]): string {
  return items.length === 0 ? '' : `${label}:\n${list(items)}`;
}

const list = (items: readonly string[]): string => items.map(item).join('\n');

/** `- - -` would be a rule: such a text gets the other marker. */
function item(text: string): string {
  const lines = text.split('\n').map((line) => (line === '' ? '' : `  ${line}`));
  const marker = /^[-\s]*$/.test(lines[0] ?? '') ? '*' : '-';
  return `${marker}${(lines.join('\n')).slice(1)}`;
}
