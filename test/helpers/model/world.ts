import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lab } from '../repo.ts';
import type { Script, Trait } from './script.ts';

type Make = (lab: Lab) => void;
const put = (lab: Lab, path: string, text: string): void => lab.write({ [path]: text });

/** What a trait does before the first commit. */
const FIRST: Partial<Record<Trait, Make>> = {
  gitignore: (lab) => put(lab, '.gitignore', 'lib/\n*.log\nbuild/\n'),
  crlf: (lab) => put(lab, 'crlf.txt', 'one\r\ntwo\r\n'),
  link: (lab) => symlinkSync('a.txt', join(lab.repo, 'link')),
  submodule: (lab) => {
    const sub = join(lab.folder, 'sub');
    const git = (...args: string[]) => execFileSync('git', args, { cwd: sub, env: lab.env, stdio: 'ignore' });
    mkdirSync(sub);
    writeFileSync(join(sub, 'x'), 'x');
    git('init', '-q');
    git('add', '-A');
    git('commit', '-qm', 'x');
    lab.git('-c', 'protocol.file.allow=always', 'submodule', 'add', '-q', sub, 'vendor');
  },
};

/** What a trait does after it. */
const THEN: Partial<Record<Trait, Make>> = {
  // Under safecrlf git would refuse the user's own commands too.
  autocrlf: (lab) =>
    lab.git('config', '--get', '--default', 'false', 'core.safecrlf') === 'true' ||
    lab.git('config', 'core.autocrlf', 'true'),
  safecrlf: (lab) => {
    lab.git('config', 'core.autocrlf', 'input');
    lab.git('config', 'core.safecrlf', 'true');
  },
  sparse: (lab) => lab.git('sparse-checkout', 'set', 'src'),
  // Settings of a merge that are the user's and must not reach one of ours.
  'merge-squash': (lab) => lab.git('config', 'branch.main.mergeOptions', '--squash'),
  autostash: (lab) => lab.git('config', 'merge.autoStash', 'true'),
  branches: (lab) => {
    lab.git('switch', '-q', '-c', 'feature');
    put(lab, 'a.txt', 'the feature\n');
    put(lab, 'feature.txt', 'a file of another branch\n');
    lab.git('add', '-A');
    lab.git('commit', '-qm', 'Feature');
    lab.git('switch', '-q', 'main');
  },
  stash: (lab) => {
    put(lab, 'base.txt', 'stashed\n');
    lab.git('stash', '-q');
  },
  'half-staged': (lab) => {
    put(lab, 'base.txt', 'staged\n');
    lab.git('add', 'base.txt');
    put(lab, 'base.txt', 'staged and more\n');
  },
  untracked: (lab) => {
    put(lab, 'mine.txt', 'untracked\n');
    put(lab, 'mine.log', 'perhaps ignored\n');
  },
};

/** A repository as the script wants it. Every path has bytes of its own. */
export function makeWorld(script: Script): Lab {
  const lab = new Lab({});
  put(lab, 'base.txt', 'always there\n');
  for (const path of script.tracked) put(lab, path, `${path} at the base\nsecond line\n`);
  if (script.tracked.includes('run.sh')) chmodSync(join(lab.repo, 'run.sh'), 0o755);
  for (const trait of script.traits) FIRST[trait]?.(lab);
  lab.git('add', '-A');
  if (script.tracked.length > 0) lab.git('add', '-f', '--', ...script.tracked);
  lab.git('commit', '-qm', 'Start');
  // A user who takes this commit back must not get it again by a merge.
  put(lab, 'second.txt', 'the second commit\n');
  lab.git('add', 'second.txt');
  lab.git('commit', '-qm', 'Second');
  for (const trait of script.traits) THEN[trait]?.(lab);
  return lab;
}
