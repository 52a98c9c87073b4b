import { appendFileSync } from 'node:fs';
import { ask } from './ask.ts';
import type { ProcessCall, Runner } from './run.ts';

/** Bytes that folders take on the disk, what lies in two of them once; 0 where that cannot be asked. */
export async function folderSize(...folders: string[]): Promise<number> {
  const said = await ask('du', ['-sk', ...folders], { PATH: '/usr/bin:/bin', LC_ALL: 'C' });
  const sizes = said.stdout.split('\n').map((line) => Number.parseInt(line, 10) || 0);
  return sizes.reduce((sum, size) => sum + size, 0) * 1024;
}

const LOOK_MS = 3000;

/** A runner that ends a program once the folders have grown by more than `bytes` since it began; its log says so. */
export const withinDisk =
  (run: Runner, folders: readonly string[], bytes: number): Runner =>
  async (call) => {
    let before: number | undefined;
    let timer: NodeJS.Timeout | undefined;
    const onStart: ProcessCall['onStart'] = (stop) => {
      call.onStart?.(stop);
      const look = async (): Promise<void> => {
        const size = await folderSize(...folders);
        before ??= size;
        if (size - before > bytes) stop('disk');
      };
      const guardedLook = (): void => void look().catch((error: unknown) => stop('failed', error));
      guardedLook();
      timer = setInterval(guardedLook, LOOK_MS);
    };
    const end = await run({ ...call, onStart }).finally(() => clearInterval(timer));
    if (end.cause === 'disk')
      appendFileSync(call.stderrFile, `Error: ended, because it wrote more than ${Math.round(bytes / 2 ** 20)} MB\n`);
    return end;
  };
