/** A run, as `ModRuns` of the hook program tells it. */
export type Run = {
  run: string;
  state: 'working' | 'ended';
  title: string;
  at: string;
  step: number;
  limit: number;
  seconds: number;
  tokens: number;
  tasks: string[];
  end: string;
  outcome?: string;
  summary?: string;
  reason?: string;
  commit?: string;
};

export type Band = { runs: Run[]; onto: string };

declare module 'claude-code' {
  interface PluginState {
    'kimi-dispatch': {
      band: Band | null;
      /** An approved plan that no model step may see undecided; it stays when the mod is loaded anew. */
      waiting: { plan?: string; prompt?: string } | null;
      /** What the pane shows, and for which run a text is being written. */
      view: { files: { path: string; hunks: string }[]; writing: string };
    };
  }
}
