import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { askedIn, versionsFor } from '../../src/process/versions.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kd-versions-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function put(path: string, text = ''): string {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text, { mode: 0o755 });
  return file;
}

describe('the version that a repository asks for', () => {
  it.each([
    ['.nvmrc', 'v20\n', 'node', 'v20'],
    ['.nvmrc', '# for CI\n18.19.0 # lts\n', 'node', '18.19.0'],
    ['.node-version', '22', 'node', '22'],
    ['.python-version', '3.12\n', 'python', '3.12'],
    ['.tool-versions', 'ruby 3.3.0\nnodejs 20.11.1\n', 'node', '20.11.1'],
    ['package.json', '{"volta":{"node":"20.1.0"}}', 'node', '20.1.0'],
  ])('is read from %s: %j', (file, text, tool, version) => {
    put(file, text);
    expect(askedIn(folder)).toMatchObject([{ tool, version }]);
  });

  it.each(['', '\n\n', 'x'.repeat(50), '../../etc'.repeat(9), '{"volta":3}'])('is none in %j', (text) => {
    put('.nvmrc', text);
    put('package.json', text);
    expect(askedIn(folder)).toEqual([]);
  });
});

describe('the programs of a run', () => {
  const home = () => ({ HOME: join(folder, 'home'), PATH: join(folder, 'bin') });
  const onPath = (version: string): void => {
    put('bin/node');
    const [major, minor, patch] = version.split('.');
    put(
      'include/node/node_version.h',
      `#define NODE_MAJOR_VERSION ${major}\n#define NODE_MINOR_VERSION ${minor}\n#define NODE_PATCH_VERSION ${patch}\n`,
    );
  };

  it('are those on PATH, where they are of the version', () => {
    onPath('20.3.1');
    put('.nvmrc', '20');
    put('home/.nvm/versions/node/v20.9.0/bin/node');
    expect(versionsFor(folder, home())).toEqual({ path: [], missing: [] });
  });

  it.each([
    ['.nvm/versions/node/v20.9.0', 'bin'],
    ['.local/share/fnm/node-versions/v20.9.0/installation', 'bin'],
    ['.volta/tools/image/node/20.9.0', 'bin'],
    ['.local/share/mise/installs/node/20.9.0', 'bin'],
    ['.asdf/installs/nodejs/20.9.0', 'bin'],
  ])('are those that a version manager keeps in %s', (place, bin) => {
    onPath('18.0.0');
    put('.nvmrc', '20');
    put(`home/${place}/bin/node`);
    put('home/.nvm/versions/node/v20.2.0/bin/node');
    expect(versionsFor(folder, home())).toEqual({ path: [join(folder, 'home', place, bin)], missing: [] });
  });

  it('are named where no manager has them', () => {
    onPath('18.0.0');
    put('.nvmrc', '20');
    expect(versionsFor(folder, home())).toEqual({
      path: [],
      missing: ['.nvmrc asks for node 20; PATH has 18.0.0, and no version manager here has a match.'],
    });
  });

  it('fit as far as the place of a program tells its version', () => {
    put('bin/python3.11');
    symlinkSync('python3.11', join(folder, 'bin', 'python3'));
    put('.python-version', '3.11.7');
    expect(versionsFor(folder, home())).toEqual({ path: [], missing: [] });
    put('home/.pyenv/versions/3.11.7/bin/python3');
    expect(versionsFor(folder, home()).path).toEqual([join(folder, 'home/.pyenv/versions/3.11.7/bin')]);
    put('.python-version', '3.12');
    expect(versionsFor(folder, home()).missing).toEqual([expect.stringContaining('PATH has 3.11')]);
  });

  it('do not take 2 for 20, nor a name for a number', () => {
    onPath('20.3.1');
    put('.nvmrc', 'lts/*');
    expect(versionsFor(folder, home())).toEqual({ path: [], missing: [] });
    put('.nvmrc', '2');
    expect(versionsFor(folder, home()).missing).toHaveLength(1);
  });

  it('include the package manager that package.json names', () => {
    put('package.json', '{"packageManager":"pnpm@9.1.0"}');
    expect(versionsFor(folder, home()).missing).toEqual([expect.stringMatching(/pnpm 9\.1\.0.*corepack enable pnpm/)]);
    put('bin/pnpm');
    expect(versionsFor(folder, home()).missing).toEqual([]);
  });
});
