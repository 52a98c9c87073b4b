import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Phase } from '../../src/gate/tripwire/rule.ts';
import { NOTHING, type Seen, watched } from '../../src/gate/tripwire/tripwire.ts';
import { openRepo } from '../../src/git/repo.ts';
import { Lab } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab?.remove());

/** A repository with something of everything that a stranger could take away. */
function fresh(): void {
  lab = new Lab({ 'a.txt': 'one\n', 'b.txt': 'one\n', '.gitignore': '*.log\n.env\nnode_modules/\n' });
  lab.git('branch', 'feature');
  lab.git('tag', 'v1');
  lab.git('remote', 'add', 'origin', 'ssh://host/a.git');
  lab.git('update-ref', 'refs/remotes/origin/main', 'HEAD');
  lab.write({ 'b.txt': 'stashed\n' });
  lab.git('stash', '-q');
  lab.write({
    '.git/hooks/pre-push': '#!/bin/sh\n',
    'b.txt': 'edited\n',
    'new.txt': 'mine\n',
    '.env': 'A=1\n',
    'node_modules/dep/index.js': '1\n',
    'node_modules/.bin/tool': '#!/bin/sh\n',
  });
}

/** What is seen of an act, and the act is a shell script in a worktree of ours; $R is the checkout. */
async function watch(script: string, phase: Phase = 'working'): Promise<Seen> {
  const worktrees = join(lab.folder, 'worktrees');
  lab.git('worktree', 'add', '-q', join(worktrees, 'slot-1'), '-b', 'kimi/x');
  const reach = {
    repo: await openRepo(lab.repo, lab.env),
    kimi: [join(lab.home, '.kimi-code')],
    claude: join(lab.home, '.claude'),
    worktrees,
    keep: join(lab.repo, '.git/kimi-dispatch/runs/x/before'),
  };
  let seen = NOTHING;
  const tell = (found: Seen): void => {
    seen = found;
  };
  await watched(reach, { phase, tell }, async () =>
    lab.sh(`R='${lab.repo}'; cd ${worktrees}/slot-1; { ${script}; } >/dev/null 2>&1`),
  );
  return seen;
}

const lines = ({ violations }: Seen): string => violations.map(({ path, why }) => `${path} ${why}`).join('\n');

/** What of the repository a person would miss. */
const state = (): string =>
  [
    lab.git('config', '--local', '--list'),
    lab.git('for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads/[!k]*', 'refs/tags', 'refs/replace'),
    lab.git('stash', 'list', '--format=%H'),
    readFileSync(join(lab.repo, '.git/hooks/pre-push'), 'utf8'),
    statSync(join(lab.repo, '.git/hooks/pre-push')).mode,
    readFileSync(join(lab.repo, '.git/info/exclude'), 'utf8'),
    lab.git('status', '--porcelain'),
  ].join('\n');

const ELSEWHERE = '$(git commit-tree HEAD^{tree} -m x)';

describe('a loss is a violation, and what it names brings it back:', () => {
  it.each([
    ['a dropped stash', 'git stash drop -q', /^git stash lost an entry/],
    ['an emptied stash', 'git stash clear', /^git stash lost an entry/],
    ['a program in the config', 'git config alias.st "!evil"', /^git config alias\.st was set/],
    ['a path of hooks', 'git config core.hooksPath /tmp', /^git config core\.hookspath was set/],
    ['another remote', 'git remote set-url origin /evil', /^git config remote\.origin\.url was changed/],
    ['a push URL', 'git config remote.origin.pushurl /e', /^git config remote\.origin\.pushurl was set/],
    ['a remote that is gone', 'git remote remove origin', /^git config remote\.origin\.url is gone/],
    ['an upstream elsewhere', 'git config branch.main.remote /evil', /^git config branch\.main\.remote was set/],
    ['another identity', 'git config user.email e@x', /^git config user\.email was set/],
    ['a config that git cannot read', 'echo "[broken" >> $R/.git/config', /\.git\/config was changed/],
    ['a deleted branch', 'git branch -qD feature', /^refs\/heads\/feature is gone/],
    [
      'a deleted branch that was packed',
      'git pack-refs --all; git branch -qD feature',
      /^refs\/heads\/feature is gone/,
    ],
    ['a moved branch', `git branch -f feature ${ELSEWHERE}`, /^refs\/heads\/feature was moved/],
    [
      'the own branch, moved from elsewhere',
      `git update-ref refs/heads/main ${ELSEWHERE}`,
      /^refs\/heads\/main was moved/,
    ],
    ['a deleted tag', 'git tag -d v1', /^refs\/tags\/v1 is gone/],
    ['a moved tag', `git tag -f v1 ${ELSEWHERE}`, /^refs\/tags\/v1 was moved/],
    ['a replaced object', `git replace HEAD ${ELSEWHERE}`, /^refs\/replace\/\w+ was made/],
    ['a new hook', 'echo evil > $R/.git/hooks/post-merge', /hooks\/post-merge was made/],
    ['another hook', 'echo evil >> $R/.git/hooks/pre-push', /hooks\/pre-push was changed/],
    ['a hook that may run', 'chmod +x $R/.git/hooks/pre-push', /hooks\/pre-push was changed/],
    ['a hook that is gone', 'rm $R/.git/hooks/pre-push', /hooks\/pre-push is gone/],
    ['a hook that leads elsewhere', 'ln -sf /tmp/x $R/.git/hooks/pre-push', /hooks\/pre-push was changed/],
    ['hidden files', 'echo "*.ts" >> $R/.git/info/exclude', /info\/exclude was changed/],
    ['borrowed objects', 'echo /tmp > $R/.git/objects/info/alternates', /info\/alternates was made/],
  ])('%s', async (_name, script, said) => {
    fresh();
    const before = state();
    const seen = await watch(script);
    expect(lines(seen)).toMatch(new RegExp(said, 'm'));
    for (const { why } of seen.violations) lab.sh(why.split(': ')[1] ?? 'true');
    expect(state()).toBe(before);
  });

  it.each([
    ['what an include brings', '.gitconfig', '[include]\npath = more\n', 'more'],
    ['what is included for another folder', '.gitconfig', '[includeIf "gitdir:/x/"]\n\tpath = "~/more"\n', 'more'],
    ['hooks of a folder that the config names', '.gitconfig', '[core]\nhooksPath = ~/hooks\n', 'hooks/pre-commit'],
    ['attributes that the config names', '.gitconfig', '[core]\nattributesFile = ~/attr\n', 'attr'],
    ["the user's git ignore", '.gitconfig', '', '.config/git/ignore'],
    ['settings of Kimi', '.gitconfig', '', '.kimi-code/mcp.json'],
    ['settings of Claude Code', '.gitconfig', '', '.claude/settings.json'],
  ])('%s', async (_name, config, text, file) => {
    fresh();
    lab.write({ [config]: `${readFileSync(join(lab.home, config), 'utf8')}${text}` }, lab.home);
    const path = join(lab.home, file);
    const seen = await watch(`mkdir -p $(dirname ${path}); printf '[a]\\nb = c\\n' > ${path}`);
    expect(lines(seen)).toMatch(/(was made|was set)/);
    expect(lines(seen)).toContain(file);
  });

  it('config of one worktree, and of a submodule', async () => {
    fresh();
    lab.git('init', '-q', '../sub');
    lab.git('-C', '../sub', 'commit', '-q', '--allow-empty', '-m', 'Sub');
    lab.git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', join(lab.folder, 'sub'), 'deep/sub');
    lab.git('config', 'extensions.worktreeConfig', 'true');
    const seen = await watch(
      'git -C $R config --worktree core.fsmonitor evil; git -C $R/deep/sub config core.fsmonitor evil; echo x > $R/.git/modules/deep/sub/hooks/post-checkout',
    );
    expect(lines(seen).match(/git config core\.fsmonitor was set/g)).toHaveLength(2);
    expect(lines(seen)).toMatch(/modules\/deep\/sub\/hooks\/post-checkout was made/);
  });

  it('work of the user that was saved by a discard', async () => {
    fresh();
    lab.git('update-ref', 'refs/kimi-dispatch/saved/x/work', 'HEAD');
    lab.git('update-ref', 'refs/kimi-dispatch/reviewed/x/1', 'HEAD');
    const seen = await watch(
      'git update-ref -d refs/kimi-dispatch/saved/x/work; git update-ref -d refs/kimi-dispatch/reviewed/x/1',
    );
    expect(seen.violations.map(({ path }) => path)).toEqual(['refs/kimi-dispatch/saved/x/work']);
  });

  it('a filter that was set runs at no look of ours', async () => {
    fresh();
    const seen = await watch(
      'git config filter.f.clean "touch $R/../ran; cat"; echo "* filter=f" > $R/.git/info/attributes; echo x > $R/a.txt; touch $R/b.txt',
    );
    expect(lines(seen)).toMatch(/filter\.f\.clean was set/);
    expect(existsSync(join(lab.folder, 'ran'))).toBe(false);
  });

  it.each([['hooks/post-merge'], ['logs/HEAD'], ['logs/refs/stash']])(
    'a pipe in the place of %s is not waited for',
    async (file) => {
      fresh();
      const seen = await watch(`rm -f $R/.git/${file}; mkfifo $R/.git/${file}`);
      expect(seen.violations).not.toEqual([]);
    },
  );

  it('an emptied reflog of the checkout', async () => {
    fresh();
    expect(lines(await watch('git -C $R reflog expire --expire=now --all'))).toMatch(/logs\/HEAD was emptied/);
  });

  it.each([
    ['a package', 'echo evil > $R/node_modules/dep/index.js', 'dep'],
    ['a tool', 'echo evil > $R/node_modules/.bin/tool', '.bin'],
    [
      'the same size and time',
      'touch -r $R/node_modules/dep/index.js t; echo 2 > $R/node_modules/dep/index.js; touch -r t $R/node_modules/dep/index.js',
      'dep',
    ],
    ['a package that is linked from elsewhere', 'echo evil > $R/../linked/index.js', 'linked'],
    ['a package in the store of pnpm', 'echo evil > $R/node_modules/.pnpm/x@1/node_modules/x/i.js', '.pnpm/x@1'],
  ])('changed packages: %s', async (_name, script, said) => {
    fresh();
    lab.write({ 'linked/index.js': '1\n' }, lab.folder);
    lab.write({
      'node_modules/linked': `link:${join(lab.folder, 'linked')}`,
      'node_modules/.pnpm/x@1/node_modules/x/i.js': '1\n',
    });
    const { violations } = await watch(script);
    expect(violations).toHaveLength(1);
    expect(violations[0]?.path).toBe('node_modules');
    expect(violations[0]?.why).toContain(`(${said})`);
    expect(violations[0]?.why).toContain('install the packages again');
  });

  it('never shows a credential', async () => {
    fresh();
    lab.git('remote', 'set-url', 'origin', 'https://me:hunter2@host/a.git');
    lab.git('config', 'http.extraHeader', 'Authorization: hunter2');
    const seen = await watch('git remote set-url origin /evil; git config http.extraHeader x');
    expect(seen.violations).toHaveLength(2);
    expect(lines(seen)).not.toContain('hunter2');
    lab.sh(seen.violations[0]?.why.replace(/^.*?: /, '') ?? '');
    expect(lab.git('remote', 'get-url', 'origin')).toContain('hunter2');
  });

  it('a name that a shell would obey is quoted', async () => {
    fresh();
    lab.git('branch', 'a;$(id)');
    const seen = await watch("git branch -qD 'a;$(id)'");
    lab.sh(seen.violations[0]?.why.replace(/^.*?: /, '') ?? '');
    expect(lab.git('branch', '--list', 'a;*')).toContain('a;$(id)');
  });

  it('is told when the act fails, too', async () => {
    fresh();
    await expect(watch('git stash drop; false')).rejects.toThrow();
  });
});

describe('daily work of the user while a run works is no violation:', () => {
  it.each([
    ['a commit', 'git -C $R commit -qam x', /main changed meanwhile/],
    ['an amended commit', 'git -C $R commit -qa --amend -m x', /main changed meanwhile/],
    ['a reset', 'git -C $R reset -q --hard', /in your checkout: .*b\.txt/],
    [
      'another branch',
      'git -C $R switch -qc topic; git -C $R commit -qam x; git -C $R switch -q main',
      /topic changed/,
    ],
    [
      'a commit on another branch',
      'git -C $R stash -q; git -C $R switch -q feature; git -C $R commit -q --allow-empty -m x; git -C $R switch -q main; git -C $R stash pop -q',
      /feature changed/,
    ],
    [
      'a rebase',
      'git -C $R switch -qf feature; git -C $R commit -q --allow-empty -m x; git -C $R rebase -q main --force',
      /feature changed/,
    ],
    [
      'a merge',
      'git -C $R switch -qfc topic; git -C $R commit -q --allow-empty -m x; git -C $R switch -q main; git -C $R merge -q topic',
      /main changed/,
    ],
    [
      'work in another worktree',
      'git -C $R worktree add -q $R/../w feature; git -C $R/../w commit -q --allow-empty -m x',
      /feature changed/,
    ],
    ['a new upstream', 'git -C $R config branch.main.remote origin', /branch\.main\.remote/],
    ['a fetch', `git update-ref refs/remotes/origin/main ${ELSEWHERE}; git -C $R tag v2`, /v2 changed/],
    [
      'a fetch into a branch',
      'c=$(git commit-tree HEAD^{tree} -p feature -m x); git update-ref refs/remotes/origin/feature $c; git update-ref refs/heads/feature $c',
      /feature changed/,
    ],
    ['edits', 'echo x > $R/a.txt; echo y > $R/b.txt; rm $R/new.txt; echo z > $R/more.txt', /in your checkout: /],
    ['a stash', 'git -C $R stash -q', /git stash changed/],
    [
      'a worktree that is removed',
      'git -C $R worktree add -q $R/../w feature; git -C $R worktree remove $R/../old',
      /worktrees\/old\/logs\/HEAD changed meanwhile/,
    ],
    ['a pack of refs and objects', 'git -C $R gc -q', /^$/],
    [
      'packages that are used',
      'mkdir $R/node_modules/.vite; echo x > $R/node_modules/.vite/x; cat $R/node_modules/dep/index.js; ln $R/node_modules/dep/index.js $R/../same',
      /^$/,
    ],
    [
      'a commit of what was edited',
      'git -C $R commit -qam x; git -C $R add new.txt; git -C $R commit -qm y',
      /main changed/,
    ],
  ])('%s', async (_name, script, note) => {
    fresh();
    lab.git('worktree', 'add', '-q', '../old', '-b', 'old');
    lab.sh('ln node_modules/dep/index.js ../other');
    const seen = await watch(script);
    expect(lines(seen)).toBe('');
    expect(seen.notes.join('\n')).toMatch(note);
  });
});

describe('at a merge, which is short, it is one:', () => {
  it.each([
    [
      'a commit',
      'git -C $R commit -qam x',
      /^refs\/heads\/main was moved.*git update-ref refs\/heads\/main [0-9a-f]{40}/,
    ],
    ['another branch checked out', 'git -C $R switch -q feature', /^HEAD stands elsewhere.*git switch main/],
    [
      'an edited file',
      'echo x > $R/a.txt',
      /^a\.txt was changed.*git restore --source=HEAD --staged --worktree -- a\.txt/,
    ],
    ['a file edited again', 'echo x > $R/b.txt', /^b\.txt was changed/],
    ['an edit taken back', 'git -C $R restore b.txt', /^b\.txt was changed/],
    ['a deleted file', 'rm $R/a.txt', /^a\.txt is gone/],
    ['an untracked file', 'echo x > $R/new.txt', /^new\.txt was changed/],
    ['a deleted untracked file', 'rm $R/new.txt', /^new\.txt is gone/],
    ['a deleted ignored file', 'rm $R/.env', /^\.env is gone/],
    ['the staged half of a file', 'git -C $R add b.txt', /^b\.txt was changed/],
  ])('%s', async (_name, script, said) => {
    fresh();
    expect(lines(await watch(script, 'merging'))).toMatch(new RegExp(said, 'm'));
  });

  it('a fetch and a file that is written anew are none', async () => {
    fresh();
    const seen = await watch(
      `git update-ref refs/remotes/origin/main ${ELSEWHERE}; echo x > $R/x.log; echo x >> $R/.env`,
      'merging',
    );
    expect(lines(seen)).toBe('');
  });
});

it('nothing is looked at where the sandbox walls an act in', async () => {
  const tell = (): never => {
    throw new Error('told');
  };
  expect(await watched(undefined, { phase: 'working', tell }, async () => 7)).toBe(7);
});
