import { refuse } from '../errors.ts';
import type { Spec, Task } from '../spec/model.ts';
import { matcher } from '../spec/patterns.ts';

/**
 * Several specs as one, for waves: tasks are numbered on, and no order between the specs is assumed; what they share
 * (paths, resources) orders them. Each task keeps its own spec's verification, the whole gets that of all; what one
 * spec allows as generated or protects holds for all, and specs that clash over it are refused. Pure.
 */
export function combineSpecs(specs: readonly Spec[]): Spec {
  const [first, ...others] = specs;
  if (first === undefined) throw refuse('usage', 'There is no spec.', 'kimi-dispatch run spec.md');
  if (others.length === 0) return first;
  for (const name of ['base', 'profile'] as const)
    if (others.some((spec) => spec[name] !== first[name]))
      throw refuse(
        'spec-invalid',
        `The specs name different things as ${name}.`,
        `Write the same ${name} in all of them.`,
      );
  refuseClashes(specs);
  const together = (part: (spec: Spec) => string): string =>
    specs
      .filter((spec) => part(spec) !== '')
      .map((spec) => `**${spec.title}**\n\n${part(spec)}`)
      .join('\n\n');
  return {
    ...first,
    title: specs.map((spec) => spec.title).join(' + '),
    limits: mostOf(specs),
    preamble: together((spec) => spec.preamble),
    goal: together((spec) => spec.goal),
    context: together((spec) => spec.context),
    constraints: specs.flatMap((spec) => spec.constraints),
    constraintNotes: together((spec) => spec.constraintNotes),
    protected: specs.flatMap((spec) => spec.protected),
    generated: specs.flatMap((spec) => spec.generated),
    tasks: numberedOn(specs),
    taskNotes: together((spec) => spec.taskNotes),
    verification: specs.flatMap((spec) => spec.verification),
    verificationNotes: together((spec) => spec.verificationNotes),
    criteria: specs.flatMap((spec) => spec.criteria),
    criteriaNotes: together((spec) => spec.criteriaNotes),
    extra: specs.flatMap((spec) => spec.extra),
    format: specs.some((spec) => spec.plan !== '') ? '2' : first.format,
    scope: specs.some((spec) => spec.scope === 'guess') ? 'guess' : 'contract',
    plan: together((spec) => spec.plan),
  };
}

/** What one spec protects no other may write, and no two make the same file. */
function refuseClashes(specs: readonly Spec[]): void {
  const files = specs.map((spec) => spec.tasks.flatMap((task) => task.files));
  for (const [index, spec] of specs.entries()) {
    const isProtected = matcher(spec.protected);
    for (const [other, theirs] of files.entries()) {
      if (other === index) continue;
      const path = theirs.find((file) => isProtected(file.path))?.path;
      if (path !== undefined)
        throw refuse(
          'spec-invalid',
          `"${spec.title}" protects ${path}, which "${specs[other]?.title}" writes.`,
          'Run them one after the other.',
        );
      const made = theirs.find(
        (file) =>
          file.verb === 'CREATE' && files[index]?.some((own) => own.verb === 'CREATE' && own.path === file.path),
      );
      if (made !== undefined)
        throw refuse(
          'spec-invalid',
          `"${spec.title}" and "${specs[other]?.title}" both create ${made.path}.`,
          'Write MODIFY in one of them, and run it after the other.',
        );
    }
  }
}

/** The widest of each limit; one that a spec leaves open stays open. */
function mostOf(specs: readonly Spec[]): Spec['limits'] {
  const limits: Record<string, number> = {};
  for (const name of ['steps', 'wallSeconds', 'idleSeconds'] as const) {
    const values = specs.flatMap((spec) => spec.limits[name] ?? []);
    if (values.length === specs.length) limits[name] = Math.max(...values);
  }
  return limits;
}

function numberedOn(specs: readonly Spec[]): Task[] {
  let offset = 0;
  return specs.flatMap((spec) => {
    const from = offset;
    offset += Math.max(0, ...spec.tasks.map((task) => task.number));
    return spec.tasks.map((task, index) => ({
      ...task,
      number: task.number + from,
      dependsOn: task.dependsOn.map((number) => number + from),
      // The first task of a spec waits for nothing of the spec before it.
      independent: task.independent || (index === 0 && from > 0 && task.dependsOn.length === 0),
      verification: task.verification.length > 0 ? task.verification : spec.verification,
    }));
  });
}
