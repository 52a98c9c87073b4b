import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { missed, reach } from '../../src/process/closed.ts';
import { toolPaths } from '../../src/process/tools.ts';

let home: string;
beforeEach(() => {
  home = realpathSync(mkdtempSync(join(tmpdir(), 'kd-closed-')));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));
const make = (...paths: string[]): void => {
  for (const path of paths) {
    mkdirSync(dirname(join(home, path)), { recursive: true });
    writeFileSync(join(home, path), '');
  }
};

it('the home is closed, and what tools need is open in it', () => {
  make('.cargo/registry/index', '.cargo/credentials.toml', '.netrc');
  expect(reach([home], { open: toolPaths(home, {}), never: [] })).toEqual({
    closed: [home],
    open: [join(home, '.cargo/registry')],
  });
});

it('nothing that holds a closed place is opened', () => {
  make('repo/x', 'bin/tool');
  const repo = join(home, 'repo');
  const { open } = reach([dirname(home), home, repo], { open: ['/', home, repo, join(home, 'bin')], never: [] });
  expect(open).toEqual([join(home, 'bin')]);
});

it('a closed place stays closed inside an opened folder, and is named once otherwise', () => {
  make('opt/app/keys/k', 'repo/x');
  const keys = join(home, 'opt/app/keys');
  const { closed } = reach([home, join(home, 'repo')], { open: [join(home, 'opt')], never: [keys] });
  expect(closed).toEqual([home, keys]);
});

it('denyRead wins over what is open', () => {
  make('tools/a', 'tools/b/c');
  const { closed, open } = reach([home], {
    open: [join(home, 'tools'), join(home, 'tools/b/c')],
    never: [join(home, 'tools/b')],
  });
  expect(closed).toContain(join(home, 'tools/b'));
  expect(open).toEqual([join(home, 'tools')]);
});

it('the root of the machine is never closed whole', () => {
  expect(reach(['/'], { open: [], never: [] }).closed).toEqual([]);
});

it('a folder of programs on PATH is open, with its version manager', () => {
  make('.pyenv/shims/python3', '.pyenv/libexec/pyenv', 'work/bin/tool', 'work/.env');
  const PATH = `${join(home, '.pyenv/shims')}:${join(home, 'work/bin')}`;
  const { open } = reach([home], { open: toolPaths(home, { PATH }), never: [] });
  expect(open).toEqual(expect.arrayContaining([join(home, '.pyenv'), join(home, 'work/bin')]));
  expect(open).not.toContain(join(home, 'work'));
});

it('what a program missed in a closed place is named', () => {
  make('opt/tool', 'seen/x');
  const output = `cc: ${home}/opt/tool: No such file or directory\nwrote ${home}/seen/x\ncannot open ${home}/nowhere\n`;
  expect(missed(output, { closed: [home], open: [] })).toEqual([join(home, 'opt/tool')]);
});
