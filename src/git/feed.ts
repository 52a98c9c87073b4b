import { execa } from 'execa';
import { bytesOf } from '../names.ts';
import type { GitPlace } from './git.ts';

/**
 * Runs a git command that reads its questions from stdin and answers in bytes: a thousand questions cost one process.
 * The settings of the user hold, filters too. Rejects on an exit code that is not in `answers`.
 */
export async function gitFed(
  place: GitPlace,
  args: readonly string[],
  call: { input: string; answers?: readonly number[] },
): Promise<Buffer> {
  const ended = await execa('git', [...args], {
    cwd: place.dir,
    env: { ...place.env, GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' },
    extendEnv: false,
    reject: false,
    stripFinalNewline: false,
    encoding: 'buffer',
    input: bytesOf(call.input),
  });
  const code = ended.exitCode ?? -1;
  if (ended.isMaxBuffer || (code !== 0 && call.answers?.includes(code) !== true))
    throw new Error(
      `git ${args[0]}: ${Buffer.from(ended.stderr).toString().trim() || (ended.originalMessage ?? `exit ${code}`)}`,
    );
  return Buffer.from(ended.stdout);
}
