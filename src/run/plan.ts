import type { Profile } from '../profile/profile.ts';
import type { Spec } from '../spec/model.ts';

export const STEPS = ['worktree', 'provision', 'baseline', 'kimi', 'collect', 'verify', 'result'] as const;
export type StepId = (typeof STEPS)[number];

export interface PlannedStep {
  readonly id: StepId;
  readonly title: string;
  readonly run: boolean;
  /** Why it is skipped, or what it will do. */
  readonly detail: string;
}

/** Everything a run will do, as data: `--dry-run` prints exactly this. */
export interface RunPlan {
  readonly version: 1;
  readonly run: string;
  readonly title: string;
  readonly parent?: string;
  /** The task of the mailbox that it carries out. */
  readonly task?: string;
  /** Kimi reads and reports; its worktree is read-only. */
  readonly review?: boolean;
  readonly digest: string;
  /** The name of the profile. */
  readonly profile: string;
  readonly base: string;
  readonly branch: string;
  readonly dir: string;
  readonly home: string;
  readonly kimi: { readonly file: string; readonly version: string; readonly flavour: string };
  readonly limits: { readonly steps: number; readonly wallSeconds: number; readonly attempts: number };
  readonly sandbox: string;
  readonly uncommitted: readonly string[];
  readonly steps: readonly PlannedStep[];
}

export interface PlanInput extends Omit<RunPlan, 'version' | 'steps' | 'profile'> {
  readonly profileName: string;
  readonly spec: Spec;
  readonly profile: Profile;
  readonly baseline: boolean;
  readonly provision: readonly string[];
}

/** Computes the steps of a run. Pure. */
export function planRun(input: PlanInput): RunPlan {
  const { spec, profile, profileName, baseline, provision, ...facts } = input;
  const commands = commandsOf(spec).filter((command) => command.kind === 'command');
  const list = commands.map((command) => command.text).join('; ');
  const step = (id: StepId, title: string, run: boolean, detail: string): PlannedStep => ({ id, title, run, detail });
  return {
    version: 1,
    ...facts,
    profile: profileName,
    steps: [
      step('worktree', 'Make the worktree', true, `${facts.branch} at ${facts.base.slice(0, 12)} in ${facts.dir}`),
      step(
        'provision',
        'Provide files and dependencies',
        provision.length > 0,
        provision.join('; ') || 'nothing to provide',
      ),
      step(
        'baseline',
        'Run the verification on the base',
        baseline && commands.length > 0,
        baseline ? list : 'switched off by --no-baseline',
      ),
      step(
        'kimi',
        'Kimi implements the spec',
        true,
        `${facts.limits.steps} steps, ${facts.limits.wallSeconds} s${profile.model === undefined ? '' : `, model ${profile.model}`}`,
      ),
      step('collect', 'Collect the change', true, `one commit on ${facts.branch}`),
      step('verify', 'Run the verification', commands.length > 0, list || 'the spec names no command'),
      step('result', 'Write the result', true, 'result.json, report.md, changes.patch'),
    ],
  };
}

/** The commands of a spec in the order they are run: each task's, then the spec's own; each text once. */
export function commandsOf(spec: Spec): Spec['verification'] {
  const all = [...spec.tasks.flatMap((task) => task.verification), ...spec.verification];
  return all.filter((command, index) => all.findIndex((other) => other.text === command.text) === index);
}
