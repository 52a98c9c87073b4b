/** Why a path cannot be a task's path, or undefined when its form is right. Pure text; nothing is looked up. */
export function pathProblem(path: string): { message: string; fix: string } | undefined {
  const problem = (message: string, fix: string) => ({ message, fix });
  if (path === '') return problem('There is no path here.', 'Write: - MODIFY src/file.ts');
  if (/[\u0000-\u001f\u007f]/.test(path)) return problem('The path holds a control character.', 'Rename it.');
  if (/^~/.test(path))
    return problem(
      `${path} is outside the repository: it lies in a home folder.`,
      'Name a path inside the repository; a run never writes elsewhere.',
    );
  if (/^([A-Za-z]:[\\/]|\\\\)/.test(path) || path.startsWith('/'))
    return problem(`${path} is absolute.`, 'Write it relative to the top of the repository.');
  if (path.includes('\\')) return problem(`${path} uses backslashes.`, 'Write it with forward slashes.');
  const parts = path.split('/');
  if (parts.includes('..'))
    return problem(`${path} leads upwards.`, 'Write it from the top of the repository, without "..".');
  if (parts.some((part) => part.toLowerCase() === '.git'))
    return problem(`${path} lies in git's own folder.`, 'Remove it: a run never writes there.');
  if (parts.includes('.') || parts.includes(''))
    return problem(
      `${path} is not in its shortest form.`,
      `Write: ${parts.filter((part) => part !== '.' && part !== '').join('/')}`,
    );
  if (parts.some((part) => /[ .]$/.test(part)))
    return problem(
      `${path} has a part that ends in a space or a dot.`,
      'Rename it: some file systems drop that character.',
    );
  // A folder may be called [id] or [...path]; no file that people name has a star in it.
  if (/[*?]|\{[^}]*,[^}]*\}/.test(path) || (/\[[^\]]*\]/.test(path) && !/\[[\w.-]+\]/.test(path)))
    return problem(`${path} is a pattern.`, 'Name each file; patterns belong under Protected or Allow generated.');
  return undefined;
}
