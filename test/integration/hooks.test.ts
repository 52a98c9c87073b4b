import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Lab, spec } from '../helpers/repo.ts';
import { probe } from '../helpers/sandbox.ts';

let lab: Lab;
afterEach(() => lab.remove());

/** A run that changed the greeting, and a hook of the user's. */
async function withHook(
  name: string,
  script: string,
  { sandbox, ...more }: { sandbox: 'required' | 'off'; verify?: string[] },
): Promise<void> {
  // The checkout lies in the home folder, which is closed inside.
  lab = new Lab({ 'greet.txt': 'hello\n' }, { name: 'home/work' });
  writeFileSync(join(lab.repo, '..', 'spec.md'), spec('success', more));
  const ended = await lab.run(['run', '../spec.md', '--sandbox', sandbox]);
  expect([ended.code, ended.stderr]).toEqual([0, expect.anything()]);
  lab.write({ [name]: `#!/bin/sh\n${script}` });
  chmodSync(join(lab.repo, name), 0o755);
}

describe.skipIf(!probe.works)('commit hooks of the user run inside the sandbox (needs bubblewrap)', () => {
  it('what they stage is in the commit, and what they write elsewhere is nowhere', async () => {
    const script = 'echo " again" >> greet.txt; git add greet.txt; echo "x" > ~/escaped; echo x > "$0.escaped"; true';
    await withHook('.git/hooks/pre-commit', script, { sandbox: 'required' });
    const merged = await lab.run(['merge', '@last']);
    expect([merged.code, merged.stderr]).toEqual([0, expect.anything()]);
    expect(merged.stdout).toContain('Hooks of yours that ran: pre-commit');
    expect(lab.git('show', 'HEAD:greet.txt')).toBe('hello please\n again');
    expect(existsSync(join(lab.home, 'escaped'))).toBe(false);
    expect(existsSync(join(lab.repo, '.git/hooks/pre-commit.escaped'))).toBe(false);
  });

  it('a hook that stages everything stages nothing that a verification left', async () => {
    const verify = ['`sh -c "echo junk > junk.txt; grep -q please greet.txt"`'];
    await withHook('.git/hooks/pre-commit', 'git add -A', { sandbox: 'required', verify });
    lab.write({ 'other.txt': 'x\n' });
    lab.git('add', 'other.txt');
    lab.git('commit', '-q', '--no-verify', '-m', 'Moved');
    const merged = await lab.run(['merge', '@last']);
    expect([merged.code, merged.stderr]).toEqual([0, expect.anything()]);
    expect(merged.stdout).toContain('verified again');
    expect(merged.stdout).toContain('Hooks of yours that ran: pre-commit');
    expect(lab.git('show', '--name-only', '--format=', 'HEAD')).toBe('greet.txt');
  });

  it('a hook in a folder of the checkout is found, and changes the message', async () => {
    await withHook('.husky/commit-msg', 'echo "feat: $(cat "$1")" > "$1.new"; mv "$1.new" "$1"', {
      sandbox: 'required',
    });
    lab.git('config', 'core.hooksPath', '.husky');
    const merged = await lab.run(['merge', '@last']);
    expect([merged.code, merged.stderr]).toEqual([0, expect.anything()]);
    expect(lab.git('log', '-1', '--format=%s')).toBe('feat: Change the greeting');
    rmSync(join(lab.repo, '.husky'), { recursive: true });
  });

  it('a hook that refuses stops the merge with its own words', async () => {
    await withHook('.git/hooks/pre-commit', 'echo "too polite" >&2; exit 1', { sandbox: 'required' });
    const before = lab.snapshot();
    const refused = await lab.run(['merge', '@last']);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('too polite')]);
    expect(lab.snapshot()).toEqual(before);
  });
});

describe('without a sandbox', () => {
  it('no commit hook runs on what Kimi wrote until the user agrees', async () => {
    await withHook('.git/hooks/pre-commit', 'echo ran > ~/ran', { sandbox: 'off' });
    const refused = await lab.run(['merge', '@last']);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('KIMI_DISPATCH_UNREVIEWED=run')]);
    expect(existsSync(join(lab.home, 'ran'))).toBe(false);
    expect((await lab.run(['merge', '@last'], { env: { KIMI_DISPATCH_UNREVIEWED: 'run' } })).code).toBe(0);
    expect(existsSync(join(lab.home, 'ran'))).toBe(true);
  });
});
