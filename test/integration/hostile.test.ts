import { existsSync, lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Lab, shell, spec } from '../helpers/repo.ts';
import { probe } from '../helpers/sandbox.ts';

let lab: Lab;
afterEach(() => lab?.remove());

/** Runs a worker that is a shell script; `$HOME/precious` is a file of the user's. */
async function work(script: string, args: readonly string[] = []) {
  lab = new Lab({ 'greet.txt': 'hello\n' });
  writeFileSync(join(lab.home, 'precious'), 'mine\n');
  writeFileSync(join(lab.folder, 'spec.md'), spec(shell(`echo please > greet.txt\n${script}`)));
  const ended = await lab.run(['run', '../spec.md', '--no-baseline', ...args]);
  return { ended, result: await lab.result() };
}

const revise = (script: string) => {
  writeFileSync(join(lab.folder, 'findings.md'), `- greet.txt:1 again\nSCENARIO ${shell(script)}\n`);
  return lab.run(['revise', '@last', '--findings', '../findings.md']);
};
const precious = (): string => readFileSync(join(lab.home, 'precious'), 'utf8');

describe('what Kimi left in its home', () => {
  it.each(['config.toml', 'brief-2.md', 'device_id', 'mcp.json', 'inbox.json'])(
    'is not written through: a link at %s',
    async (name) => {
      const { result } = await work(`ln -sf "$HOME/precious" "$KIMI_CODE_HOME/${name}"`);
      expect(result.outcome).toBe('succeeded');
      writeFileSync(join(lab.home, '.kimi-code', 'device_id'), 'device');
      await lab.run(['init']);
      expect((await revise('true')).code).toBe(0);
      expect(precious()).toBe('mine\n');
    },
  );

  it('is not in the way of another attempt', async () => {
    await work(
      'cd "$KIMI_CODE_HOME"; rm -rf config.toml credentials; mkdir -p config.toml/x; ln -s nowhere credentials',
    );
    expect((await revise('true')).code).toBe(0);
    expect(lstatSync(join(dirname((await lab.result()).files.folder), '..')).isDirectory()).toBe(true);
  });

  it.each([
    ['a FIFO', 'mkfifo "$KIMI_CODE_HOME/outbox.ndjson"'],
    ['a link to an endless device', 'ln -s /dev/zero "$KIMI_CODE_HOME/outbox.ndjson"'],
    ['forty gigabytes', 'truncate -s 40G "$KIMI_CODE_HOME/outbox.ndjson"'],
  ])('costs no more than its messages: an outbox that is %s', async (_name, script) => {
    const { ended, result } = await work(script);
    expect(ended.code).toBe(0);
    expect(result.notes.join('\n')).toContain('messages of the worker');
  });

  it.each([
    ['FIFOs', 'mkfifo "$d/wire.jsonl"'],
    ['a link to an endless device', 'ln -s /dev/zero "$d/wire.jsonl"'],
    ['forty gigabytes', 'truncate -s 40G "$d/wire.jsonl"'],
    ['folders that are links', 'mv "$d" "$HOME/out"; ln -s "$HOME/out" "$d"; ln -s /dev/zero "$HOME/out/wire.jsonl"'],
    [
      'wrong types',
      `echo '{"type":"usage.record","usage":{"inputOther":"x","output":{}},"event":7}' > "$d/wire.jsonl"`,
    ],
  ])('does not hold the dispatcher up: wire files that are %s', async (_name, script) => {
    const { ended } = await work(
      `d="$KIMI_CODE_HOME/sessions/w/session_a/agents/main"; mkdir -p "$d"; ${script}; sleep 1`,
    );
    expect(ended.code).toBe(0);
  });
});

describe('what Kimi left in the worktree', () => {
  it('is not read when it is larger than the disk limit', async () => {
    const { ended, result } = await work('truncate -s 40G zeros.bin');
    expect(ended.code).toBe(0);
    expect(result.changes.map(({ path }) => path)).toEqual(['greet.txt']);
    expect(result.notes.join('\n')).toContain('zeros.bin');
  });

  it.each(['.gitignore', '.gitattributes', 'sub/.gitignore'])('is not waited for: a FIFO at %s', async (path) => {
    const { ended } = await work(`mkdir -p sub; echo x > sub/x; mkfifo ${path}`);
    expect(ended.code).toBe(4);
    expect((await lab.run(['discard', '@last'])).code).toBe(0);
  });

  it('is kept on discarding without what it leads to', async () => {
    const { result } = await work(
      'git init -q inner; mkfifo inner/pipe; ln -s "$HOME/precious" inner/link; ln -s /dev/zero inner/zero; echo x > inner/x',
    );
    expect((await lab.run(['discard', '@last'])).code).toBe(0);
    const saved = join(result.files.folder, 'saved', 'inner');
    expect(readFileSync(join(saved, 'x'), 'utf8')).toBe('x\n');
    expect(lstatSync(join(saved, 'link')).isSymbolicLink()).toBe(true);
    expect(existsSync(join(saved, 'pipe'))).toBe(false);
  });
});

describe('the disk limit', () => {
  const fill = (where: string): string => `head -c 20000000 /dev/urandom > "${where}"; sleep 20`;
  const small = (text: string): void => {
    lab = new Lab({ 'greet.txt': 'hello\n', 'fill.sh': `${fill('junk')}\n`, '.gitignore': 'junk\n' });
    lab.write({ 'kimi-dispatch/profiles.toml': '[small]\ndiskMegabytes = 5\n' }, join(lab.home, '.config'));
    writeFileSync(join(lab.folder, 'spec.md'), text);
  };
  const run = (...more: string[]) => lab.run(['run', '../spec.md', '--no-baseline', '--profile', 'small', ...more]);

  it('counts the Kimi home', async () => {
    small(spec(shell(fill('$KIMI_CODE_HOME/junk'))));
    await run();
    expect((await lab.result()).outcome).toBe('output-limit');
  });

  it.skipIf(!probe.works)('counts the temp folder of the sandbox (needs bubblewrap)', async () => {
    small(spec(shell(fill('$TMPDIR/junk'))));
    await run('--sandbox', 'required');
    expect((await lab.result()).outcome).toBe('output-limit');
  });

  it('ends a verification, and its log says why', async () => {
    small(spec('success', { verify: ['`sh fill.sh`'] }));
    expect((await run()).code).toBe(3);
    const { verification } = await lab.result();
    expect(verification[0]?.after.message).toContain('it wrote more than 5 MB');
  });
});
