import { describe, expect, it } from 'vitest';
import { keysIn, knownKeys } from '../../src/gate/known-keys.ts';
import { manifestChange } from '../../src/gate/manifest.ts';
import { readings } from '../../src/gate/readings.ts';
import { checkScope } from '../../src/gate/scope.ts';
import { newSecrets } from '../../src/gate/secrets.ts';
import { verbProblem } from '../../src/gate/verbs.ts';
import type { Change } from '../../src/git/change.ts';
import type { Verb } from '../../src/spec/model.ts';
import { parseSpec } from '../../src/spec/parse.ts';
import { matcher } from '../../src/spec/patterns.ts';

/** Made up of parts, so that no scanner of this repository finds a key in it. */
const random = (length: number): string => 'a1B2c3D4e5F6g7H8i9J0'.repeat(10).slice(0, length);
const hex = (length: number): string => '0123456789abcdef'.repeat(10).slice(0, length);

describe('known keys', () => {
  const values = (from: string, text: string): string[] => knownKeys([{ from, text }]).map(({ value }) => value);
  const key = `zz-${random(20)}`;

  it.each([
    ['config.toml', `api_key = "${key}"`],
    ['config.toml', `[p]\nbase_url = "https://host"\napi_key='${key}'\n`],
    ['credentials/kimi.json', `{"access_token":"${key}","token_type":"Bearer"}`],
    ['.npmrc', `//registry.example/:_authToken=${key}\n`],
    ['.npmrc', `_password=${key}`],
    ['.netrc', `machine host\nlogin me\npassword ${key}\n`],
    ['config.toml', `[queue]\nurl = "redis://:${key}@host:6379"`],
    ['config.toml', `url = "rediss://user:${key}@host"`],
    ['broken.json', `{"token": "${key}"`],
  ])('%s: %s', (from, text) => expect(values(from, text)).toEqual([key]));

  it.each([
    ['is short', 'api_key = "made-up"'],
    ['has no variety', 'api_key = "xxxxxxxxxxxxxxxxxx"'],
    ['is a reference', '//r/:_authToken=$' + '{NPM_TOKEN_OF_MINE}'],
    ['is a placeholder', 'api_key = "your-api-key-here"'],
    ['is not under the name of a key', 'model = "kimi-k2-0905-preview"'],
    ['stands in prose', '# the token refreshes-automatically-each-day'],
  ])('a value that %s is none', (_what, text) => expect(values('config.toml', text)).toEqual([]));

  it('is read with its percent signs too', () => {
    expect(values('c.toml', 'url = "redis://:abc%2Fdefghijklm@host"')).toEqual(['abc%2Fdefghijklm', 'abc/defghijklm']);
  });

  it('names the files whose keys are new in a text, and no key', () => {
    const known = knownKeys([{ from: '~/.npmrc', text: `_authToken=${key}` }]);
    expect(keysIn(known, { after: [`x ${key} y`], before: [] })).toEqual(['~/.npmrc']);
    expect(keysIn(known, { after: [`x ${key} y`], before: [key] })).toEqual([]);
    expect(keysIn(known, { after: ['x'], before: [] })).toEqual([]);
  });
});

describe('secrets by their form', () => {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const table: [string, string][] = [
    ['Moonshot', `sk-${random(48)}`],
    ['Kimi', `sk-kimi-${random(64)}`],
    ['Stripe', `sk_live_${random(24)}`],
    ['Google', `AIza${random(35)}`],
    ['GitLab', `glpat-${random(20)}`],
    ['Hugging Face', `hf_${random(34)}`],
    ['Twilio', `SK${hex(32)}`],
    ['SendGrid', `SG.${random(22)}.${random(43)}`],
    ['DigitalOcean', `dop_v1_${hex(64)}`],
    ['Azure', `AccountName=x;AccountKey=${random(86)}==`],
    ['age', `AGE-SECRET-KEY-1${random(58).toUpperCase()}`],
    ['a JSON web token', `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: '1234567890' })}.${random(43)}`],
    ['a private key', `-----BEGIN ${'PRIVATE'} KEY-----\\n${random(64)}`],
    ['an encrypted private key', `-----BEGIN ENCRYPTED ${'PRIVATE'} KEY-----\n${random(64)}`],
  ];
  it.each(table)('%s', async (_name, secret) => {
    expect(await newSecrets('a.ts', `one\nconst key = "${secret}";\n`)).toEqual([expect.stringMatching(/^line 2: /)]);
  });

  it.each([
    ['a style', 'sk-circle-fade-dot-animation-of-many-words'],
    ['the header of a key alone', `-----BEGIN ${'PRIVATE'} KEY-----`],
    ['three words that are no token', `${encode({ no: 'algorithm' })}.${encode({ sub: '1234567890' })}.${random(43)}`],
    ['a test key', `sk_test_${random(24)}`],
  ])('%s is none', async (_name, text) => expect(await newSecrets('a.ts', `x = "${text}"`)).toEqual([]));

  it('a comment for the scanner does not turn it off', async () => {
    const text = `// secretlint-disable\nkey = "ghp_${random(36)}"\n`;
    expect(await newSecrets('a.ts', text)).toEqual([expect.stringMatching(/^line 2: /)]);
  });
});

describe('readings of bytes', () => {
  const text = 'a\nkey\n';
  it.each([
    ['UTF-8', Buffer.from(text)],
    ['UTF-8 with its mark', Buffer.from(`\ufeff${text}`)],
    ['UTF-16 LE', Buffer.from(`\ufeff${text}`, 'utf16le')],
    ['UTF-16 BE', Buffer.from(`\ufeff${text}`, 'utf16le').swap16()],
    ['UTF-16 without its mark', Buffer.from(text, 'utf16le')],
    ['text with a NUL in it', Buffer.from('a\n\0key\n')],
  ])('%s', (_name, bytes) => expect(readings(bytes).at(-1)).toBe(text));

  it('strings of a binary stay apart in one of them', () => {
    expect(readings(Buffer.from('abc\0def'))).toEqual(['abc\ndef', 'abcdef']);
  });
});

describe('verbs', () => {
  const table: [Verb[], Change['status'], string | undefined][] = [
    [['MODIFY'], 'M', undefined],
    [['MODIFY'], 'D', 'was deleted, but the spec says MODIFY'],
    [['CREATE'], 'D', 'was deleted, but the spec says CREATE'],
    [['DELETE'], 'D', undefined],
    [['DELETE'], 'M', 'was not deleted, but the spec says DELETE'],
    [['CREATE'], 'A', undefined],
    [['CREATE'], 'M', 'existed before, but the spec says CREATE'],
    [['CREATE', 'MODIFY'], 'A', undefined],
    [['MODIFY', 'DELETE'], 'D', undefined],
    [[], 'D', undefined],
  ];
  it.each(table)('%s and %s: %s', (verbs, status, said) => expect(verbProblem(new Set(verbs), status)).toBe(said));
});

describe('package.json', () => {
  const change = (before: object, after: object) => manifestChange(JSON.stringify(before), JSON.stringify(after));
  it('scripts in another order are the same', () => {
    expect(change({ scripts: { a: '1', b: '2' } }, { scripts: { b: '2', a: '1' } }).scripts).toBe(false);
  });
  it('names the runners whose configuration changed', () => {
    expect(change({ jest: { a: 1 }, tap: {} }, { jest: { a: 2 }, tap: {}, nyc: {} }).runners).toEqual(['jest', 'nyc']);
  });
  it('what is no JSON counts as changed scripts', () => {
    expect(manifestChange('{}', '{').scripts).toBe(true);
  });
});

describe('patterns', () => {
  const at = { line: 1, column: 1 };
  it.each(['src/gen', 'src/gen/', './src/gen', '/src/gen/', 'src/gen/**', '`src/gen`'])(
    '%s means its contents',
    (text) => {
      const matches = matcher([{ text, at }]);
      expect(
        ['src/gen/a.ts', 'src/gen/.b/c.ts', 'src/generated.ts', 'x/src/gen/a.ts'].map((path) => matches(path)),
      ).toEqual([true, true, false, false]);
    },
  );
  it('a file is itself', () => {
    const matches = matcher([{ text: 'a.ts', at }]);
    expect(['a.ts', 'b/a.ts'].map((path) => matches(path))).toEqual([true, false]);
  });
});

describe('the scope of a plan', () => {
  const source =
    '# Spec: 001 -- T\n\n## Tasks\n\n### Task 1: X\nFiles:\n- MODIFY src/cart/total.ts\n\n## Verification\n- `sh checks/total.sh`\n';
  const { spec } = parseSpec(source);
  const judged = (path: string, scope: 'guess' | 'contract'): string => {
    const { violations, flags } = checkScope({ ...spec, scope }, [path]);
    return violations.length > 0 ? 'violation' : flags.length > 0 ? 'flag' : 'declared';
  };

  it.each([
    ['src/cart/total.ts', 'declared'],
    ['src/cart/total.test.ts', 'flag'],
    ['tests/unit/test_total.py', 'flag'],
    ['src/cart/index.ts', 'flag'],
    ['src/cart/__snapshots__/total.test.ts.snap', 'flag'],
    ['checks/total.sh', 'flag'],
    ['src/cart/other.ts', 'violation'],
    ['src/cart/other.test.ts', 'violation'],
    ['lib/index.ts', 'violation'],
    ['.github/workflows/total.test.yml', 'violation'],
  ])('%s beside a path read out of a plan: %s', (path, expected) => {
    expect(judged(path, 'guess')).toBe(expected);
  });

  it('a spec that was written as one is a contract', () => {
    for (const path of ['src/cart/total.test.ts', 'src/cart/index.ts', 'checks/total.sh'])
      expect(judged(path, 'contract')).toBe('violation');
  });
});
