import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { GitPlace } from './git.ts';
import { publicConfig } from './public-config.ts';
import { gitFolderOf } from './slot.ts';

export interface View {
  /** Parts of the repository that git reads. */
  readonly open: readonly string[];
  /** Files that are shown in another form. */
  readonly instead: readonly { readonly of: string; readonly seen: string }[];
}

/**
 * The part of a repository that git needs, without what may hold a credential: its folder can be closed, so that what is
 * written to it later stays closed, too. The files that are shown instead are made in `folder`.
 */
export async function gitView(
  place: GitPlace,
  { commonDir, home, folder }: { readonly commonDir: string; readonly home: string; readonly folder: string },
): Promise<View> {
  mkdirSync(folder, { recursive: true });
  const gitDir = gitFolderOf(commonDir, place.dir);
  const at = { ...place, dir: commonDir };
  const [local, global] = await Promise.all([publicConfig(at, 'local'), publicConfig(at, 'global')]);
  const show = (name: string, text: string, of: string): { of: string; seen: string } => {
    writeFileSync(join(folder, name), text, { mode: 0o644 });
    return { of, seen: join(folder, name) };
  };
  const parts = ['HEAD', 'objects', 'refs', 'reftable', 'info', 'shallow', 'logs', 'lfs'];
  return {
    open: [...parts.map((name) => join(commonDir, name)), gitDir, ...borrowed(join(commonDir, 'objects'), 5)],
    instead: [
      show('config', local, join(commonDir, 'config')),
      ...(existsSync(join(commonDir, 'reftable'))
        ? []
        : [show('packed-refs', packed(commonDir, gitDir), join(commonDir, 'packed-refs'))]),
      ...(global === '' ? [] : [show('global', global, join(home, '.gitconfig'))]),
    ],
  };
}

/** The packed references and the worktree's own branch: it stays known when the user's git packs it meanwhile. */
function packed(commonDir: string, gitDir: string): string {
  const text = textOf(join(commonDir, 'packed-refs')).replace(/^# pack-refs with:.*\n/, '# pack-refs with: peeled\n');
  const branch = /^ref: (refs\/\S+)/.exec(textOf(join(gitDir, 'HEAD')))?.[1];
  const id = branch === undefined ? '' : textOf(join(commonDir, branch)).trim();
  if (!/^[0-9a-f]{40,64}$/.test(id) || text.includes(` ${branch}\n`)) return text;
  return `${text}${id} ${branch}\n`;
}

/** Object stores that this one borrows from. */
function borrowed(objects: string, depth: number): string[] {
  if (depth === 0) return [];
  const others = textOf(join(objects, 'info', 'alternates'))
    .split('\n')
    .filter(Boolean);
  return others.map((path) => resolve(objects, path)).flatMap((path) => [path, ...borrowed(path, depth - 1)]);
}

const textOf = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');
