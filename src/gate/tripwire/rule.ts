import type { Remark } from '../gate.ts';

/**
 * `working`: a run, which may take an hour, while the user goes on working in the checkout. `merging`: a verification
 * at a merge, which is short and holds the lock.
 */
export type Phase = 'working' | 'merging';

/** What a violation gates, what is only told, and what is not worth a word. */
type Weight = 'violation' | 'note' | 'nothing';

export type How = 'added' | 'changed' | 'gone';

const [V, N, O] = ['violation', 'note', 'nothing'] as const;

/**
 * The rule: what a difference weighs while a run works, and at a merge. A user who commits, fetches, switches branches,
 * edits files or pushes a new branch meanwhile breaks none of it; what loses or redirects something does.
 */
export const RULE = {
  /** Entries of the stash. */
  stash: { added: [N, V], changed: [V, V], gone: [V, V] },
  branch: { added: [N, V], changed: [V, V], gone: [V, V] },
  /** A branch that went where a checkout of the user's stood meanwhile, or where a fetch brought it. */
  branchByHand: { added: [N, V], changed: [N, V], gone: [V, V] },
  tag: { added: [N, N], changed: [V, V], gone: [V, V] },
  /** Remote-tracking branches: a fetch moves and prunes them. */
  tracking: { added: [O, O], changed: [O, O], gone: [N, N] },
  /** refs/replace: another object is shown in an object's place. */
  replace: { added: [V, V], changed: [V, V], gone: [V, V] },
  otherRef: { added: [N, N], changed: [N, V], gone: [V, V] },
  /** The branch that is checked out. */
  head: { added: [N, V], changed: [N, V], gone: [V, V] },
  /** What HEAD's reflog said before. */
  reflog: { added: [O, O], changed: [O, O], gone: [V, V] },
  /** Another worktree of the user's. */
  worktree: { added: [O, O], changed: [O, O], gone: [N, V] },
  /** Settings of git: identity, remotes, programs. */
  config: { added: [V, V], changed: [V, V], gone: [V, V] },
  /** Settings that git and editors write in daily work (`DAILY`). */
  dailyConfig: { added: [N, N], changed: [N, N], gone: [N, N] },
  /** Hooks, excludes, alternates, settings of Kimi and of Claude Code. */
  file: { added: [V, V], changed: [V, V], gone: [V, V] },
  /** Packages in the checkout's node_modules. */
  packages: { added: [V, V], changed: [V, V], gone: [V, V] },
  /** Files of the checkout. */
  tracked: { added: [N, V], changed: [N, V], gone: [N, V] },
  untracked: { added: [O, N], changed: [N, V], gone: [N, V] },
  ignored: { added: [O, O], changed: [O, N], gone: [N, V] },
} satisfies Record<string, Record<How, readonly [Weight, Weight]>>;

export type Kind = keyof typeof RULE;

/** Settings that git and editors write for the user: upstreams of branches, what git-lfs found out about a server. */
export const DAILY = /^(branch\.|gui\.|lfs\.repositoryformatversion$|lfs\..*\.(access|locksverify)$)/;

/** Of those, what may lead to another repository, and values that do: an address, where the name of a remote belongs. */
export const LEADS = /^branch\..*\.(remote|pushremote)$/;
export const ADDRESS = /[/:]/;

/** Refs that are ours, but for work of the user's that we saved; scratch of git commands. The stash is compared by its entries. */
export const UNWATCHED =
  /^refs\/(heads\/kimi\/|kimi-dispatch\/(?!saved\/)|stash$|bisect\/|worktree\/|rewritten\/|prefetch\/)/;

/** One difference between two readings. */
export interface Difference {
  readonly kind: Kind;
  readonly how: How;
  readonly name: string;
  /** What happened, after the name. */
  readonly said: string;
  /** The command that brings it back, or what to do; empty where nothing does. */
  readonly back: string;
}

export const MEANWHILE = ' while commands ran without a sandbox';

export interface Seen {
  /** Each names what changed and ends with the way back. */
  readonly violations: readonly Remark[];
  readonly notes: readonly string[];
}

export const NOTHING: Seen = { violations: [], notes: [] };

/** Differences by what they weigh. */
export function weigh(differences: readonly Difference[], phase: Phase): Seen {
  const at = phase === 'working' ? 0 : 1;
  const of = (weight: Weight): Difference[] => differences.filter(({ kind, how }) => RULE[kind][how][at] === weight);
  return {
    violations: of(V).map(({ name, said, back }) => ({ path: name, why: back === '' ? said : `${said}: ${back}` })),
    notes: notesOf(of(N)),
  };
}

const FILES: readonly Kind[] = ['tracked', 'untracked', 'ignored'];

function notesOf(differences: readonly Difference[]): string[] {
  const isFile = ({ kind }: Difference): boolean => FILES.includes(kind);
  const files = differences.filter(isFile).map(({ name, how }) => (how === 'gone' ? `${name} (gone)` : name));
  const more = files.length > 8 ? ` and ${files.length - 8} more` : '';
  return [
    ...differences
      .filter((difference) => !isFile(difference))
      .map(({ name, how, back }) => {
        const way = how === 'added' || back === '' ? '' : ` (back: ${back})`;
        return `${name.replace(/^refs\/(heads|remotes)\//, '')} changed meanwhile${way}`;
      }),
    ...(files.length === 0 ? [] : [`changed meanwhile in your checkout: ${files.slice(0, 8).join(', ')}${more}`]),
  ];
}
