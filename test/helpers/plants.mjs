// What a worker could leave in its worktree for the next one, and the search for it.
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';

const attempts = [];
const attempt = (name, work) => {
  try {
    work();
  } catch {
    attempts.push(name);
  }
};
const python = (script) => execFileSync('python3', ['-c', script], { stdio: 'pipe' });

/** Plants `PLANTED` in every place and form; returns what was refused. */
export function plantAll() {
  writeFileSync('untracked.txt', 'PLANTED');
  writeFileSync('ignored.txt', 'PLANTED');
  mkdirSync('ignored-folder/deep', { recursive: true });
  writeFileSync('ignored-folder/deep/x', 'PLANTED');
  mkdirSync('PLANTED-empty');
  symlinkSync('PLANTED', 'dangling');
  mkdirSync('nested/repo', { recursive: true });
  execFileSync('git', ['init', '-q'], { cwd: 'nested/repo', env: { PATH: process.env.PATH, HOME: process.env.HOME } });
  writeFileSync('nested/repo/file', 'PLANTED');
  // Same size, same modification time: only the change time tells.
  const { atime, mtime, size } = lstatSync('src/a.txt');
  writeFileSync('src/a.txt', 'PLANTED'.padEnd(size, '\n'));
  utimesSync('src/a.txt', atime, mtime);
  chmodSync('src/b.txt', 0o777);
  rmSync('src/c.txt');
  mkdirSync('src/c.txt');
  writeFileSync('src/c.txt/x', 'PLANTED');
  chmodSync('deep/er', 0o700);
  renameSync('moved', 'gone-elsewhere');
  symlinkSync('gone-elsewhere', 'moved');
  mkdirSync('module', { recursive: true });
  writeFileSync('module/in-a-submodule', 'PLANTED');
  appendFileSync('.gitignore', 'hidden-by-worker\n');
  writeFileSync('hidden-by-worker', 'PLANTED');
  for (const path of ['src', 'deep/er', 'src/b.txt', '.'])
    attempt(`attribute of ${path}`, () => python(`import os; os.setxattr('${path}', 'user.note', b'PLANTED')`));
  attempt('a file in .venv', () => writeFileSync('.venv/x', 'PLANTED'));
  attempt('a changed dependency', () => appendFileSync('.venv/dep.txt', 'PLANTED'));
  attempt('a cache', () => writeFileSync('node_modules/.cache/x', 'PLANTED'));
  attempt('another .venv', () => {
    renameSync('.venv', 'old-venv');
    mkdirSync('.venv');
    writeFileSync('.venv/dep.txt', 'PLANTED');
  });
  attempt('another node_modules below a renamed folder', () => {
    renameSync('packages', 'old-packages');
    mkdirSync('packages/one/node_modules', { recursive: true });
    writeFileSync('packages/one/node_modules/dep.txt', 'PLANTED');
  });
  attempt('a hook', () => writeFileSync(join(commonDir(), 'hooks', 'post-checkout'), '#!/bin/sh\n'));
  attempt('a bit of the index', () => execFileSync('git', ['update-index', '--assume-unchanged', 'src/a.txt']));
  writeFileSync('refused.json', JSON.stringify(attempts));
}

const commonDir = () => execFileSync('git', ['rev-parse', '--git-common-dir'], { encoding: 'utf8' }).trim();

/** Everything below the worktree that says PLANTED, or is not as git would make it. */
export function findAll() {
  const found = [];
  const attributes = (path) => {
    try {
      const names = python(`import os; print(os.listxattr('${path}', follow_symlinks=False))`).toString().trim();
      if (names.includes('user.')) found.push(`${path} ${names}`);
    } catch {
      // No python, or a file system without attributes.
    }
  };
  const visit = (folder) => {
    for (const name of readdirSync(folder)) {
      if (name === '.git') continue;
      const path = join(folder, name);
      const stat = lstatSync(path);
      if (name.includes('PLANTED')) found.push(path);
      if (!path.startsWith('.venv') && !path.includes('node_modules')) attributes(path);
      if (stat.isSymbolicLink()) {
        if (readlinkSync(path).includes('PLANTED') || name === 'moved') found.push(path);
        // A link to a place for caches, which is there for this run.
        else if (name === '.cache') found.push(...readdirSync(path).map((cache) => `${path}/${cache}`));
      } else if (stat.isDirectory()) {
        if ((stat.mode & 0o777) === 0o700) found.push(`${path} mode`);
        visit(path);
      } else if (readFileSync(path, 'latin1').includes('PLANTED')) found.push(path);
      else if (name === 'b.txt' && (stat.mode & 0o777) === 0o777) found.push(`${path} mode`);
    }
  };
  attributes('.');
  visit('.');
  for (const place of ['..', join(commonDir(), 'kimi-dispatch', 'runs')])
    try {
      const others = readdirSync(place).filter((name) => !name.startsWith(basename(process.cwd())));
      found.push(...others.map((name) => join(place, name)));
    } catch {
      // It is closed.
    }
  return found;
}
