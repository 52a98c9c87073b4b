import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { exitOfOutcome } from '../../../src/errors.ts';
import type { Lab } from '../repo.ts';
import { Hands } from './hands.ts';
import { workIsKept } from './kept.ts';
import type { Played } from './kill.ts';
import { type Kind, type Made, mergeLaws, unchanged, undoLaws, type Violation, verifiedLaw } from './laws.ts';
import { Records } from './record.ts';
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
  readonly #records: Records;
  /** Merges that stand, by run. */
  readonly #made = new Map<string, Made>();
  readonly #known = new Set<string>();
  #declared: string[] = [];

  constructor(lab: Lab) {
    this.#lab = lab;
    this.#hands = new Hands(lab);
    this.#records = new Records(lab);
  }

  look(): Snapshot {
    this.#hands.look();
    return snapshotOf(this.#lab);
  }

  worktree(): string | undefined {
    return this.#records.result(this.run)?.worktree;
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
    const folders = this.#records.runs();
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
    const result = this.#records.result(this.run);
    if (result?.commit === undefined) return this.#say('merged something else', 'there was no commit to merge');
    const { base, commit } = result;
    this.violations.push(...mergeLaws({ lab: this.#lab, before, after, base, commit }));
    this.#made.set(result.run, { before, after });
    const seen = this.#seen();
    if (seen !== undefined) this.violations.push(...verifiedLaw(this.#lab, seen, after.head));
    else if (before.head !== base && flag !== '--force' && changedBetween(this.#lab, commit, after.head).length > 0)
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
    if (command !== 'discard' && stands !== this.#records.merged(this.run))
      this.#say(
        'neither before nor after',
        `${command}: the record says that the run is ${stands ? 'not ' : ''}merged`,
      );
    const complaint = this.#fsck();
    if (complaint !== '') this.#say('git fsck complains', complaint);
    this.violations.push(...this.#hands.judge(this.run, undefined));
  }

  #whole(command: Step['do'], before: Snapshot, after: Snapshot): Violation[] {
    const result = this.#records.result(this.run);
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
    const result = this.#records.result(this.run);
    if (result === undefined) {
      if (began && !this.#records.abandoned(this.run))
        this.#say('ending without its result', `exit ${ended.code}, no result.json`);
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
    this.violations.push(...workIsKept(this.#lab, result, this.#declared));
  }

  #fsck(): string {
    try {
      this.#lab.git('fsck', '--strict', '--no-dangling');
      return '';
    } catch (error) {
      return String(error).slice(0, 200);
    }
  }

  #seen(): Record<string, string> | undefined {
    const file = join(this.#lab.folder, 'seen.json');
    return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
  }

  #say(kind: Kind, text: string): void {
    this.violations.push({ kind, text });
  }
}

/** Why a command failed, in one line. */
const reasonIn = (said: string): string =>
  (/^(?:Reason|kimi-dispatch): ([\s\S]{0,200})/m.exec(said)?.[1] ?? said.trim().slice(-200)).replaceAll('\n', ' | ');
