import { type Refusal, refusalOf } from './errors.ts';

/** What the system said no to, as a person says it, and what mends it. */
const WORDS: Readonly<Record<string, readonly [string, string]>> = {
  ENOSPC: [
    'The disk is full',
    'Free some space (kimi-dispatch prune lists what can go), then run the same command again.',
  ],
  EDQUOT: ['Your disk quota is used up', 'Free some space (kimi-dispatch prune lists what can go), then run it again.'],
  EROFS: ['The file system is read-only', 'Name a place that can be written.'],
  EACCES: ['You have no permission', 'Look at it with ls -ld, then chmod or chown.'],
  EPERM: ['You have no permission', 'Look at it with ls -ld, then chmod or chown.'],
  ENOENT: ['There is no such file or folder', 'Look at the path with ls.'],
  ENOTDIR: ['A file is where a folder should be', 'Look at the path with ls -ld.'],
  EEXIST: ['A file is where a folder should be', 'Look at the path with ls -ld.'],
  EISDIR: ['A folder is where a file should be', 'Name a file.'],
  ENAMETOOLONG: ['A name is too long', 'Use a shorter path.'],
  ELOOP: ['Symbolic links lead in a circle', 'Look at the path with ls -l.'],
  EMFILE: ['Too many files are open', 'Raise the limit with ulimit -n, then run it again.'],
  ENFILE: ['Too many files are open on this machine', 'End other programs, then run it again.'],
  ENOMEM: ['The memory is used up', 'End other programs, then run it again.'],
  EIO: ['The disk failed to read or write', 'Check the disk, then run it again.'],
  EBUSY: ['It is in use', 'End what uses it, then run it again.'],
  ECONNREFUSED: ['Nothing answers there', 'Start the service, or correct its address.'],
};

const isFull = (code: string): boolean => code === 'ENOSPC' || code === 'EDQUOT';

/**
 * A thrown value as a refusal, where it is one or where the operating system refused: nobody's defect, so it is told in
 * one line. Undefined for everything else.
 */
export function refusalFrom(thrown: unknown): Refusal | undefined {
  const own = refusalOf(thrown);
  if (own !== undefined) return own;
  const { code = '', syscall, path, dest, message = '' } = (thrown ?? {}) as NodeJS.ErrnoException & { dest?: string };
  // A program that was started says it in its own words.
  const said = /No space left on device|Out of diskspace/i.test(message)
    ? 'ENOSPC'
    : /Disk quota exceeded/i.test(message)
      ? 'EDQUOT'
      : code;
  const words = WORDS[said];
  if (words === undefined || (syscall === undefined && said === code)) return undefined;
  const where = [dest ?? path ?? '', syscall === undefined ? message.split('\n')[0] : `${syscall}: ${code}`];
  return {
    code: isFull(said) ? 'disk-full' : 'preflight',
    message: `${words[0]}: ${where.filter((part) => part !== '').join(' (')}${where[0] === '' ? '' : ')'}`,
    fix: words[1],
  };
}
