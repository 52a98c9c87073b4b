import { execa } from 'execa';

export interface Answer {
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Asks a program one short question, such as `--version`; never rejects for what it answers. */
export async function ask(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  timeout = 30_000,
  cwd?: string,
): Promise<Answer> {
  const said = await execa(file, [...args], {
    reject: false,
    timeout,
    stdin: 'ignore',
    extendEnv: false,
    env,
    ...(cwd === undefined ? {} : { cwd }),
  });
  return { code: said.exitCode, stdout: said.stdout, stderr: said.stderr };
}
