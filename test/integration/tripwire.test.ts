import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Ended, Lab, shell, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab?.remove());

const FILES = { 'greet.txt': 'hello\n', 'other.txt': 'one\n', '.gitignore': '*.log\nnode_modules/\n' };
const polite = 'echo "hello please" > greet.txt';

/** A repository with something of everything that a stranger could take away. */
function fresh(): void {
  lab = new Lab(FILES);
  lab.git('branch', 'feature');
  lab.git('tag', 'v1');
  lab.git('remote', 'add', 'origin', 'ssh://host/a.git');
  lab.write({ 'other.txt': 'stashed\n' });
  lab.git('stash', '-q');
  lab.write({ '.git/hooks/pre-push': '#!/bin/sh\n' });
}

interface Acts {
  /** What Kimi runs in its worktree, and what the verification runs; in both, $R is the checkout. */
  readonly worker?: string;
  readonly check?: string;
  readonly args?: string[];
}

function run({ worker = 'true', check = 'true', args = ['--no-baseline'] }: Acts): Promise<Ended> {
  const script = join(lab.folder, 'check.sh');
  writeFileSync(script, `R='${lab.repo}'\n${check}\n`);
  const how = { files: ['MODIFY greet.txt'], verify: [`\`sh ${script}\``] };
  writeFileSync(join(lab.folder, 'spec.md'), spec(shell(`R='${lab.repo}'; ${polite}; ${worker}`), how));
  return lab.run(['run', '../spec.md', ...args]);
}

/** What of the repository a person would miss. */
const state = (): string =>
  [
    lab.git('config', '--local', '--list'),
    lab.git('for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads/[!k]*', 'refs/tags'),
    lab.git('stash', 'list', '--format=%H'),
    readFileSync(join(lab.repo, '.git/hooks/pre-push'), 'utf8'),
    execFileSync('ls', ['-l', join(lab.repo, '.git/hooks/pre-push')], { encoding: 'utf8' }).slice(0, 10),
    readFileSync(join(lab.repo, '.git/info/exclude'), 'utf8'),
  ].join('\n');

const violations = async (): Promise<string[]> =>
  (await lab.result()).scope.violations.map(({ path, why }) => `${path} ${why}`);

const LOSSES: [string, string, RegExp][] = [
  ['drops the stash', 'git -C $R stash drop -q', /^git stash lost an entry/],
  ['empties the stash log', 'git -C $R reflog expire --expire=now --all', /^git stash lost an entry/],
  ['adds a program to the config', 'git -C $R config alias.st "!evil"', /^git config alias\.st was set/],
  ['sets core.hooksPath', 'git -C $R config core.hooksPath /tmp', /^git config core\.hookspath was set/],
  ['moves a remote', 'git -C $R remote set-url origin /evil', /^git config remote\.origin\.url was changed/],
  ['sets a push URL', 'git -C $R config remote.origin.pushurl /e', /^git config remote\.origin\.pushurl was set/],
  ['removes a remote', 'git -C $R remote remove origin', /^git config remote\.origin\.url is gone/],
  ['takes another name', 'git -C $R config user.email e@x', /^git config user\.email was set/],
  ['deletes a branch', 'git -C $R branch -qD feature', /^refs\/heads\/feature is gone/],
  [
    'deletes a packed branch',
    'git -C $R pack-refs --all; git -C $R branch -qD feature',
    /^refs\/heads\/feature is gone/,
  ],
  [
    'moves a branch',
    'git -C $R update-ref refs/heads/feature $(git -C $R stash create || git -C $R commit-tree HEAD^{tree} -m x)',
    /^refs\/heads\/feature was moved/,
  ],
  ['deletes a tag', 'git -C $R tag -d v1', /^refs\/tags\/v1 is gone/],
  ['moves a tag', 'git -C $R tag -f v1 $(git -C $R commit-tree HEAD^{tree} -m x)', /^refs\/tags\/v1 was moved/],
  [
    'replaces an object',
    'git -C $R replace HEAD $(git -C $R commit-tree HEAD^{tree} -m x)',
    /^refs\/replace\/\w+ was made/,
  ],
  ['adds a hook', 'printf "#!/bin/sh\\n" > $R/.git/hooks/post-merge', /hooks\/post-merge was made/],
  ['changes a hook', 'echo evil >> $R/.git/hooks/pre-push', /hooks\/pre-push was changed/],
  ['makes a hook executable', 'chmod +x $R/.git/hooks/pre-push', /hooks\/pre-push was changed/],
  ['deletes a hook', 'rm $R/.git/hooks/pre-push', /hooks\/pre-push is gone/],
  ['hides files', 'echo "*.ts" >> $R/.git/info/exclude', /info\/exclude was changed/],
  ['borrows objects', 'echo /tmp > $R/.git/objects/info/alternates', /objects\/info\/alternates was made/],
];

describe.each([
  ['a worker', (script: string): Acts => ({ worker: script })],
  ['a check', (script: string): Acts => ({ check: script })],
])('without a sandbox, %s that', (who, acts) => {
  it.each(who === 'a check' ? LOSSES : LOSSES.filter((_loss, index) => index % 4 === 0))(
    '%s',
    async (_name, script, said) => {
      fresh();
      const before = state();
      const ended = await run(acts(`${script} >/dev/null 2>&1`));
      expect(ended.code, ended.stdout + ended.stderr).toBe(4);
      const found = (await violations()).filter((line) => !/^HEAD /.test(line));
      expect(found.join('\n')).toMatch(new RegExp(said, 'm'));
      // The way back leads back.
      for (const line of found) lab.sh(line.slice(line.lastIndexOf(': ') + 2));
      expect(state()).toBe(before);
      expect((await lab.run(['merge', '@last'])).code).toBe(4);
    },
  );
});
