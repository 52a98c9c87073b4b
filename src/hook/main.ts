import { readFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Sessions } from '../session/store.ts';
import { withHome } from '../world.ts';
import { decide, type HookInput, planOf } from './decide.ts';

/**
 * The hook program: reads one event from stdin, may print one decision, and always ends with exit code 0. Claude Code
 * takes exit code 2 for "block the user", so no failure of ours may reach it.
 */
function main(): void {
  const env = withHome(process.env);
  const now = (): Date => new Date();
  let sessions: Sessions | undefined;
  try {
    sessions = new Sessions(env, now);
    const input = JSON.parse(readFileSync(0, 'utf8')) as HookInput;
    // The rule lies in the plugin, beside the folder of this program.
    const rule = join(dirname(process.argv[1] ?? ''), '..', 'rules', 'kimi-delegation.md');
    const decision = decide(input, { env, now, sessions, rule });
    // The band asks every other second; that is no decision.
    if (input.hook_event_name !== 'ModRuns')
      sessions.log({
        event: input.hook_event_name,
        tool: input.tool_name,
        session: input.session_id,
        cwd: input.cwd,
        plan: planOf(input),
        decided: decision.output === undefined ? 'nothing' : 'spoke',
        why: decision.why,
      });
    // Written to the descriptor: making the stream object would take longer than the decision.
    if (decision.output !== undefined) writeSync(1, `${JSON.stringify(decision.output)}\n`);
    sessions.clean();
  } catch (error) {
    try {
      sessions?.log({ decided: 'nothing', why: `the hook failed: ${String(error).slice(0, 300)}` });
    } catch {
      // Not even the log can be written: the action goes on all the same.
    }
  }
}

main();
