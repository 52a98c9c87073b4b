import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeWhole } from '../files.ts';
import { publicConfig } from '../git/public-config.ts';
import { gitFolderOf } from '../git/slot.ts';
import {
  attemptPolicy,
  type PolicyInput,
  type ProvisionInput,
  provisionPolicy,
  verifyPolicy,
} from '../process/policy.ts';
import { type ProcessCall, type Runner, runProcess } from '../process/run.ts';
import { closeSandbox, openSandbox, runSandboxed, type Sandbox, type SandboxedEnd } from '../process/sandbox.ts';
import { makeCaches } from './kept.ts';

/** All that the policies of a run are computed from, but its private folder. */
export type Walls = Omit<PolicyInput, 'scratch' | 'gitConfig'>;

/** The sandbox of one run: Kimi under one policy, the verification under another. */
export class Enclosure {
  readonly #sandbox: Sandbox;
  #input: PolicyInput;
  #config: Promise<void> | undefined;

  constructor(root: string, run: string, walls: Walls) {
    this.#sandbox = openSandbox(root, run);
    this.#input = { ...walls, scratch: this.#sandbox.scratch };
  }

  /** Runs Kimi. Its git may stage and compare, with an index and objects of its own. */
  async attempt(call: ProcessCall, commonDir: string): Promise<SandboxedEnd> {
    await this.#hideConfig(call.env);
    const git = join(this.#sandbox.scratch, 'attempt', 'git');
    mkdirSync(join(git, 'objects'), { recursive: true });
    const index = join(gitFolderOf(commonDir, call.cwd), 'index');
    if (existsSync(index)) copyFileSync(index, join(git, 'index'));
    const env = {
      ...call.env,
      GIT_INDEX_FILE: join(git, 'index'),
      GIT_OBJECT_DIRECTORY: join(git, 'objects'),
      GIT_ALTERNATE_OBJECT_DIRECTORIES: join(commonDir, 'objects'),
    };
    return runSandboxed(this.#sandbox, attemptPolicy(this.#input), { ...call, env });
  }

  /** Closes dependency folders to writes (paths from the worktree's top); their tools' caches get a place of their own. */
  protect(readOnly: readonly string[]): Walls {
    const { worktree } = this.#input;
    const dependencies = readOnly.map((path) => join(worktree, path));
    this.#input = { ...this.#input, dependencies, caches: makeCaches(worktree, readOnly) };
    const { scratch: _scratch, gitConfig: _config, ...walls } = this.#input;
    return walls;
  }

  async verification(call: ProcessCall): Promise<SandboxedEnd> {
    await this.#hideConfig(call.env);
    return runSandboxed(this.#sandbox, verifyPolicy(this.#input), call);
  }

  /** Runs what makes files and dependencies. */
  provisioning(how: ProvisionInput): Runner {
    return async (call) => {
      await this.#hideConfig(call.env);
      mkdirSync(how.cache, { recursive: true, mode: 0o700 });
      return runSandboxed(this.#sandbox, provisionPolicy(this.#input, how), call);
    };
  }

  /** The repository's git configuration may hold addresses with tokens: inside, a copy without them is seen. */
  #hideConfig(env: ProcessCall['env']): Promise<void> {
    this.#config ??= this.#writeConfig(env);
    return this.#config;
  }

  async #writeConfig(env: ProcessCall['env']): Promise<void> {
    const { records, scratch } = this.#input;
    if (records === undefined) return;
    const file = join(scratch, 'git-config');
    writeFileSync(file, await publicConfig({ dir: dirname(records), env, filters: [] }), { mode: 0o600 });
    this.#input = { ...this.#input, gitConfig: file };
  }

  close(): void {
    closeSandbox(this.#sandbox);
  }
}

/** What runs verification commands: in the enclosure of a run, or plainly where it has none. */
export const verifierOf = (enclosure: Enclosure | undefined): Runner =>
  enclosure === undefined ? runProcess : (call) => enclosure.verification(call);

const FILE = 'walls.json';

/** Kept beside the run, so that what is verified again later is verified behind the same walls. */
export const keepWalls = (runFolder: string, walls: Walls): void =>
  writeWhole(join(runFolder, FILE), JSON.stringify(walls));

export const hasWalls = (runFolder: string): boolean => existsSync(join(runFolder, FILE));

/** The walls of a run whose worktree lies elsewhere now; its dependency folders there are its own. */
export function moveWalls(runFolder: string, worktree: string): void {
  const file = join(runFolder, FILE);
  if (!existsSync(file)) return;
  const { dependencies: _dependencies, caches: _caches, ...walls } = JSON.parse(readFileSync(file, 'utf8')) as Walls;
  keepWalls(runFolder, { ...walls, worktree });
}

/** The walls that a run had; undefined where it had no sandbox. */
export function readWalls(runFolder: string): Walls | undefined {
  const file = join(runFolder, FILE);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Walls) : undefined;
}
