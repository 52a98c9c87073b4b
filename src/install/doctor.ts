import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { refusalOf } from '../errors.ts';
import { findKimi } from '../flavour/find.ts';
import { planHome } from '../flavour/home.ts';
import { ask } from '../process/ask.ts';
import { probeSandbox } from '../process/sandbox.ts';
import { currentProfile, loadProfile } from '../profile/profile.ts';
import { toolsRefused } from '../run/tools-inside.ts';
import { Sessions } from '../session/store.ts';
import { readManifest } from './changes.ts';
import { commandsOnPath, ownCommand } from './command.ts';
import { COMMANDS } from './content.ts';
import { installedPlugin } from './install.ts';
import { installPlaces, pluginFolder, programIn } from './places.ts';
import { versionIn } from './runtime.ts';

export type Verdict = 'ok' | 'warn' | 'broken';
export interface Row {
  readonly check: string;
  readonly verdict: Verdict;
  readonly found: string;
  readonly remedy?: string;
}

export interface DoctorCall {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly root: string;
  readonly now: () => Date;
  readonly live: boolean;
}

const row = (check: string, verdict: Verdict, found: string, remedy?: string): Row =>
  remedy === undefined || verdict === 'ok' ? { check, verdict, found } : { check, verdict, found, remedy };

/** Every part that kimi-dispatch needs, looked at without changing anything. */
export async function examine(call: DoctorCall): Promise<Row[]> {
  const env = Object.fromEntries(
    Object.entries(call.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  const [git, claude, kimi] = await Promise.all([gitRow(env), claudeRow(env), kimiRows(call, env)]);
  return [
    row('Node', 'ok', process.versions.node),
    git,
    ...kimi,
    profileRow(call),
    claude,
    ...installRows(call),
    commandRow(call),
    ...nameRows(call),
    hookRow(call),
    ...(await sandboxRows(call, env)),
  ];
}

async function gitRow(env: Record<string, string>): Promise<Row> {
  const said = await ask('git', ['--version'], env);
  const version = /(\d+)\.(\d+)[.\d]*/.exec(said.stdout);
  if (version === null) return row('git', 'broken', 'does not start', 'Install git 2.38 or newer.');
  const old = Number(version[1]) < 2 || (Number(version[1]) === 2 && Number(version[2]) < 38);
  return row('git', old ? 'broken' : 'ok', version[0], 'Install git 2.38 or newer.');
}

async function claudeRow(env: Record<string, string>): Promise<Row> {
  const said = await ask('claude', ['--version'], env);
  const version = /(\d+\.\d+\.\d+)/.exec(said.stdout)?.[1];
  if (version === undefined)
    return row('Claude Code', 'warn', 'no `claude` on PATH', 'Install Claude Code; run, merge and CI work without it.');
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const old = major < 2 || (major === 2 && minor < 1) || (major === 2 && minor === 1 && patch < 197);
  return row(
    'Claude Code',
    old ? 'warn' : 'ok',
    version,
    'Tried with 2.1.197 and 2.1.330; update with `claude update`.',
  );
}

async function kimiRows(call: DoctorCall, env: Record<string, string>): Promise<Row[]> {
  const cache = join(call.env.XDG_CACHE_HOME ?? join(call.env.HOME ?? '/', '.cache'), 'kimi-dispatch', 'kimi.json');
  try {
    const kimi = await findKimi(call.env, cache);
    const rows = [row('Kimi', 'ok', `${kimi.flavour} ${kimi.version}`), loginRow(call)];
    return call.live ? [...rows, await liveRow(kimi.file, env)] : rows;
  } catch (error) {
    const refusal = refusalOf(error);
    return [row('Kimi', 'broken', refusal?.message ?? String(error), refusal?.fix)];
  }
}

function loginRow(call: DoctorCall): Row {
  try {
    const config = call.env.XDG_CONFIG_HOME ?? join(call.env.HOME ?? '/', '.config');
    const keeps = loadProfile(currentProfile(config), config);
    const { left } = planHome(call.env, { steps: 1, attempts: 1, keeps });
    const behind = left.length === 0 ? '' : `; a run leaves behind: ${left.join('; ')}`;
    return row('Kimi login', 'ok', `a model and its credentials are configured${behind}`);
  } catch (error) {
    const refusal = refusalOf(error);
    return row('Kimi login', 'broken', refusal?.message ?? String(error), refusal?.fix);
  }
}

/** What the flavour assumes of the program, asked of the program itself. */
async function liveRow(file: string, env: Record<string, string>): Promise<Row> {
  const [help, doctor] = await Promise.all([ask(file, ['--help'], env), ask(file, ['doctor', '--help'], env)]);
  const missing = ['--prompt', '--output-format', 'stream-json', '--session', '--model'].filter(
    (word) => !help.stdout.includes(word),
  );
  if (!doctor.stdout.includes('config')) missing.push('doctor config');
  return missing.length === 0
    ? row('Kimi flags', 'ok', 'every flag that is used is there')
    : row('Kimi flags', 'broken', `not in its help: ${missing.join(', ')}`, 'npm install -g @moonshot-ai/kimi-code@2');
}

function profileRow(call: DoctorCall): Row {
  try {
    const config = call.env.XDG_CONFIG_HOME ?? join(call.env.HOME ?? '/', '.config');
    const { steps, wallSeconds } = loadProfile('default', config);
    return row('Profile', 'ok', `default: ${steps} steps, ${wallSeconds} s`);
  } catch (error) {
    const refusal = refusalOf(error);
    return row('Profile', 'broken', refusal?.message ?? String(error), refusal?.fix);
  }
}

function installRows(call: DoctorCall): Row[] {
  const places = installPlaces(call.env, undefined);
  const plugin = installedPlugin(places.claude);
  try {
    const manifest = readManifest(places.claude);
    if (manifest === undefined && plugin === undefined)
      return [row('Installed', 'warn', `nothing in ${places.claude}`, 'npx kimi-dispatch install')];
    const twice = manifest?.as === 'files' && plugin !== undefined;
    const rows = [
      row(
        'Installed',
        twice ? 'broken' : 'ok',
        twice ? `as files and as ${plugin}: the hooks would ask twice` : `as ${manifest?.as ?? `plugin ${plugin}`}`,
        `claude plugin uninstall ${plugin}`,
      ),
    ];
    return manifest === undefined ? rows : [...rows, runtimeRow(manifest.program, places.runtime)];
  } catch (error) {
    const refusal = refusalOf(error);
    return [row('Installed', 'broken', refusal?.message ?? String(error), refusal?.fix)];
  }
}

function runtimeRow(installed: string, runtime: string): Row {
  const there = versionIn(programIn(runtime));
  if (there === undefined) return row('Runtime', 'broken', `gone from ${runtime}`, 'npx kimi-dispatch install');
  return row('Runtime', there === installed ? 'ok' : 'warn', there, 'npx kimi-dispatch@latest upgrade');
}

/** Whether the program is at hand in the user's own shell, and which one that is. */
function commandRow(call: DoctorCall): Row {
  const { claude, runtime } = installPlaces(call.env, undefined);
  const [first] = commandsOnPath(call.env);
  if (first === undefined) {
    const own = join(pluginFolder(claude), 'bin', 'kimi-dispatch');
    return row('Command', 'warn', 'not on your PATH', existsSync(own) ? own : 'npx kimi-dispatch');
  }
  return row('Command', 'ok', ownCommand(first, runtime) ? first : `${first} (not put there by this install)`);
}

/** Commands of the user's own that have the names of ours: which one Claude Code takes. */
function nameRows(call: DoctorCall): Row[] {
  const { claude } = installPlaces(call.env, undefined);
  const own = COMMANDS.filter((name) => {
    const file = join(claude, 'commands', name);
    return existsSync(file) && readFileSync(file, 'utf8') !== readFileSync(join(call.root, 'commands', name), 'utf8');
  });
  return own.map((name) =>
    row(
      `/${name.slice(0, -3)}`,
      'warn',
      `your own is active: ${join(claude, 'commands', name)}`,
      `Rename yours, or take ours: mv ${join(claude, 'commands', name)}.new ${join(claude, 'commands', name)}`,
    ),
  );
}

function hookRow(call: DoctorCall): Row {
  const { claude } = installPlaces(call.env, undefined);
  if (switchedOff(join(claude, 'settings.json')))
    return row('Hooks', 'warn', 'disableAllHooks is set: no plan is offered', 'Remove disableAllHooks.');
  const last = new Sessions(call.env, call.now).decisions().at(-1);
  return last === undefined
    ? row('Hooks', 'warn', 'have not spoken yet', 'In an open session /reload-plugins; then approve a plan.')
    : row('Hooks', 'ok', `last heard ${String(last.t).slice(0, 16)}`);
}

async function sandboxRows(call: DoctorCall, env: Record<string, string>): Promise<Row[]> {
  const probe = await probeSandbox(call.root, call.env);
  if (!probe.works)
    return [
      row('Sandbox', 'warn', probe.reason, 'apt-get install bubblewrap socat ripgrep; without it Kimi runs as you'),
    ];
  const refused = await toolsRefused(call.root, env);
  return [
    row('Sandbox', 'ok', 'a probe ran inside and held'),
    row(
      'Tools inside',
      refused.length === 0 ? 'ok' : 'warn',
      refused.length === 0 ? 'every tool that starts here starts inside' : `do not start inside: ${refused.join(', ')}`,
      'Name the folders that they need in the profile: allowRead = ["~/path/of/the/tool"]',
    ),
  ];
}

function switchedOff(file: string): boolean {
  try {
    return (
      existsSync(file) &&
      (JSON.parse(readFileSync(file, 'utf8')) as { disableAllHooks?: boolean }).disableAllHooks === true
    );
  } catch {
    return false;
  }
}
