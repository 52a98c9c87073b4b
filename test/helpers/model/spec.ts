import type { Work } from './script.ts';

/** The spec of a run whose worker will do this, for a base that holds these files. */
export function specFor(
  work: readonly Work[],
  base: Readonly<Record<string, string>>,
  verification: string,
): { text: string; files: string[] } {
  const files = new Map<string, string>();
  const clash = (path: string): boolean =>
    [...Object.keys(base), ...files.keys()].some(
      (other) => other.startsWith(`${path}/`) || path.startsWith(`${other}/`),
    );
  for (const one of work) {
    if (!one.declared || one.do === 'commit' || one.do === 'nested') continue;
    const gone = one.do === 'delete' || one.do === 'rename' ? one.path : undefined;
    const named = one.do === 'ignore' ? ['.gitignore'] : one.do === 'rename' ? [one.path, one.to] : [one.path];
    for (const path of named) {
      if (clash(path)) continue;
      files.set(path, base[path] === undefined ? 'CREATE' : path === gone ? 'DELETE' : 'MODIFY');
    }
  }
  // A spec without a path allows all of them.
  if (files.size === 0) files.set('base.txt', 'MODIFY');
  const text = [
    '# Spec: 001 -- Some acts',
    '',
    '## Context',
    'SCENARIO acts',
    '',
    '## Tasks',
    '### Task 1: Do them',
    'Files:',
    ...[...files].map(([path, verb]) => `- ${verb} \`${path}\``),
    'Requirements:',
    '- They are done.',
    '',
    '## Verification',
    `- \`${verification}\``,
    '',
  ].join('\n');
  return { text, files: [...files.keys()] };
}
