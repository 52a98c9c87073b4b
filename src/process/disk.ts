import { ask } from './ask.ts';

/** Bytes that a folder takes on the disk; 0 where that cannot be asked. */
export async function folderSize(folder: string): Promise<number> {
  const said = await ask('du', ['-sk', folder], { PATH: '/usr/bin:/bin', LC_ALL: 'C' });
  return (Number.parseInt(said.stdout, 10) || 0) * 1024;
}
