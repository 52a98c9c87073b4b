import { Command, type CommanderError } from 'commander';
import { refuse } from '../errors.ts';
import type { World } from '../world.ts';
import { EXAMPLES } from './examples.ts';
import { refusalJson, wantsJson } from './refusal.ts';

type Handler = (world: World, args: readonly string[], options: Record<string, unknown>) => Promise<number>;

/** Parses the arguments, loads the one command that they name, and returns its exit code. */
export async function runCli(argv: readonly string[], world: World): Promise<number> {
  let code = 0;
  const program = declare((load) => async (...values) => {
    const command = values.at(-1) as Command;
    refuseEmpty(command);
    const handler = await load();
    code = await handler(world, command.args, command.opts());
  });
  program.configureOutput({ writeOut: world.out, writeErr: world.err });
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof Error && 'exitCode' in error && 'code' in error)) throw error;
    const { exitCode, message } = error as CommanderError;
    if (exitCode === 0) return 0;
    if (wantsJson(argv)) world.out(refusalJson({ code: 'usage', message, fix: 'kimi-dispatch --help' }));
    return 2;
  }
  return code;
}

/** An empty word is a variable that was not set: no command takes it for a path, a name or a text. */
function refuseEmpty(command: Command): void {
  const empty = Object.entries(command.opts()).find(([, value]) => [value].flat().some((one) => one === ''));
  const option = command.options.find((one) => one.attributeName() === empty?.[0]);
  if (option === undefined && !command.args.includes('')) return;
  throw refuse(
    'usage',
    option === undefined ? `An argument of ${command.name()} is empty.` : `${option.long} is empty.`,
    `kimi-dispatch ${command.name()} --help`,
  );
}

export type Bind = (load: () => Promise<Handler>) => (...values: unknown[]) => Promise<void>;

const number =
  (name: string) =>
  (text: string): number => {
    const value = Number(text);
    if (Number.isFinite(value) && value > 0) return value;
    throw refuse('usage', `${name} takes a number greater than 0, not "${text}".`);
  };

const whole =
  (name: string) =>
  (text: string): number => {
    const value = number(name)(text);
    if (Number.isSafeInteger(value)) return value;
    throw refuse('usage', `${name} takes a whole number of at most ${Number.MAX_SAFE_INTEGER}, not "${text}".`);
  };

const choice =
  (name: string, ...words: string[]) =>
  (text: string): string => {
    if (words.includes(text)) return text;
    throw refuse('usage', `${name} is one of ${words.join(', ')}, not "${text}".`);
  };

const collect = (text: string, before: readonly string[] = []): string[] => [...before, text];

/** The table of commands, flags and groups: help, completions and the manual page come from it. */
export function declare(bind: Bind): Command {
  const program = new Command('kimi-dispatch').description('Claude Code designs and reviews, Kimi types.');
  program
    .exitOverride()
    .showHelpAfterError('(kimi-dispatch --help lists the commands)')
    .helpOption('-h, --help')
    .helpCommand(false);
  program.option('-V, --version', 'print the version');
  program.addHelpText('after', '\nA RUN is an id, a unique prefix of one, or @last.');
  const add = (name: string, group: string, text: string): Command =>
    program.command(name).helpGroup(group).description(text).exitOverride();
  const everyday = 'Everyday:';
  add('run <file...>', everyday, 'run a spec or a plan: worktree, baseline, Kimi, verification, result')
    .option('--profile <name>', 'limits and model by name')
    .option('--model <alias>', 'a model of your Kimi config')
    .option('--thinking <effort>', 'off, or an effort that the model knows')
    .option('--max-steps <n>', 'model calls at most', whole('--max-steps'))
    .option('--timeout <seconds>', 'wall clock for Kimi', number('--timeout'))
    .option('--idle <seconds>', 'silence of Kimi', number('--idle'))
    .option('--base <ref>', 'where the change starts (default: the spec, else HEAD)')
    .option('--header <file>', 'lines that a plan leaves open (## Files, ## Verification); - is stdin')
    .option('--sandbox <mode>', 'auto, required or off', choice('--sandbox', 'auto', 'required', 'off'))
    .option('--no-baseline', 'do not run the verification on the base first')
    .option('--task <id>', 'the task of the mailbox that this run carries out')
    .option('--review', 'Kimi reads and reports; it cannot write (needs the sandbox)')
    .option('--waves', 'a run for each task (of one spec or several), in waves, integrated one by one')
    .option('--concurrency <n>', 'runs at a time (default: the profile)', whole('--concurrency'))
    .option('--verify-each', 'with --waves: verify the whole after each merge')
    .option('--no-queue', 'run here, although a queue is set')
    .option('--background', 'start a supervisor that outlives this terminal, print the run id and end')
    .option('--dry-run', 'print the steps and start nothing')
    .option('--artifacts <folder>', 'leave spec, result, report and patch there, for another job')
    .option('--junit <file>', 'the verification as JUnit XML')
    .option('--json', 'print result.json')
    .option('--ndjson', 'print the events as they happen')
    .action(bind(async () => (await import('./run.ts')).runCommand));
  add('status', everyday, 'the runs of this repository')
    .option('--json', 'as data')
    .action(bind(async () => (await import('./status.ts')).statusCommand));
  add('show <run>', everyday, 'the result of a run')
    .option('--json', 'result.json')
    .option('--full', 'the whole report')
    .option('--html', 'one page: outcome, steps, verification, gate, diff; prints its path')
    .action(bind(async () => (await import('./look.ts')).showCommand));
  add('diff <run> [path]', everyday, 'the change of a run')
    .option('--since-review', 'only what changed since it was sent back')
    .action(bind(async () => (await import('./look.ts')).diffCommand));
  add('merge <run...>', everyday, 'bring the change onto your branch')
    .option('--squash', 'one commit (default)')
    .option('--no-ff', 'a merge commit')
    .option('--unverified', 'what nothing could verify, for example documentation')
    .option('--force', 'overrides a failed verification and the gate')
    .option('--message <text>', 'the whole commit message, in place of the title and trailers')
    .option('--commit <id>', 'refuse when the run has another commit by now')
    .option('--onto <branch>', 'refuse when another branch is checked out')
    .option('--json', 'as data')
    .action(bind(async () => (await import('./end.ts')).mergeCommand));
  add('discard <run>', everyday, 'throw the worktree and branch away; the patch stays').action(
    bind(async () => (await import('./end.ts')).discardCommand),
  );
  const look = 'Look:';
  add('summary', look, 'what waits for you, with the command for each')
    .option('--json', 'as data')
    .action(bind(async () => (await import('./status.ts')).summaryCommand));
  add('logs <run>', look, 'what happened in a run')
    .option('-f, --follow', 'go on until it ends')
    .action(bind(async () => (await import('./logs.ts')).logsCommand));
  add('watch', look, 'all runs, live').action(bind(async () => (await import('./logs.ts')).watchCommand));
  add('stats', look, 'whether delegating pays')
    .option('--json', 'as data')
    .action(bind(async () => (await import('./keep.ts')).statsCommand));
  const write = 'Specs:';
  add('spec <plan>', write, 'turn a plan into a spec, without a model')
    .option('-o, --output <file>', 'write it there; - prints it')
    .option('--force', 'also over a file that exists')
    .option('--header <file>', 'lines that the plan leaves open (## Files, ## Verification); - is stdin')
    .option('--explain', 'say for each line of the plan what it was taken for, and why')
    .option('--json', 'findings as data')
    .action(bind(async () => (await import('./spec.ts')).specCommand));
  add(
    'import <kind> <path>',
    write,
    'spec PATH (OpenSpec, spec-kit, superpowers, Kiro) or mailbox PATH (older systems)',
  )
    .option('-o, --output <file>', 'write it there; - prints it')
    .option('--force', 'also over a file that exists')
    .option('--yes', 'with mailbox: take it over; without, a list')
    .option('--json', 'findings as data')
    .action(bind(async () => (await import('./spec.ts')).importCommand));
  add('check <spec>', write, 'check a spec')
    .option('--json', 'findings as data')
    .option('--strict', 'warnings are errors')
    .action(bind(async () => (await import('./spec.ts')).checkCommand));
  add('accept <folder>', 'Act on a run:', 'take over what another job left, after checking all of it again')
    .option('--spec <file>', 'the spec that was asked for')
    .option('--json', 'as data')
    .action(bind(async () => (await import('./end.ts')).acceptCommand));
  add('pr <run>', 'Act on a run:', 'push its branch and open a draft pull request')
    .option('--remote <name>', 'where to push (default: where git pushes this branch)')
    .option('--json', 'as data')
    .action(bind(async () => (await import('./end.ts')).prCommand));
  const together = 'Collaborate:';
  const acting = (name: string, text: string): Command =>
    add(name, together, text)
      .option('--as <agent>', 'who acts (default: KIMI_DISPATCH_AGENT, else claude)')
      .option('--json', 'as data');
  acting('agent [words...]', 'list, add <name>')
    .option('--description <text>', 'what it is for')
    .action(bind(async () => (await import('./mail.ts')).agentCommand));
  acting('inbox', 'unread mail and open escalations').action(
    bind(async () => (await import('./inbox.ts')).inboxCommand),
  );
  acting('msg <words...>', 'send <to> <text>, read <id>, reply <id> <text>, mark <id>, search <words>')
    .option('--subject <text>', 'one line')
    .option('--type <type>', 'message, delegation, review, discussion or question')
    .option('--file <file>', 'the body; - reads stdin')
    .action(bind(async () => (await import('./mail.ts')).msgCommand));
  acting('escalate <id> <reason...>', 'a message needs a human; it stays visible')
    .option('--severity <level>', 'low, medium, high or critical')
    .action(bind(async () => (await import('./mail.ts')).escalateCommand));
  acting('resolve <id>', 'ends an escalation').action(bind(async () => (await import('./mail.ts')).resolveCommand));
  acting('task [words...]', 'create <title>, list, show <id>, update <id>')
    .option('--to <agent>', 'who does it')
    .option('--description <text>', 'more words')
    .option('--priority <level>', 'low, medium, high or critical')
    .option('--status <state>', 'the next state')
    .option('--note <text>', 'a note')
    .option('--expect <version>', 'refuse when it was changed meanwhile', whole('--expect'))
    .action(bind(async () => (await import('./mail.ts')).taskCommand));
  acting('quick <text...>', 'a task and its message in one')
    .option('--to <agent>', 'who does it')
    .option('--priority <level>', 'low, medium, high or critical')
    .action(bind(async () => (await import('./mail.ts')).quickCommand));
  add('dashboard', together, 'runs, tasks and escalations as a Markdown page')
    .option('-o, --output <file>', 'write it there')
    .option('--force', 'also over a file that is not a dashboard')
    .action(bind(async () => (await import('./mail.ts')).dashboardCommand));
  add(
    'update-template <file>',
    together,
    'a prompt that improves a template; its answer is checked before it replaces anything',
  )
    .option('--focus <text>', 'what to look at')
    .option('--answer <file>', 'check it and show the difference')
    .option('--yes', 'take it')
    .action(bind(async () => (await import('./mail.ts')).templateCommand));
  add('worker', 'Many machines:', 'take runs off the queue, until it is told to end')
    .option('--concurrency <n>', 'runs at a time (default: 1)', whole('--concurrency'))
    .option('--sandbox <mode>', 'auto, required (default) or off', choice('--sandbox', 'auto', 'required', 'off'))
    .action(bind(async () => (await import('./queue.ts')).workerCommand));
  add('relay <agent>', together, 'a prompt with everything inline, for a worker without a terminal').action(
    bind(async () => (await import('./mail.ts')).relayCommand),
  );
  add('init', together, 'name, principal and mode of this repository; guide and shared context')
    .option('--project <name>', 'its name')
    .option('--principal <agent>', 'who dispatches and merges', 'claude')
    .option(
      '--mode <mode>',
      'hierarchical, peer or review',
      choice('--mode', 'hierarchical', 'peer', 'review'),
      'hierarchical',
    )
    .option('--force', 'replace what an earlier init wrote')
    .action(bind(async () => (await import('./mail.ts')).initCommand));
  add('mcp', together, 'the same as an MCP server on stdin and stdout')
    .option('--worker <home>', 'inside a run: the tools of its outbox')
    .action(bind(async () => (await import('../mcp/server.ts')).mcpCommand));
  const more = 'More:';
  add('wait <run>', more, 'wait for a run to end; ends with its exit code')
    .option('--json', 'print result.json')
    .action(bind(async () => (await import('./wait.ts')).waitCommand));
  const home = 'The Claude home:';
  for (const name of ['install', 'upgrade'] as const)
    add(
      name,
      home,
      name === 'install' ? 'put commands, rule, hooks and template there' : 'the same, over an older version',
    )
      .option('--dry-run', 'print the changes and make none')
      .option('--user', 'your Claude home (default)')
      .option('--project', "this repository's .claude")
      .option('--allow-look', 'let Claude look at results without a question in plan mode too (settings.json)')
      .option('--as <form>', 'files or plugin', choice('--as', 'files', 'plugin'), 'files')
      .action(bind(async () => (await import('./install.ts')).installCommand(name)));
  add('uninstall', home, 'take them out again')
    .option('--dry-run', 'print the changes and make none')
    .option('--project', "this repository's .claude")
    .action(bind(async () => (await import('./install.ts')).uninstallCommand));
  add('doctor', home, 'check what kimi-dispatch needs, with a remedy for each row')
    .option('--json', 'as data')
    .option('--live', 'also ask the installed Kimi for the flags that are used')
    .action(bind(async () => (await import('./doctor.ts')).doctorCommand));
  const keep = 'Keep house:';
  add('profile [words...]', keep, 'list, show [name], use <name>, add <name> key=value...')
    .option('--json', 'as data')
    .action(bind(async () => (await import('./profile.ts')).profileCommand));
  add('prune', keep, 'logs and streams of reviewed runs; a list, until --yes')
    .option('--older <days>', 'ended before so many days (default: 30)')
    .option('--keep <n>', 'leave the newest so many whole (default: 20)')
    .option('--larger <mb>', 'only what frees so many megabytes at least')
    .option('--yes', 'remove them')
    .action(bind(async () => (await import('./keep.ts')).pruneCommand));
  add('quota', keep, 'model calls of the last seven days')
    .option('--live', 'also ask the service')
    .option('--json', 'as data')
    .action(bind(async () => (await import('./profile.ts')).quotaCommand));
  add('completion <shell>', more, 'a completion script for bash, zsh or fish').action(
    bind(async () => async (world, args) => {
      const { completionScript } = await import('./completion.ts');
      world.out(completionScript(program, args[0] ?? ''));
      return 0;
    }),
  );
  add('manual', more, 'the manual page, for man -l').action(
    bind(async () => async (world) => {
      const { manualPage } = await import('./completion.ts');
      world.out(manualPage(program, ''));
      return 0;
    }),
  );
  add('hook', more, "what Claude Code's hooks decided, and the switch of this repository")
    .option('--header <file>', 'lines that the plan leaves open (## Files, ## Verification); - is stdin')
    .option('--explain', 'the latest decisions and why')
    .option('--off', 'no offers in this repository')
    .option('--on', 'offers again')
    .action(bind(async () => (await import('./hook.ts')).hookCommand));
  const act = 'Act on a run:';
  const attempt = (name: string, text: string): Command =>
    add(name, act, text)
      .option('--max-steps <n>', 'model calls at most', whole('--max-steps'))
      .option('--timeout <seconds>', 'wall clock for Kimi', number('--timeout'))
      .option('--sandbox <mode>', 'auto, required or off', choice('--sandbox', 'auto', 'required', 'off'))
      .option('--background', 'start a supervisor that outlives this terminal, print the run id and end')
      .option('--json', 'print result.json');
  attempt('revise <run>', 'send the work back: the same session gets the findings')
    .option('--finding <text>', 'path:line and the change; again for each finding', collect)
    .option('--findings <file>', 'a file of them, one a line; - reads stdin')
    .action(bind(async () => (await import('./again.ts')).reviseCommand));
  attempt('answer <run> <text>', "answer the worker's question").action(
    bind(async () => (await import('./again.ts')).answerCommand),
  );
  attempt('refresh <run>', 'put the change onto what your branch is now; conflicts go back to Kimi').action(
    bind(async () => (await import('./again.ts')).refreshCommand),
  );
  add('allow <run> [path...]', act, 'accept undeclared paths of a change; the gate looks again')
    .option('--tests <file...>', 'accept that tests of these files are gone; the verification runs again')
    .option('--json', 'print result.json')
    .action(bind(async () => (await import('./allow.ts')).allowCommand));
  attempt('resume <run>', 'go on after a limit, a crash or a reboot').action(
    bind(async () => (await import('./again.ts')).resumeCommand),
  );
  add('cancel <run>', act, 'end a run at work; what it did is saved').action(
    bind(async () => (await import('./again.ts')).cancelCommand),
  );
  add('recover [run]', act, 'end what dead dispatchers left behind; a RUN also when its container is gone')
    .option('--json', 'as data')
    .action(bind(async () => (await import('./again.ts')).recoverCommand));
  add('undo <run>', more, 'take a merge back').action(bind(async () => (await import('./end.ts')).undoCommand));
  for (const command of program.commands) {
    const example = EXAMPLES[command.name()];
    if (example !== undefined)
      command.addHelpText('after', `\nExamples:\n${example.map((line) => `  kimi-dispatch ${line}`).join('\n')}`);
  }
  return program;
}
