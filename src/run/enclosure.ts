import { appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeWhole } from '../files.ts';
import { gitFolderOf } from '../git/slot.ts';
import { gitView } from '../git/view.ts';
import { missed } from '../process/closed.ts';
import {
  attemptPolicy,
  type GitView,
  type Policy,
  type PolicyInput,
  type ProvisionInput,
  provisionPolicy,
  verifyPolicy,
} from '../process/policy.ts';
import { type ProcessCall, type Runner, runProcess } from '../process/run.ts';
import { closeSandbox, openSandbox, runSandboxed, type Sandbox, type SandboxedEnd } from '../process/sandbox.ts';
import { toolPaths } from '../process/tools.ts';
import { makeCaches } from './kept.ts';

/** All that the policies of a run are computed from, but its private folder. */
export type Walls = Omit<PolicyInput, 'scratch' | 'git'>;

export interface EnclosedEnd extends SandboxedEnd {
  /** Paths that it missed because they are closed, as far as its words show. */
  readonly closed: readonly string[];
}

/** The sandbox of one run: Kimi under one policy, the verification under another. */
export class Enclosure {
  readonly #sandbox: Sandbox;
  #input: PolicyInput;
  #view: Promise<GitView> | undefined;

  constructor(root: string, run: string, walls: Walls) {
    this.#sandbox = openSandbox(root, run);
    this.#input = { ...walls, scratch: this.#sandbox.scratch };
  }

  /** Runs Kimi. Its git may stage and compare, with an index and objects of its own. */
  async attempt(call: ProcessCall, commonDir: string): Promise<EnclosedEnd> {
    const env = this.#ownIndex('attempt', call, commonDir);
    return this.#run(attemptPolicy(await this.#seenBy(call)), { ...call, env });
  }

  /** Runs hooks of the user's at a commit, as a verification; they may stage, and read what is `open`. */
  async hooks(
    call: ProcessCall,
    { commonDir, open }: { readonly commonDir: string; readonly open: string },
  ): Promise<EnclosedEnd> {
    const env = this.#ownIndex('verification', call, commonDir);
    const input = await this.#seenBy(call);
    const allowRead = [...(input.allowRead ?? []), open];
    return this.#run(verifyPolicy({ ...input, allowRead }), { ...call, env });
  }

  /** An index and objects that git may write inside: copies of the worktree's own. */
  #ownIndex(policy: Policy['name'], call: ProcessCall, commonDir: string): ProcessCall['env'] {
    const git = join(this.#sandbox.scratch, policy, 'git');
    mkdirSync(join(git, 'objects'), { recursive: true });
    const index = join(gitFolderOf(commonDir, call.cwd), 'index');
    if (existsSync(index)) copyFileSync(index, join(git, 'index'));
    return {
      ...call.env,
      GIT_INDEX_FILE: join(git, 'index'),
      GIT_OBJECT_DIRECTORY: join(git, 'objects'),
      GIT_ALTERNATE_OBJECT_DIRECTORIES: join(commonDir, 'objects'),
    };
  }

  /** The private folder, with what commands write beside the worktree. */
  get scratch(): string {
    return this.#sandbox.scratch;
  }

  /** A folder in it that verifications may write; beside it nothing inside may. */
  get shared(): string {
    return join(this.#sandbox.scratch, 'verification');
  }

  /** Closes dependency folders to writes (paths from the worktree's top); their tools' caches get a place of their own. */
  protect(readOnly: readonly string[]): Walls {
    const { worktree } = this.#input;
    const dependencies = readOnly.map((path) => join(worktree, path));
    this.#input = { ...this.#input, dependencies, caches: makeCaches(worktree, readOnly) };
    const { scratch: _scratch, git: _git, ...walls } = this.#input;
    return walls;
  }

  async verification(call: ProcessCall): Promise<EnclosedEnd> {
    return this.#run(verifyPolicy(await this.#seenBy(call)), call);
  }

  /** Runs what makes files and dependencies. */
  provisioning(how: ProvisionInput): Runner {
    return async (call) => {
      mkdirSync(how.cache, { recursive: true, mode: 0o700 });
      return this.#run(provisionPolicy(await this.#seenBy(call), how), call);
    };
  }

  async #run(policy: Policy, call: ProcessCall): Promise<EnclosedEnd> {
    const end = await runSandboxed(this.#sandbox, policy, call);
    const open = [...policy.allowRead, ...policy.allowWrite, this.#sandbox.scratch];
    const closed = missed(`${end.stdoutTail}\n${end.stderrTail}`, { closed: policy.denyRead, open });
    // The last words of a command that failed are read by people: what was closed to it stands among them.
    if (closed.length > 0 && policy.name !== 'attempt')
      appendFileSync(call.stderrFile, `the sandbox closes ${closed.join(', ')} (allowRead in the profile opens it)\n`);
    return { ...end, closed };
  }

  /** With the tools that the command's environment leads to, and the parts of the repository that git needs. */
  async #seenBy(call: ProcessCall): Promise<PolicyInput> {
    const { home, records, worktree, scratch, tools = [] } = this.#input;
    const input = { ...this.#input, tools: [...tools, ...toolPaths(home, call.env)] };
    if (records === undefined) return input;
    const place = { dir: worktree, env: call.env, filters: [], disk: [] };
    const folder = join(scratch, 'view');
    this.#view ??= gitView(place, { commonDir: dirname(records), home, folder });
    return { ...input, git: await this.#view };
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
