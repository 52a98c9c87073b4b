import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { list } from './files.mjs';

const git = (cwd, ...args) =>
  execFileSync('git', ['-c', 'user.name=k', '-c', 'user.email=k@k', ...args], { cwd, stdio: 'ignore' });
const room = (path) => mkdirSync(dirname(path), { recursive: true });

const acts = {
  write({ path, text }) {
    room(path);
    if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === false) rmSync(path);
    writeFileSync(path, text, 'latin1');
  },
  delete: ({ path }) => rmSync(path),
  rename({ path, to }) {
    room(to);
    renameSync(path, to);
  },
  chmod: ({ path }) => chmodSync(path, 0o755),
  link({ path }) {
    room(path);
    rmSync(path, { force: true });
    symlinkSync('a.txt', path);
  },
  fifo({ path }) {
    room(path);
    execFileSync('mkfifo', [path]);
  },
  nested({ path, text, commit }) {
    const folder = `${path}.repo`;
    mkdirSync(folder, { recursive: true });
    git(folder, 'init', '-q');
    writeFileSync(join(folder, 'inner.txt'), text, 'latin1');
    if (commit !== true) return;
    git(folder, 'add', '-A');
    git(folder, 'commit', '-qm', 'inner');
  },
  ignore: ({ path }) => appendFileSync('.gitignore', `/${path}\n`),
  commit() {
    git('.', 'add', '-A');
    git('.', 'commit', '-qm', 'mine');
  },
};

/** Carries out the acts that `acts.json` in a folder lists, as far as they can be; what is there then goes to `worked.json`. */
export function carryOut(folder) {
  for (const act of JSON.parse(readFileSync(join(folder, 'acts.json'), 'utf8')))
    try {
      acts[act.do](act);
    } catch {
      // A file that an earlier act took away.
    }
  writeFileSync(join(folder, 'worked.json'), JSON.stringify(list('.')));
}
