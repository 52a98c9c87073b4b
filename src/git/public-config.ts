import { fields, type GitPlace, gitAnswer } from './git.ts';

/** Sections that say how a repository is read and who commits; the others name addresses, keys and programs. */
const SECTIONS =
  /^(core|extensions|user|author|committer|filter|diff|merge|init|status|index|feature|pack|gc|color|i18n|safe)\./i;
const PROGRAMS = /^core\.(sshcommand|askpass|gitproxy|hookspath|fsmonitor|editor|pager|alternaterefscommand)=?$/i;

/** Configuration of a repository or of its user without what only that user may know: no remote, credential or program. */
export async function publicConfig(place: GitPlace, scope: 'local' | 'global'): Promise<string> {
  const args = ['config', `--${scope}`, '--includes', '-z', '--list'];
  const answer = await gitAnswer(place, args, { answers: [1, 128], honour: true });
  const lines = fields(answer.stdout).flatMap((entry) => {
    const end = entry.indexOf('\n');
    const [key, value] = end < 0 ? [entry, 'true'] : [entry.slice(0, end), entry.slice(end + 1)];
    const shown = SECTIONS.test(key) && !PROGRAMS.test(key) && !/:\/\/[^/\s]*@/.test(value);
    return shown ? [written(key, value)] : [];
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
