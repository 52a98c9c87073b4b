import { fields, type GitPlace, gitAnswer } from './git.ts';

/** Sections that say how a repository is read and who commits; the others name addresses, keys and programs. */
const SECTIONS = /^(core|extensions|user|filter|diff|merge|index|feature|pack|gc)\./i;
const PROGRAMS = /^core\.(sshcommand|askpass|gitproxy|hookspath|fsmonitor|editor|pager|alternaterefscommand)=?$/i;

/** The configuration of a repository without what only its user may know: no remote, no credential, no program. */
export async function publicConfig(place: GitPlace): Promise<string> {
  const answer = await gitAnswer(place, ['config', '--file', 'config', '-z', '--list'], { answers: [1], quiet: true });
  const lines = fields(answer.stdout).flatMap((entry) => {
    const end = entry.indexOf('\n');
    const [key, value] = end < 0 ? [entry, 'true'] : [entry.slice(0, end), entry.slice(end + 1)];
    return SECTIONS.test(key) && !PROGRAMS.test(key) ? [written(key, value)] : [];
  });
  return lines.join('');
}

function written(key: string, value: string): string {
  const [first, last] = [key.indexOf('.'), key.lastIndexOf('.')];
  const sub = first === last ? '' : ` "${escaped(key.slice(first + 1, last))}"`;
  return `[${key.slice(0, first)}${sub}]\n\t${key.slice(last + 1)} = "${escaped(value)}"\n`;
}

const escaped = (text: string): string =>
  text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\t', '\\t');
