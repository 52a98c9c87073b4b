import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Sessions } from '../../src/session/store.ts';
import { Lab, spec } from '../helpers/repo.ts';

let lab: Lab;
afterEach(() => lab.remove());

const make = (scenario: string, more: Parameters<typeof spec>[1] = {}): void => {
  lab = new Lab({ 'greet.txt': 'hello\n' });
  writeFileSync(join(lab.folder, 'spec.md'), spec(scenario, more));
};
const another = async (scenario: string, more: Parameters<typeof spec>[1] = {}): Promise<void> => {
  writeFileSync(join(lab.folder, 'spec.md'), spec(scenario, more));
  await lab.run(['run', '../spec.md', '--no-baseline']);
};

describe('summary, logs, watch, stats', () => {
  it('groups by what the person must do, with the command for each, in two languages', async () => {
    make('success');
    await another('success');
    await another('blocked');
    await another('quota');
    const { stdout } = await lab.run(['summary']);
    expect(stdout).toMatch(/To answer:\n {2}\S+ {2}blocked.*\n {6}kimi-dispatch answer \S+ "\.\.\."/);
    expect(stdout).toMatch(/To review:\n {2}\S+ {2}succeeded.*\n {6}kimi-dispatch show/);
    expect(stdout).toMatch(/To mend:\n {2}\S+ {2}agent-failed.*\n {6}kimi-dispatch resume/);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    const japanese = await lab.run(['summary'], { env: { KIMI_DISPATCH_LANG: 'ja' } });
    expect(japanese.stdout).toContain('回答待ち');
    const data = JSON.parse((await lab.run(['summary', '--json'], { env: { KIMI_DISPATCH_LANG: 'ja' } })).stdout);
    expect(data.waiting.map((row: { need: string }) => row.need).sort()).toEqual(['answer', 'mend', 'review']);
    expect((await lab.run(['watch'])).stdout).toContain('To review');
    expect((await lab.run(['logs', '@last'])).stdout).toMatch(/ended: agent-failed/);
    expect((await lab.run(['stats'])).stdout).toMatch(
      /runs {2,}3[\s\S]*Claude tokens, whole sessions {2,}not measured/,
    );
  });

  it('quotes hostile text so that a terminal takes no orders from it', async () => {
    make('success', { head: '' });
    const text = readFileSync(join(lab.folder, 'spec.md'), 'utf8').replace(
      'Change the greeting',
      'Title \u001b]0;evil\u0007 \u202egnp',
    );
    writeFileSync(join(lab.folder, 'spec.md'), text);
    await lab.run(['run', '../spec.md', '--no-baseline']);
    for (const args of [
      ['logs', '@last'],
      ['show', '@last'],
    ])
      expect((await lab.run(args)).stdout).not.toMatch(/[\u001b\u0007\u202e]/);
  });
});

it("sums Claude's tokens from the transcripts of the sessions that started runs", async () => {
  make('success');
  const transcript = join(lab.folder, 'transcript.jsonl');
  const usage = { input_tokens: 10, cache_read_input_tokens: 100, output_tokens: 5 };
  writeFileSync(transcript, `${JSON.stringify({ type: 'assistant', message: { usage } })}\n{"type":"user"}\ntorn`);
  new Sessions(lab.env, () => new Date()).addTranscript('s1', transcript);
  await lab.run(['run', '../spec.md', '--no-baseline'], { env: { CLAUDE_CODE_SESSION_ID: 's1' } });
  expect((await lab.run(['stats'])).stdout).toMatch(/Claude tokens, whole sessions {2,}10 \/ 100 \/ 5/);
});

describe('several runs, one branch', () => {
  it('merges oldest first, and says which of the others no longer apply', async () => {
    make('success');
    await another('success');
    await another('wrong');
    const [first, second] = JSON.parse((await lab.run(['status', '--json'])).stdout).runs as { id: string }[];
    const merged = await lab.run(['merge', first?.id ?? '']);
    expect(merged.stdout).toContain(`Run ${second?.id} no longer applies: greet.txt`);
    const other = await lab.run(['merge', second?.id ?? '', '--force']);
    expect([other.code, other.stderr]).toEqual([9, expect.stringContaining('greet.txt')]);
  });

  it('a branch moved by hand is not merged by mistake', async () => {
    make('success');
    await another('success');
    const { branch, commit } = await lab.result();
    lab.git('update-ref', `refs/heads/${branch}`, 'main');
    const ended = await lab.run(['merge', '@last']);
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining(`git branch -f ${branch} ${commit}`)]);
  });

  it('says which hooks of the user ran (husky: core.hooksPath relative to the checkout)', async () => {
    make('success');
    lab.write({ '.husky/pre-commit': '#!/bin/sh\necho ran > "$(git rev-parse --git-common-dir)/hook-ran"\n' });
    chmodSync(join(lab.repo, '.husky/pre-commit'), 0o755);
    lab.git('config', 'core.hooksPath', '.husky');
    lab.commit('Husky');
    rmSync(join(lab.repo, '.git', 'hook-ran'), { force: true });
    await another('success');
    expect(existsSync(join(lab.repo, '.git', 'hook-ran'))).toBe(false);
    const merged = await lab.run(['merge', '@last'], { env: { KIMI_DISPATCH_UNREVIEWED: 'run' } });
    expect(merged.stdout).toContain('Hooks of yours that ran: pre-commit');
    expect(existsSync(join(lab.repo, '.git', 'hook-ran'))).toBe(true);
  });
});

describe('prune', () => {
  it('lists first; removes logs of reviewed runs only; patch and result stay', async () => {
    make('success');
    await another('success');
    await lab.run(['discard', '@last']);
    await another('wrong');
    const listed = await lab.run(['prune', '--older', '0', '--keep', '0']);
    expect(listed.stdout.trim().split('\n')).toHaveLength(2);
    expect(listed.stdout).toContain('prune --yes');
    const runs = join(lab.repo, '.git', 'kimi-dispatch', 'runs');
    const id = listed.stdout.split(' ')[0] ?? '';
    expect(existsSync(join(runs, id, 'attempt-1'))).toBe(true);
    expect((await lab.run(['prune', '--older', '0', '--keep', '0', '--larger', '500'])).stdout).toMatch(/^0\.0 MB of/);
    expect((await lab.run(['prune', '--older', 'soon'])).code).toBe(2);
    await lab.run(['prune', '--older', '0', '--keep', '0', '--yes']);
    expect(existsSync(join(runs, id, 'attempt-1'))).toBe(false);
    expect(existsSync(join(runs, id, 'changes.patch'))).toBe(true);
    expect((await lab.run(['show', '@last'])).stdout).toContain('VERIFICATION-FAILED');
    expect(existsSync(join(runs, (await lab.result()).run, 'attempt-1'))).toBe(true);
  });
});

describe('pull request', () => {
  const withRemote = (): string => {
    const remote = join(lab.folder, 'remote.git');
    execFileSync('git', ['init', '-q', '--bare', remote]);
    lab.git('remote', 'add', 'origin', remote);
    return remote;
  };
  const refs = (remote: string): string[] =>
    execFileSync('git', ['-C', remote, 'for-each-ref', '--format=%(refname)'], { encoding: 'utf8' }).trim().split('\n');

  it('pushes that branch alone, and says where to open it when there is no gh', async () => {
    make('success');
    await another('success');
    const remote = withRemote();
    const { branch, files } = await lab.result();
    const ended = await lab.run(['pr', '@last'], { env: { PATH: pathWithout('gh') } });
    expect([ended.code, ended.stdout]).toEqual([0, expect.stringContaining('No `gh` here')]);
    expect(refs(remote)).toEqual([`refs/heads/${branch}`]);
    const body = readFileSync(join(files.folder, 'pull-request.md'), 'utf8');
    expect(body).toContain('- `grep -q please greet.txt`: - → pass (passing)');
    expect(body).not.toContain('Changed the greeting.');
    expect((await lab.run(['pr', '@last'], { env: { PATH: pathWithout('gh') } })).code).toBe(0);
    expect(refs(remote)).toEqual([`refs/heads/${branch}`]);
  });

  it('asks before it pushes where git pushes this branch, when that is not origin', async () => {
    make('success');
    await another('success');
    const origin = withRemote();
    const fork = join(lab.folder, 'fork.git');
    execFileSync('git', ['init', '-q', '--bare', fork]);
    lab.git('remote', 'add', 'fork', fork);
    lab.git('config', 'branch.main.pushRemote', 'fork');
    const { run, branch } = await lab.result();
    const env = { PATH: pathWithout('gh') };
    const asked = await lab.run(['pr', '@last'], { env });
    expect([asked.code, asked.stderr]).toEqual([2, expect.stringContaining(`pr ${run} --remote fork`)]);
    expect([refs(origin), refs(fork)]).toEqual([[''], ['']]);
    expect((await lab.run(['pr', '@last', '--remote', 'fork'], { env })).code).toBe(0);
    expect([refs(origin), refs(fork)]).toEqual([[''], [`refs/heads/${branch}`]]);
  });

  it('opens a draft through gh once, and updates it the second time', async () => {
    make('success');
    await another('success');
    withRemote();
    const bin = join(lab.folder, 'bin');
    mkdirSync(bin);
    const log = join(lab.folder, 'gh.log');
    writeFileSync(
      join(bin, 'gh'),
      `#!/bin/sh\necho "$@" >> '${log}'\ncase "$2" in view) test -f '${log}.made' || exit 1; echo https://forge.example/pull/1;; create) touch '${log}.made'; echo https://forge.example/pull/1;; esac\n`,
    );
    chmodSync(join(bin, 'gh'), 0o755);
    const env = { PATH: `${bin}:${process.env.PATH}` };
    expect((await lab.run(['pr', '@last'], { env })).stdout).toBe('created: https://forge.example/pull/1\n');
    expect((await lab.run(['pr', '@last'], { env })).stdout).toBe('updated: https://forge.example/pull/1\n');
    const calls = readFileSync(log, 'utf8');
    expect(calls.match(/pr create --draft/g)).toHaveLength(1);
    expect(calls).toContain('pr edit');
  });

  it('refuses without a remote, for a run without a change, and when the remote refuses', async () => {
    make('nothing');
    await another('nothing');
    expect((await lab.run(['pr', '@last'])).stderr).toContain('changed nothing');
    await another('success');
    expect((await lab.run(['pr', '@last'])).stderr).toContain('no remote called origin');
    const remote = withRemote();
    writeFileSync(join(remote, 'hooks', 'pre-receive'), '#!/bin/sh\necho no pushes today >&2; exit 1\n');
    chmodSync(join(remote, 'hooks', 'pre-receive'), 0o755);
    const refused = await lab.run(['pr', '@last']);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('The remote refused')]);
  });
});

describe('a page of a run', () => {
  it('is one file with nothing from elsewhere, and shows hostile names and contents as text', async () => {
    make('page', { files: ['MODIFY greet.txt', 'CREATE <img src=x onerror=alert(1)>.txt'] });
    await another('page');
    const file = (await lab.run(['show', '@last', '--html'])).stdout.trim();
    const html = readFileSync(file, 'utf8');
    expect(html).toContain('d2h-file-side-diff');
    expect(html).not.toMatch(/<script|<img|<link|https?:\/\/(?!www\.w3\.org)/i);
    expect(html).toContain('&lt;script&gt;');
    expect(html).toContain("default-src 'none'");
  });
});

const pathWithout = (name: string): string =>
  (process.env.PATH ?? '')
    .split(':')
    .filter((folder) => !existsSync(join(folder, name)))
    .join(':');

describe('the order of runs', () => {
  it('the newest is the one that began last, whatever the clock said', async () => {
    make('success');
    await another('success');
    const folder = join(lab.repo, '.git', 'kimi-dispatch', 'runs');
    const [first = ''] = readdirSync(folder);
    const events = join(folder, first, 'events.ndjson');
    writeFileSync(events, readFileSync(events, 'utf8').replace(/"t":"20\d\d/g, '"t":"2999'));
    await another('success');
    const runs = JSON.parse((await lab.run(['status', '--json'])).stdout).runs;
    expect(runs.map((run: { id: string }) => run.id).at(0)).toBe(first);
    expect((await lab.result()).run).toBe(runs[1].id);
    rmSync(join(folder, '..', 'order'));
    await another('success');
    expect(JSON.parse((await lab.run(['status', '--json'])).stdout).runs[2].seq).toBe(3);
  });

  it('a run is found by its prefix from its own record alone', async () => {
    make('success');
    await another('success');
    const { run } = await lab.result();
    rmSync(join(lab.repo, '.git', 'kimi-dispatch', 'index.json'), { force: true });
    expect((await lab.run(['show', run.slice(0, -2)])).code).toBe(0);
    expect(existsSync(join(lab.repo, '.git', 'kimi-dispatch', 'index.json'))).toBe(false);
  });

  it('a list knows what happened to a run after it had ended', async () => {
    make('success');
    await another('success');
    const shown = async () => (await lab.run(['status'])).stdout;
    expect(await shown()).toContain('succeeded');
    await lab.run(['merge', '@last']);
    expect(await shown()).toContain('merged');
    await lab.run(['undo', '@last']);
    expect(await shown()).toContain('succeeded');
    await lab.run(['discard', '@last']);
    expect(await shown()).toContain('No runs');
  });
});
