import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, it } from 'vitest';

const SRC = join(import.meta.dirname, '..', '..', 'src');
const walk = (folder: string): string[] =>
  readdirSync(folder).flatMap((name) =>
    statSync(join(folder, name)).isDirectory() ? walk(join(folder, name)) : [join(folder, name)],
  );
const files = walk(SRC).map((path) => ({ name: relative(SRC, path), text: readFileSync(path, 'utf8'), path }));
const room = (name: string): string => (name.includes('/') ? (name.split('/')[0] as string) : name);

/** Rooms from the ground up: a file may import from its own floor and from those below. */
const FLOORS = [
  ['errors.ts', 'files.ts', 'names.ts', 'path-classes.ts', 'system-error.ts', 'quote.ts', 'text.ts', 'world.ts'],
  ['verify', 'spec', 'profile', 'gate', 'flavour', 'git', 'process', 'ledger', 'session', 'schedule', 'mailbox'],
  ['run', 'review', 'install'],
  ['mcp', 'hook', 'host', 'queue'],
  ['cli'],
  ['main.ts'],
];
const floorOf = (name: string): number => FLOORS.findIndex((floor) => floor.includes(room(name)));

it('imports go down only', () => {
  const wrong = files.flatMap(({ name, text, path }) =>
    [...text.matchAll(/from '(\.[^']+)'|import\('(\.[^']+)'\)/g)]
      .map((match) => relative(SRC, join(dirname(path), match[1] ?? match[2] ?? '')))
      .filter((target) => floorOf(target) > floorOf(name))
      .map((target) => `${name} → ${target}`),
  );
  expect(wrong).toEqual([]);
});

it('every room has a floor', () => {
  expect(files.filter(({ name }) => floorOf(name) < 0).map(({ name }) => name)).toEqual([]);
});

it('the doors to the world are few', () => {
  const using = (pattern: RegExp): string[] =>
    files
      .filter(({ text }) => pattern.test(text))
      .map(({ name }) => name)
      .sort();
  expect(using(/from 'execa'|node:child_process/)).toEqual([
    'git/git.ts',
    'host/main.ts',
    'process/ask.ts',
    'process/detach.ts',
    'process/run.ts',
  ]);
  expect(using(/process\.exit(Code)?\b/)).toEqual(['host/main.ts', 'main.ts']);
  expect(using(/process\.env\b|\{ env \} = process/)).toEqual(['hook/main.ts', 'main.ts']);
});

it('the classes of paths are one list, for gate, check, provisioning and ranking', () => {
  const listed = /husky|lefthook|circleci|gitlab-ci|cursorrules|\.vscode|Podfile|mocharc|conftest/;
  expect(files.filter(({ text }) => listed.test(text)).map(({ name }) => name)).toEqual(['path-classes.ts']);
});
