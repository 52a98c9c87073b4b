/** What a violation says of a file that holds a secret, and of one that holds a key of the user's. */
export const SECRET = 'a secret';
export const KEY = 'a key of yours';

/** True for a violation because of a secret: the change is not shown unasked. */
export const isOnSecret = ({ why }: { readonly why: string }): boolean =>
  why.startsWith(`${SECRET}, `) || why.startsWith(`${KEY} `);

/** Keys that are known by their form and that secretlint's preset does not find: what kind → how it looks. */
const FORMATS: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ['API key (sk-)', /(?<![\w-])sk-(?:[a-z0-9]{2,10}-){0,2}(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{24,}(?![\w-])/g],
  ['Stripe key', /(?<!\w)[rs]k_live_[A-Za-z0-9]{16,}/g],
  ['Google API key', /(?<![\w-])AIza[\w-]{35}(?![\w-])/g],
  ['Google client secret', /(?<![\w-])GOCSPX-[\w-]{28}(?![\w-])/g],
  ['GitLab token', /(?<!\w)gl(?:pat|rt|ptt|cbt|dt|soat|ft|imt|agent|oas)-[\w-]{20,}/g],
  ['Hugging Face token', /(?<!\w)hf_[A-Za-z0-9]{34,}(?!\w)/g],
  ['Twilio key', /(?<!\w)SK[0-9a-f]{32}(?!\w)/g],
  ['SendGrid key', /(?<!\w)SG\.[\w-]{16,32}\.[\w-]{32,64}(?![\w-])/g],
  ['DigitalOcean token', /(?<!\w)do[opr]_v1_[0-9a-f]{64}(?!\w)/g],
  ['PyPI token', /(?<!\w)pypi-AgEIcHlwaS5vcmc[\w-]{50,}/g],
  ['RubyGems key', /(?<!\w)rubygems_[0-9a-f]{48}(?!\w)/g],
  ['Telegram bot token', /(?<!\w)\d{8,10}:AA[\w-]{33}(?![\w-])/g],
  ['Azure storage key', /\b(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,}={0,2}/g],
  ['age secret key', /AGE-SECRET-KEY-1[0-9A-Z]{58}/g],
  // With the first line of the key: the header alone stands in many a program and its documentation.
  ['private key', /-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----[\s\S]{0,300}?[A-Za-z0-9+/=]{40,}/g],
];

const TOKEN = /(?<![\w-])(eyJ[\w-]{10,})\.eyJ[\w-]{10,}\.[\w-]{16,}/g;

/** Keys in a text, by their form: what kind, where it starts, and the match itself, which is never shown. */
export function keysByForm(text: string): { kind: string; index: number; match: string }[] {
  const known = FORMATS.flatMap(([kind, pattern]) =>
    [...text.matchAll(pattern)].map((found) => ({ kind, index: found.index, match: found[0] })),
  );
  const tokens = [...text.matchAll(TOKEN)].filter(([, header = '']) => isHeader(header));
  return [...known, ...tokens.map((found) => ({ kind: 'JSON web token', index: found.index, match: found[0] }))];
}

/** Whether the first part of a token is the header of a JSON web token: an object that names its algorithm. */
function isHeader(part: string): boolean {
  try {
    return typeof JSON.parse(Buffer.from(part, 'base64url').toString()).alg === 'string';
  } catch {
    return false;
  }
}
