import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunState } from '../../src/ledger/events.ts';
import { stateOf } from '../../src/ledger/state.ts';
import { append, listRuns } from '../../src/ledger/store.ts';
import { ownerHere, ownerLives, ownerVisible } from '../../src/process/alive.ts';
import { lostRuns } from '../../src/run/recover.ts';
import { wordsFor } from '../../src/text.ts';

const NOBODY = 2 ** 22 + 1;
const ELSEWHERE = { pid: NOBODY, ns: 'pid:[1]' };

describe.skipIf(process.platform !== 'linux')('an owner in another pid namespace', () => {
  it('counts as there, and is not visible', () => {
    expect(ownerLives(ELSEWHERE)).toBe(true);
    expect(ownerVisible(ELSEWHERE)).toBe(false);
    expect(ownerLives({ ...ownerHere(), pid: NOBODY })).toBe(false);
    expect(ownerLives({ ...ownerHere(), ns: 'pid:[1]', start: '0' })).toBe(true);
  });

  it('one on record without a namespace is looked for here', () => {
    expect(ownerVisible({ pid: NOBODY })).toBe(true);
    expect(ownerLives({ pid: NOBODY })).toBe(false);
    expect(ownerLives({ pid: process.pid })).toBe(true);
  });

  describe('of a run', () => {
    let commonDir: string;
    beforeEach(() => {
      commonDir = mkdtempSync(join(tmpdir(), 'kd-owner-'));
    });
    afterEach(() => rmSync(commonDir, { recursive: true, force: true }));
    const begin = (owner: { pid: number; ns?: string }): RunState => {
      const folder = join(commonDir, 'kimi-dispatch', 'runs', 'one');
      mkdirSync(folder, { recursive: true });
      const facts = { id: 'one', title: 't', digest: 'd', base: 'b', branch: 'br', dir: '/d', home: '/h' };
      append(folder, { type: 'run-started', v: 1, ...facts, ...owner }, new Date(0));
      return listRuns(commonDir)[0] as RunState;
    };

    it('is not lost, and is said to be out of sight', () => {
      const run = begin(ELSEWHERE);
      expect(stateOf(run, wordsFor('en'))).toBe('running: in a container that cannot be seen from here');
      expect(lostRuns(commonDir)).toEqual([]);
    });

    it('is lost when somebody says that its container is gone', () => {
      begin(ELSEWHERE);
      expect(lostRuns(commonDir, 'one').map((run) => run.id)).toEqual(['one']);
    });

    it('a run that lives here is not lost because it was named', () => {
      begin(ownerHere());
      expect(lostRuns(commonDir, 'one')).toEqual([]);
    });
  });
});
