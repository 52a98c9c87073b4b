import type { Asked, Reply } from './messages-server.mjs';

/** A plan large enough for rule A5 to propose Kimi first. */
export const PLAN = `# Polite greetings

About 120 lines in all.

1. Change \`greet.txt\` so that it says please.
2. Create \`src/greet.sh\` that prints it.
3. Create \`docs/greet.md\` that describes it.

## Verification
- \`grep -q please greet.txt\`
`;

/**
 * A model that does what the captured request tells it, and nothing that is not in it: it asks only if the hook's
 * context arrived, and starts only the command that it was given.
 */
export function obedient({ plan = PLAN, byRule = false } = {}): (asked: Asked) => Reply {
  return ({ text, last }) => {
    const planFile = /(\/[^"\\ `]+\/plans\/[\w-]+\.md)/.exec(text)?.[1];
    const command = /kimi-dispatch run plan:[0-9a-f]{12}(?: --sandbox required)?/.exec(last)?.[0];
    const bash = (line: string, more: Record<string, unknown> = {}): Reply => ({
      calls: [{ name: 'Bash', input: { command: line, description: line.slice(0, 40), ...more } }],
    });
    const start = (): Reply => bash(command as string, { run_in_background: true });
    const ended = /kimi-dispatch: run (\S+) ended: ([a-z-]+)/.exec(last);
    if (ended !== null) return bash(`kimi-dispatch show ${ended[1]}`);
    const choosing = last.includes('approved your plan') || last.includes('"text":"Implement the following plan:');
    if (choosing && command !== undefined && /"text":"[^"]*\bkimi\b/i.test(feedback(last))) return start();
    if (choosing && last.includes('kimi-dispatch: the approved plan touches')) return ask(last);
    // Without a hook the rule, loaded with the session, is all there is.
    if (choosing && byRule && text.includes('# Delegating to Kimi')) return ask('');
    if (choosing) return { text: 'NO OFFER: implementing it here.' };
    if (byRule && /implements this plan\?[\\"= ]+Kimi/.test(last))
      return bash(`kimi-dispatch run ${planFile}`, { run_in_background: true });
    if (last.includes('the user chose Kimi') && command !== undefined) return start();
    if (last.includes('running in background') || last.includes('running in the background'))
      return { text: 'IT RUNS NOW.' };
    if (/SUCCEEDED \d/.test(last)) return { text: 'REVIEWED: shall I merge?' };
    if (/VERIFICATION-FAILED \d/.test(last)) return { text: 'REVIEWED: shall I send it back?' };
    const red = /VERIFICATION-FAILED (\d{6}-\d{4}-\w+)/.exec(text)?.[1];
    if (last.includes('yes send it back'))
      return bash(`kimi-dispatch revise ${red} --findings findings.md`, { run_in_background: true });
    const merge = /SUCCEEDED (\d{6}-\d{4}-\w+)/.exec(text)?.[1];
    if (last.includes('yes please merge')) return bash(`kimi-dispatch merge ${merge}`);
    if (last.includes('Merged ')) return { text: 'ALL MERGED.' };
    if (last.includes('look at git')) return bash(`git diff main...kimi/${merge}-polite-greetings`);
    if (last.includes('File created') || last.includes('has been updated'))
      return { calls: [{ name: 'ExitPlanMode', input: {} }] };
    if (last.includes('more detail'))
      return { calls: [{ name: 'Write', input: { file_path: planFile, content: `${plan}\nIn more detail.\n` } }] };
    if (last.includes('please plan'))
      return { calls: [{ name: 'Write', input: { file_path: planFile, content: plan } }] };
    return { text: 'HEARD YOU.' };
  };
}

/** The user's own words beside a tool result: text blocks that are no hook's and no reminder's. */
const feedback = (last: string): string =>
  (last.match(/"text":"(?!<system-reminder>)[^"]*"/g) ?? [])
    .filter((text) => !/kimi-dispatch:|hook additional context|Approved Plan/.test(text))
    .join('\n');

function ask(last: string): Reply {
  const first = /options \\"(\w+)\\" \(/.exec(last)?.[1] ?? 'Claude';
  const second = first === 'Kimi' ? 'Claude' : 'Kimi';
  const option = (label: string): Record<string, string> => ({ label, description: `${label} implements it` });
  const question = {
    question: 'Who implements this plan?',
    header: 'Implementer',
    multiSelect: false,
    options: [option(first), option(second)],
  };
  return { calls: [{ name: 'AskUserQuestion', input: { questions: [question] } }] };
}
