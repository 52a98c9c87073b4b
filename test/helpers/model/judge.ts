import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { exitOfOutcome } from '../../../src/errors.ts';
import type { Result } from '../../../src/review/result.ts';
import type { Lab } from '../repo.ts';
import { Hands } from './hands.ts';
import type { Played } from './kill.ts';
import { type Kind, type Made, mergeLaws, unchanged, undoLaws, type Violation, verifiedLaw } from './laws.ts';
import type { Step, Work } from './script.ts';
import { changedBetween, locksIn, type Snapshot, snapshotOf, treeOf } from './snapshot.ts';
import { specFor } from './spec.ts';
import type { Hand } from './user.ts';

/** Documented exit codes (README, "Exit codes"); 1 is a defect of ours. */
const EXITS = new Set([0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 130]);

/** Watches a repository while a sequence goes on, and collects what must not have happened. */
export class Judge {
  readonly violations: Violation[] = [];
  /** The run that the sequence is about: the newest. */
  run: string | undefined;
  readonly #lab: Lab;
  readonly #hands: Hands;
  /** Merges that stand, by run. */
  readonly #made = new Map<string, Made>();
  readonly #known = new Set<string>();
  #declared: string[] = [];

  constructor(lab: Lab) {
    this.#lab = lab;
    this.#hands = new Hands(lab);
  }

  look(): Snapshot {
    this.#hands.look(this.run);
    return snapshotOf(this.#lab);
  }

  worktree(): string | undefined {
    return this.#result()?.worktree;
  }

  byHand(hand: Hand): void {
    this.#hands.add(hand);
  }

  /** Makes the spec of the next run from what its worker will do. */
  declare(work: readonly Work[], witness: string): string {
    const at = treeOf(this.#lab, 'HEAD');
    const { text, files } = specFor(work, at, `node ${witness} ${join(this.#lab.folder, 'seen.json')}`);
    this.#declared = files;
    return text;
  }

  /** A worker may change what was made by hand; that is its task. */
  workerComes(paths: readonly string[]): void {
    this.#hands.forget(paths);
  }

  after(step: Exclude<Step, { do: 'user' }>, before: Snapshot, ended: Played): void {
    const after = snapshotOf(this.#lab);
    this.#end(ended);
    const folders = this.#runs();
    const fresh = folders.find((name) => !this.#known.has(name));
    for (const name of folders) this.#known.add(name);
    if (fresh !== undefined) this.run = fresh;
    if (step.do === 'merge' && ended.code === 0) this.#merged(before, after, step.flag);
    else if (step.do === 'undo' && ended.code === 0) this.#undone(before, after);
    else this.violations.push(...unchanged(before, after));
    if (step.do === 'run' || step.do === 'revise') this.#ran(ended, fresh !== undefined || step.do === 'revise');
    this.violations.push(...this.#hands.judge(this.run, ended));
  }

  #end(ended: Played): void {
    const said = `${ended.stderr}\n${ended.stdout}`;
    if (ended.hung) this.#say('exit code or crash', 'it hung');
    else if (ended.code === null || !EXITS.has(ended.code) || /defect of kimi-dispatch|^ {4}at .*:\d+/m.test(said))
      this.#say('exit code or crash', `exit ${ended.code}: ${reasonIn(said)}`);
    const locks = locksIn(join(this.#lab.repo, '.git'));
    if (locks.length > 0) this.#say('lock left', locks.map((file) => file.slice(this.#lab.repo.length)).join(', '));
  }

  #merged(before: Snapshot, after: Snapshot, flag: string): void {
    const result = this.#result();
    if (result?.commit === undefined) return this.#say('merged something else', 'there was no commit to merge');
    const { base, commit } = result;
    this.violations.push(...mergeLaws({ lab: this.#lab, before, after, base, commit }));
    this.#made.set(result.run, { before, after });
    const seen = this.#seen();
    if (seen !== undefined) this.violations.push(...verifiedLaw(this.#lab, seen, after.head));
    else if (before.head !== base && flag === '' && changedBetween(this.#lab, commit, after.head).length > 0)
      this.#say('verified another tree', 'the branch had moved and nothing was verified');
  }

  #undone(before: Snapshot, after: Snapshot): void {
    const made = this.#made.get(this.run ?? '');
    if (made === undefined) return this.#say('undo is not the way back', 'there was nothing to undo');
    this.violations.push(...undoLaws(this.#lab, made, { before, after }));
    this.#made.delete(this.run ?? '');
  }

  /** After a kill and `recover`, either nothing or all of the command has happened. */
  afterKill(command: Step['do'], before: Snapshot, recovered: Played): void {
    const after = snapshotOf(this.#lab);
    this.#end(recovered);
    const nothing = unchanged(before, after);
    const all = this.#whole(command, before, after);
    if (nothing.length > 0 && all.length > 0) {
      this.#say('neither before nor after', `${command}: ${all[0]?.kind}: ${all[0]?.text}; ${nothing[0]?.text}`);
      this.violations.push(...all.filter((one) => one.kind === 'user bytes lost'));
    } else if (command === 'undo' && nothing.length > 0) this.#made.delete(this.run ?? '');
    const stands = after.head === before.head ? command === 'undo' : command === 'merge';
    if (command !== 'discard' && stands !== this.#onRecord())
      this.#say(
        'neither before nor after',
        `${command}: the record says that the run is ${stands ? 'not ' : ''}merged`,
      );
    const complaint = this.#fsck();
    if (complaint !== '') this.#say('git fsck complains', complaint);
    this.violations.push(...this.#hands.judge(this.run, undefined));
  }

  #whole(command: Step['do'], before: Snapshot, after: Snapshot): Violation[] {
    const result = this.#result();
    const made = this.#made.get(this.run ?? '');
    if (command === 'merge' && result?.commit !== undefined && after.head !== before.head) {
      const found = mergeLaws({ lab: this.#lab, before, after, base: result.base, commit: result.commit });
      if (found.length === 0) this.#made.set(result.run, { before, after });
      return found;
    }
    if (command === 'undo' && made !== undefined) return undoLaws(this.#lab, made, { before, after });
    return unchanged(before, after);
  }

  #ran(ended: Played, began: boolean): void {
    const result = this.#result();
    if (result === undefined) {
      if (began && !this.#abandoned()) this.#say('ending without its result', `exit ${ended.code}, no result.json`);
      return;
    }
    if (ended.code === 2) return;
    if (exitOfOutcome(result.outcome) !== ended.code)
      this.#say('ending without its result', `exit ${ended.code}, and the result says ${result.outcome}`);
    if (result.commit === undefined) return;
    const changed = changedBetween(this.#lab, result.base, result.commit).sort();
    const told = result.changes.map((change) => change.path).sort();
    if (JSON.stringify(changed) !== JSON.stringify(told))
      this.#say('ending without its result', `the result lists ${told.join(', ')}; the diff is ${changed.join(', ')}`);
    const seen = this.#seen();
    if (seen !== undefined) this.violations.push(...verifiedLaw(this.#lab, seen, result.commit));
    this.#workIsKept(result, result.commit);
  }

  /** What the worker left is in the commit, or git ignores it and nobody declared it, or the result names it. */
  #workIsKept(result: Result, commit: string): void {
    const file = join(this.#lab.home, 'worked.json');
    if (!existsSync(file)) return;
    const worked = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
    const tree = treeOf(this.#lab, commit);
    // That a declared file was not touched says nothing of a file that is there.
    const told = JSON.stringify({ ...result, spec: undefined, scope: result.scope.violations });
    const lf = (text: string | undefined) => text?.replaceAll('\r\n', '\n');
    const absent = Object.keys(worked).filter(
      (path) =>
        worked[path] !== 'p ' &&
        lf(tree[path]) !== lf(worked[path]) &&
        !path.includes('/.git/') &&
        !isNamed(told, path),
    );
    const ignored = this.#ignored(result.worktree, absent);
    const lost = absent.filter((path) => this.#declared.includes(path) || !ignored.has(path));
    if (lost.length > 0) this.#say('work of the worker lost in silence', lost.slice(0, 4).join(', '));
  }

  #fsck(): string {
    try {
      this.#lab.git('fsck', '--strict', '--no-dangling');
      return '';
    } catch (error) {
      return String(error).slice(0, 200);
    }
  }

  #ignored(worktree: string, paths: readonly string[]): Set<string> {
    if (paths.length === 0 || !existsSync(worktree)) return new Set();
    const out = this.#tryGit(worktree, ['check-ignore', '--no-index', '-z', '--stdin'], paths.join('\0'));
    return new Set(out.split('\0'));
  }

  #tryGit(cwd: string, args: string[], input: string): string {
    try {
      return execFileSync('git', args, {
        cwd,
        env: this.#lab.env,
        input,
        encoding: 'utf8',
        stdio: ['pipe', 'pipe', 'ignore'],
      });
    } catch {
      return '';
    }
  }

  #seen(): Record<string, string> | undefined {
    const file = join(this.#lab.folder, 'seen.json');
    return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
  }

  readonly #folder = (): string => join(this.#lab.repo, '.git', 'kimi-dispatch', 'runs');

  #runs(): string[] {
    return existsSync(this.#folder()) ? readdirSync(this.#folder()).filter((name) => /^\d/.test(name)) : [];
  }

  /** Whether the run is merged, as its events have it. */
  #onRecord(): boolean {
    const events = readFileSync(join(this.#folder(), this.run ?? '', 'events.ndjson'), 'utf8');
    return events.lastIndexOf('"type":"merged"') > events.lastIndexOf('"type":"undone"');
  }

  #abandoned(): boolean {
    const events = join(this.#folder(), this.run ?? '', 'events.ndjson');
    return existsSync(events) && readFileSync(events, 'utf8').includes('"discarded"');
  }

  #result(): Result | undefined {
    const file = join(this.#folder(), this.run ?? 'none', 'result.json');
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Result) : undefined;
  }

  #say(kind: Kind, text: string): void {
    this.violations.push({ kind, text });
  }
}

/** Why a command failed, in one line. */
const reasonIn = (said: string): string =>
  (/^(?:Reason|kimi-dispatch): ([\s\S]{0,200})/m.exec(said)?.[1] ?? said.trim().slice(-200)).replaceAll('\n', ' | ');

/** A path, or the nested repository that holds it. */
const isNamed = (told: string, path: string): boolean =>
  [path, /^.*?\.repo(?=\/)/.exec(path)?.[0]].some(
    (name) => name !== undefined && told.includes(JSON.stringify(name).slice(1, -1)),
  );
