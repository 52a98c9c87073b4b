import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask } from '../process/ask.ts';
import { allowed } from '../process/environment.ts';
import { loadProfile } from '../profile/profile.ts';
import { Enclosure } from './enclosure.ts';

const TOOLS = 'git node npm pnpm yarn bun deno python3 uv cargo rustc go java ruby php'.split(' ');
const startOf = (tool: string): string =>
  `"${tool}" ${tool === 'go' ? 'version' : '--version'} >/dev/null 2>&1 && echo "${tool}"`;
/** Prints the name of every tool that is there and starts. */
const SCRIPT = `${TOOLS.map(startOf).join('; ')}; true`;

/** Tools that start outside and not inside: something that they need lies in a closed place. */
export async function toolsRefused(root: string, env: Readonly<Record<string, string>>): Promise<string[]> {
  const home = env.HOME ?? '/';
  const profile = loadProfile('default', env.XDG_CONFIG_HOME ?? join(home, '.config'));
  const seen = allowed(env, profile.env);
  const folder = mkdtempSync(join(tmpdir(), 'kd-tools-'));
  const enclosure = new Enclosure(root, 'doctor', {
    home,
    checkout: folder,
    worktree: folder,
    kimiHome: folder,
    kimiHomes: join(folder, 'homes'),
    userKimi: join(home, '.kimi-code'),
    readOnly: false,
    apiUrls: [],
    hosts: [],
    verifyHosts: [],
    denyRead: profile.denyRead,
    allowRead: profile.allowRead,
    claudeHome: env.CLAUDE_CONFIG_DIR,
  });
  try {
    const log = join(enclosure.scratch, 'tools.log');
    const call = { file: '/bin/sh', args: ['-c', SCRIPT], cwd: folder, env: seen, marker: `doctor-${process.pid}` };
    const [outside, inside] = await Promise.all([
      ask('/bin/sh', ['-c', SCRIPT], seen),
      enclosure.verification({ ...call, wallMs: 60_000, stdoutFile: log, stderrFile: log }),
    ]);
    const started = new Set(inside.stdoutTail.split('\n'));
    return outside.stdout.split('\n').filter((tool) => tool !== '' && !started.has(tool));
  } finally {
    enclosure.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
