/** A file of a tree that is drawn in text. */
export interface Drawn {
  /** The folders and the name, as drawn. */
  readonly path: string;
  readonly remark: string;
  /** The line in the drawing, from 0. */
  readonly offset: number;
  /** True when the drawing begins at `/` or `.`: the top of the repository. */
  readonly fromTop: boolean;
}

/** The files of a drawn tree (`├── src/`); none when the text is no drawing. Linear. */
export function drawnFiles(text: string): Drawn[] {
  const lines = text.split('\n');
  if (lines.filter((line) => /[├└]/.test(line)).length < 2) return [];
  const found: Drawn[] = [];
  const above: { depth: number; name: string }[] = [];
  const fromTop = lines.some((line) => /^\s*\.?\/?\s*$/.test(line) && /[./]/.test(line));
  for (const [offset, line] of lines.entries()) {
    const [, lead = '', name = '', remark = ''] = /^([\s│├└─|`+-]*)([\w.@[\]()-][^\s#]*)(.*)$/.exec(line) ?? [];
    while ((above.at(-1)?.depth ?? -1) >= lead.length) above.pop();
    if (name === '' || /^\.\/?$/.test(name)) continue;
    if (name.endsWith('/') || !/\w\.\w|^\.\w/.test(name))
      above.push({ depth: lead.length, name: name.replace(/\/$/, '') });
    else found.push({ path: [...above.map((folder) => folder.name), name].join('/'), remark, offset, fromTop });
  }
  return found;
}
