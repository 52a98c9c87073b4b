import { lintSource } from '@secretlint/core';
import { creator } from '@secretlint/secretlint-rule-preset-recommend';

const CONFIG = { rules: [{ id: '@secretlint/secretlint-rule-preset-recommend', rule: creator, options: {} }] };

/** Secrets in a text that an earlier text did not hold: what kind and on which line, never the secret itself. */
export async function newSecrets(path: string, after: string, before = ''): Promise<string[]> {
  const dot = path.lastIndexOf('.');
  const found = await lintSource({
    source: { filePath: path, content: after, ext: dot < 0 ? '' : path.slice(dot), contentType: 'text' },
    options: { config: CONFIG, noPhysicFilePath: true, maskSecrets: true },
  });
  return found.messages
    .filter((message) => !before.includes(after.slice(message.range[0], message.range[1])))
    .map((message) => `line ${message.loc.start.line}: ${message.messageId}`);
}
