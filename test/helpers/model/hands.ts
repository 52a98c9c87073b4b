import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '../repo.ts';
import type { Played } from './kill.ts';
import type { Violation } from './laws.ts';
import { blobOf, holds, reachable } from './snapshot.ts';
import type { Hand } from './user.ts';

const SAVED = 'refs/kimi-dispatch/saved/*';

/** Keeps an eye on what the user made by hand in the worktrees and on the branches of runs. */
export class Hands {
  readonly #lab: Lab;
  #all: Hand[] = [];
  /** Those that were still where the user left them when the command began. */
  #inPlace = new Set<Hand>();

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  add(hand: Hand): void {
    this.#all = [...this.#all.filter((other) => other.commit !== undefined || other.path !== hand.path), hand];
  }

  forget(paths: readonly string[]): void {
    this.#all = this.#all.filter(
      (hand) => hand.commit !== undefined || !paths.some((path) => hand.path.endsWith(path)),
    );
  }

  /** Remembers, before a command, what is still where the user left it. */
  look(): void {
    const plain = this.#all.length === 0 ? new Set<string>() : reachable(this.#lab, SAVED);
    this.#inPlace = new Set(this.#all.filter((hand) => this.#stays(hand, plain)));
  }

  /** What a command lost, or saved without saying where. */
  judge(run: string | undefined, ended: Played | undefined): Violation[] {
    if (this.#all.length === 0) return [];
    const [all, plain] = [reachable(this.#lab), reachable(this.#lab, SAVED)];
    const record = join(this.#lab.repo, '.git', 'kimi-dispatch', 'runs', run ?? 'none');
    const said = `${ended?.stdout ?? ''}${ended?.stderr ?? ''}`;
    const found: Violation[] = [];
    for (const hand of [...this.#all]) {
      const name = `${hand.commit === undefined ? 'file' : 'commit'} of ${JSON.stringify(hand.text)}`;
      if (this.#stays(hand, plain)) continue;
      const id = hand.commit ?? blobOf(this.#lab, hand.text);
      const kept = all.has(id) || (hand.commit === undefined && holds(record, hand.text.trim()));
      if (!kept) {
        found.push({ kind: 'work by hand lost', text: name });
        this.#all = this.#all.filter((other) => other !== hand);
      } else if (
        ended !== undefined &&
        this.#inPlace.has(hand) &&
        !/refs\/kimi-dispatch\/|kimi-dispatch\/runs\//.test(said)
      )
        found.push({ kind: 'work by hand kept and not named', text: name });
    }
    return found;
  }

  /** In the file where it was written, or in a commit of an ordinary ref. */
  #stays(hand: Hand, plain: ReadonlySet<string>): boolean {
    if (hand.commit !== undefined) return plain.has(hand.commit);
    if (existsSync(hand.path) && readFileSync(hand.path, 'utf8') === hand.text) return true;
    return plain.has(blobOf(this.#lab, hand.text));
  }
}
