import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { copyStrangers, listStranger, readStranger, replaceStranger, writeWhole } from '../../src/files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kd-files-'));
  writeFileSync(join(folder, 'real'), 'text');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a file that a stranger wrote', () => {
  const read = (name: string): string | undefined => readStranger(join(folder, name), { cap: 100 })?.toString();

  it('is read when it is a regular file', () => {
    expect(read('real')).toBe('text');
  });

  it.each([
    ['a link', (at: string) => symlinkSync('real', at)],
    ['a link that leads nowhere', (at: string) => symlinkSync('nowhere', at)],
    ['a link to an endless device', (at: string) => symlinkSync('/dev/zero', at)],
    ['a FIFO', (at: string) => execFileSync('mkfifo', [at])],
    ['a folder', (at: string) => mkdirSync(at)],
    ['missing', () => {}],
    [
      'larger than the cap',
      (at: string) => {
        writeFileSync(at, '');
        truncateSync(at, 40 * 1024 ** 3);
      },
    ],
  ])('is nothing when it is %s', (_name, make) => {
    make(join(folder, 'odd'));
    expect(read('odd')).toBeUndefined();
  });

  it('is nothing when it is a device', () => {
    expect(readStranger('/dev/zero', { cap: 100 })).toBeUndefined();
  });

  it('is read up to the cap when its size cannot be told', () => {
    expect(readStranger('/proc/self/environ', { cap: 5 })).toHaveLength(5);
  });

  it('is nothing when a folder on the way is a link', () => {
    mkdirSync(join(folder, 'elsewhere'));
    writeFileSync(join(folder, 'elsewhere', 'file'), 'text');
    mkdirSync(join(folder, 'home'));
    symlinkSync('../elsewhere', join(folder, 'home', 'way'));
    const within = join(folder, 'home');
    expect(readStranger(join(within, 'way', 'file'), { cap: 100, within })).toBeUndefined();
    expect(readStranger(join(folder, 'elsewhere', 'file'), { cap: 100, within: folder })?.toString()).toBe('text');
  });
});

describe('a folder that a stranger wrote', () => {
  it('is listed up to a number of entries', () => {
    for (const name of ['a', 'b', 'c']) writeFileSync(join(folder, name), '');
    expect(listStranger(folder, 2)).toHaveLength(2);
  });

  it('is empty when it is a link', () => {
    symlinkSync(folder, join(folder, 'loop'));
    expect(listStranger(join(folder, 'loop'), 100)).toEqual([]);
  });
});

describe('writing', () => {
  it.each([
    ['whole', writeWhole],
    ['into a place of a stranger', replaceStranger],
  ])('%s replaces a link and leaves its target alone', (_name, write) => {
    symlinkSync('real', join(folder, 'odd'));
    write(join(folder, 'odd'), 'new');
    expect(readFileSync(join(folder, 'real'), 'utf8')).toBe('text');
    expect(readFileSync(join(folder, 'odd'), 'utf8')).toBe('new');
  });

  it('replaces a folder that a stranger put there', () => {
    mkdirSync(join(folder, 'odd', 'deep'), { recursive: true });
    replaceStranger(join(folder, 'odd'), 'new');
    expect(readFileSync(join(folder, 'odd'), 'utf8')).toBe('new');
  });
});

describe.skipIf(process.getuid?.() !== 0)('files of a stranger that the user may not read', () => {
  it('are named, and nothing is copied', () => {
    const from = join(folder, 'from');
    mkdirSync(join(from, 'closed'), { recursive: true });
    for (const name of ['open', 'shut']) writeFileSync(join(from, name), 'text');
    for (const name of ['shut', 'closed']) chmodSync(join(from, name), 0);
    chmodSync(folder, 0o777);
    const paths = ['open', 'shut', 'closed'];
    process.seteuid?.(65_534);
    try {
      const not = copyStrangers(from, join(folder, 'to'), { paths, bytes: 1000, entries: 10 });
      expect(not).toEqual({ why: 'unreadable', paths: expect.arrayContaining(['shut', 'closed']) });
      expect(existsSync(join(folder, 'to'))).toBe(false);
    } finally {
      process.seteuid?.(0);
    }
  });
});
