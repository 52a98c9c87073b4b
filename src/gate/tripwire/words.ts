/** A word of a shell command, whatever is in it. */
export const sh = (word: string): string =>
  /^[\w@%+=:,./^-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

/** Settings whose values may be credentials: they are not shown. */
const SECRET_KEY = /(pass|token|secret|key|auth|extraheader|cookie|credential|proxy)/i;
const SECRET_VALUE = /:\/\/[^/]*@/;

export const maySay = (key: string, value: string): boolean =>
  !SECRET_KEY.test(key) && !SECRET_VALUE.test(value) && value.length < 120 && !value.includes('\n');
