import { lintSource } from '@secretlint/core';
import { secretLintProfiler } from '@secretlint/profiler';
import { creator } from '@secretlint/secretlint-rule-preset-recommend';
import { keysByForm } from './secret-formats.ts';

// It keeps every mark of every file and searches them all for each new one: a thousand files would take minutes.
secretLintProfiler.mark = () => {};

const CONFIG = { rules: [{ id: '@secretlint/secretlint-rule-preset-recommend', rule: creator, options: {} }] };

/** Of one file; more say no more. */
const MOST = 20;

/** Secrets in a text that an earlier text did not hold: what kind and on which line, never the secret itself. */
export async function newSecrets(path: string, after: string, before = ''): Promise<string[]> {
  const dot = path.lastIndexOf('.');
  // A comment in the file could turn secretlint off: of the same length, it says nothing.
  const content = after.replace(/secretlint-(?=disable|enable)/g, 'secretlint_');
  // Its profiler reads names back out of its own marks, and fails over a line end in one, long after this call.
  const filePath = path.replace(/[^\w./-]/g, '_');
  const found = await lintSource({
    source: { filePath, content, ext: dot < 0 ? '' : path.slice(dot), contentType: 'text' },
    options: { config: CONFIG, noPhysicFilePath: true, maskSecrets: true },
  });
  const linted = found.messages
    .filter((message) => !before.includes(after.slice(message.range[0], message.range[1])))
    .map((message) => ({ line: message.loc.start.line, kind: message.messageId }));
  const seen = new Set(linted.map(({ line }) => line));
  const formed = keysByForm(after)
    .filter(({ match }) => !before.includes(match))
    .slice(0, MOST)
    .map(({ kind, index }) => ({ line: after.slice(0, index).split('\n').length, kind }))
    .filter(({ line }) => !seen.has(line));
  return [...linted, ...formed].map(({ line, kind }) => `line ${line}: ${kind}`);
}
