import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Lab, shell, spec } from '../helpers/repo.ts';
import { probe } from '../helpers/sandbox.ts';

const LOGIN = JSON.stringify({ access_token: 'a', refresh_token: 'r', expires_at: 1 });
const REFRESHED = JSON.stringify({ access_token: 'b', refresh_token: 's', expires_at: 2, scope: 'x' });
const config = (auth: string): string => `default_model = "m"
[providers.p]
type = "openai"
base_url = "http://127.0.0.1:9/v1"
${auth}
[models.m]
provider = "p"
model = "m"
max_context_size = 1000
`;

let lab: Lab;
afterEach(() => lab.remove());
/** What lies in the user's credentials after a run of a worker that wrote there, and the notes of the result. */
async function after(written: string, auth = 'oauth = { key = "kimi" }'): Promise<{ login: string; notes: string }> {
  lab = new Lab({ 'greet.txt': 'hello\n' }, { config: config(auth) });
  const file = join(lab.home, '.kimi-code', 'credentials', 'kimi.json');
  lab.write({ 'credentials/kimi.json': LOGIN }, join(lab.home, '.kimi-code'));
  const script = `echo please > greet.txt; printf '%s' '${written}' > "$KIMI_CODE_HOME/credentials/kimi.json" || true`;
  writeFileSync(join(lab.folder, 'spec.md'), spec(shell(script)));
  const ended = await lab.run(['run', '../spec.md', '--no-baseline', '--sandbox', 'required']);
  expect([ended.code, ended.stderr]).toEqual([0, expect.anything()]);
  return { login: readFileSync(file, 'utf8'), notes: (await lab.result()).notes.join('\n') };
}

describe.skipIf(!probe.works)("the user's Kimi credentials are written only by a token refresh", () => {
  it('what a refresh writes stays', async () => {
    expect(await after(REFRESHED)).toEqual({ login: REFRESHED, notes: expect.not.stringContaining('token refresh') });
  });

  it('anything else is put back, and named', async () => {
    const { login, notes } = await after('{"access_token":""}');
    expect([login, notes]).toEqual([LOGIN, expect.stringContaining('changed by something else than a token refresh')]);
  });

  it('with a key in place of a login nothing can be written there', async () => {
    const { login, notes } = await after(REFRESHED, 'api_key = "made-up"');
    expect([login, notes]).toEqual([LOGIN, expect.not.stringContaining('token refresh')]);
  });
});
