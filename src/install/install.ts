import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { refuse } from '../errors.ts';
import { withLock } from '../process/lock.ts';
import { applyChanges, missingFolders, removeFolders } from './apply.ts';
import { type Change, changesFor, type Manifest, readManifest, removalsFor, sha256 } from './changes.ts';
import { addPlugin, removePlugin } from './client.ts';
import { commandPlace, ownCommand, putCommand } from './command.ts';
import { homeFiles } from './content.ts';
import { allowLook, settingsChange, takeBackLook } from './look-rules.ts';
import { type InstallPlaces, installPlaces, manifestFile } from './places.ts';
import { stageRuntime, swapRuntime, versionIn } from './runtime.ts';

export interface InstallCall {
  readonly root: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly as: 'files' | 'plugin';
  /** The repository whose `.claude` is installed into; undefined for the user's home. */
  readonly project: string | undefined;
  /** Opt-in: Claude may look at runs in plan mode too without a question. */
  readonly allowLook?: boolean;
}

export interface InstallPlan {
  readonly places: InstallPlaces;
  readonly as: 'files' | 'plugin';
  readonly changes: readonly Change[];
  readonly steps: readonly string[];
  readonly before: Manifest | undefined;
}

/** Computes an install as data and refuses what cannot end well. Touches nothing. */
export function planInstall(call: InstallCall): InstallPlan {
  if (call.as === 'plugin' && call.project !== undefined)
    throw refuse('usage', 'A project is installed into as files only.', 'kimi-dispatch install --project');
  const places = installPlaces(call.env, call.project);
  const before = readManifest(places.claude);
  requireValidSettings(places.claude);
  refuseTwice(call, places, before);
  const changes = changesFor(places.claude, homeFiles(call.root, places.runtime, call.as), before);
  const steps = [`put the program at ${places.runtime} (npm)`];
  if (call.as === 'plugin')
    steps.push('claude plugin marketplace add, claude plugin install kimi-dispatch@kimi-dispatch');
  return { places, as: call.as, changes, steps, before };
}

/** Claude Code ignores the whole of an invalid settings.json, and its own plugin commands refuse it. */
function requireValidSettings(claude: string): void {
  const file = join(claude, 'settings.json');
  if (!existsSync(file)) return;
  try {
    const text = readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
    if (text.trim() !== '') JSON.parse(text);
  } catch (error) {
    throw refuse(
      'preflight',
      `${file} is not valid JSON, so Claude Code ignores all of it: ${(error as Error).message}`,
      'Correct it (JSON has no comments and no trailing commas), then install again.',
    );
  }
}

/** Two live copies of the hooks would ask twice. */
function refuseTwice(call: InstallCall, places: InstallPlaces, before: Manifest | undefined): void {
  const plugin = installedPlugin(places.claude);
  if (call.as === 'files' && plugin !== undefined)
    throw refuse(
      'wrong-state',
      `kimi-dispatch is already there as the plugin ${plugin}; both together would ask twice.`,
      `kimi-dispatch install --as plugin, or first: claude plugin uninstall ${plugin}`,
    );
  if (before !== undefined && before.as !== call.as)
    throw refuse(
      'wrong-state',
      `kimi-dispatch is installed as ${before.as} here; both together would ask twice.`,
      `kimi-dispatch uninstall, then install --as ${call.as}`,
    );
  const user = installPlaces(call.env, undefined).claude;
  if (call.project !== undefined && (readManifest(user) !== undefined || installedPlugin(user) !== undefined))
    throw refuse(
      'wrong-state',
      `kimi-dispatch is already installed for you in ${user}; both together would ask twice.`,
      'kimi-dispatch uninstall, then install --project',
    );
}

/** The id under which Claude Code's own plugin manager knows us. */
export function installedPlugin(claude: string): string | undefined {
  try {
    const text = readFileSync(join(claude, 'plugins', 'installed_plugins.json'), 'utf8');
    return /"(kimi-dispatch@[\w.-]+)"/.exec(text)?.[1];
  } catch {
    return undefined;
  }
}

/** Carries the plan out, all or none. */
export async function carryOut(call: InstallCall, plan: InstallPlan): Promise<void> {
  const { places } = plan;
  const env = plainEnv(call.env);
  await withLock({ file: places.lock, what: 'Another install', waitMs: 60_000 }, async () => {
    const staged = await stageRuntime(call.root, places.runtime, env);
    try {
      // Looked at again: another install may have ended while this one waited.
      const fresh = planInstall(call);
      const settings =
        call.allowLook === true ? allowLook(places.claude, fresh.before?.settings) : fresh.before?.settings;
      const change: Change[] =
        call.allowLook === true && settings !== undefined ? [settingsChange(settings.after)] : [];
      applyChanges(places.claude, [...fresh.changes, ...change, manifestChange(call, fresh, settings)]);
    } catch (error) {
      rmSync(staged, { recursive: true, force: true });
      throw error;
    }
    swapRuntime(staged, places.runtime);
    putCommand(places.runtime, call.env);
    rememberHome(places, places.claude, true);
    if (call.as === 'plugin') await addPlugin(call.root, places, env);
  });
}

function manifestChange(call: InstallCall, plan: InstallPlan, settings: Manifest['settings']): Change {
  const command = commandPlace(call.env, plan.places.runtime);
  const { claude, runtime } = plan.places;
  const files: Record<string, string> = { ...plan.before?.files };
  for (const change of plan.changes) {
    if (change.do === 'write') files[change.path] = sha256(change.text);
    if (change.do === 'remove') delete files[change.path];
  }
  const path = join('skills', 'kimi-dispatch', 'installed.json');
  const made = missingFolders(claude, [...plan.changes, { do: 'write', path, text: '', executable: false, why: '' }]);
  const manifest: Manifest = {
    version: 1,
    program: versionIn(call.root) ?? 'unknown',
    as: call.as,
    runtime,
    files,
    folders: [...new Set([...(plan.before?.folders ?? []), ...made])].sort(),
    ...(command === undefined ? {} : { command }),
    ...(settings === undefined ? {} : { settings }),
  };
  return { do: 'write', path, text: `${JSON.stringify(manifest, null, 2)}\n`, executable: false, why: 'record' };
}

export interface Uninstalled {
  readonly claude: string;
  /** What stays because the user changed it. */
  readonly kept: readonly string[];
}

/** Takes an install away: what is still ours goes, what the user edited stays and is named. */
export async function uninstall(
  call: Omit<InstallCall, 'as'>,
  dryRun: boolean,
): Promise<Uninstalled & { changes: Change[] }> {
  const places = installPlaces(call.env, call.project);
  const manifest = readManifest(places.claude);
  if (manifest === undefined)
    throw refuse('wrong-state', `kimi-dispatch is not installed in ${places.claude}.`, 'kimi-dispatch doctor');
  const changes = removalsFor(places.claude, manifest);
  const kept = changes
    .filter((change) => change.do === 'keep' && change.why === 'changed by you')
    .map(({ path }) => path);
  if (dryRun) return { claude: places.claude, kept, changes };
  await withLock({ file: places.lock, what: 'Another install', waitMs: 60_000 }, async () => {
    if (manifest.as === 'plugin') await removePlugin(plainEnv(call.env));
    takeBackLook(places.claude, manifest.settings);
    if (manifest.command !== undefined && ownCommand(manifest.command, places.runtime)) rmSync(manifest.command);
    applyChanges(places.claude, changes);
    rmSync(manifestFile(places.claude), { force: true });
    removeFolders(places.claude, manifest.folders);
    rememberHome(places, places.claude, false);
  });
  return { claude: places.claude, kept, changes };
}

/** Which Claude homes use the runtime; it goes with the last of them. */
function rememberHome(places: InstallPlaces, home: string, uses: boolean): void {
  const file = join(dirname(places.runtime), 'homes.json');
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as string[]) : [];
  const homes = [...before.filter((item) => item !== home), ...(uses ? [home] : [])];
  if (homes.length > 0) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${JSON.stringify(homes)}\n`);
    return;
  }
  rmSync(file, { force: true });
  rmSync(places.runtime, { recursive: true, force: true });
  rmSync(places.marketplace, { recursive: true, force: true });
  removeFolders(dirname(dirname(places.runtime)), ['kimi-dispatch']);
}

const plainEnv = (env: InstallCall['env']): Record<string, string> =>
  Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
