import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../files.ts';
import type { Change, Manifest } from './changes.ts';

/** Looking at a run changes nothing; in plan mode only a rule lets it pass without a question. */
export const LOOK_RULES = ['Bash(kimi-dispatch show:*)', 'Bash(kimi-dispatch diff:*)'];

interface Settings {
  permissions?: { allow?: string[] };
}

const fileIn = (claude: string): string => join(claude, 'settings.json');
const render = (settings: Settings): string => `${JSON.stringify(settings, null, 2)}\n`;
const read = (text: string | null): Settings =>
  text === null || text.trim() === '' ? {} : (JSON.parse(text.replace(/^\uFEFF/, '')) as Settings);

/** The settings with the narrow rules in them, and the text that they replace. Touches nothing. */
export function allowLook(claude: string, recorded: Manifest['settings']): NonNullable<Manifest['settings']> {
  const file = fileIn(claude);
  const text = existsSync(file) ? readFileSync(file, 'utf8') : null;
  if (recorded !== undefined && recorded.after === text) return recorded;
  const settings = read(text);
  const allow = settings.permissions?.allow ?? [];
  const more = LOOK_RULES.filter((rule) => !allow.includes(rule));
  return {
    before: text,
    after: render({ ...settings, permissions: { ...settings.permissions, allow: [...allow, ...more] } }),
  };
}

/** As a change of the install. */
export const settingsChange = (text: string): Change => ({
  do: 'write',
  path: 'settings.json',
  text,
  executable: false,
  why: 'show and diff without a question in plan mode',
});

/** Takes the rules out again: byte for byte where nobody changed the file since, else those two lines only. */
export function takeBackLook(claude: string, recorded: Manifest['settings']): void {
  const file = fileIn(claude);
  if (recorded === undefined || !existsSync(file)) return;
  const text = readFileSync(file, 'utf8');
  if (text !== recorded.after) {
    const settings = read(text);
    const allow = (settings.permissions?.allow ?? []).filter((rule) => !LOOK_RULES.includes(rule));
    writeWhole(file, render({ ...settings, permissions: { ...settings.permissions, allow } }));
  } else if (recorded.before === null) rmSync(file);
  else writeWhole(file, recorded.before);
}
