/** Control characters and escape sequences out: worker text is data. */
export const clean = (value: string): string =>
  value
    .replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '')
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, '');

/** One line of somebody else's text: no control characters, no line ends, capped. */
export const quote = (text: string, width: number): string => {
  const flat = clean(text).replace(/\s+/g, ' ').trim();
  return flat.length > width ? `${flat.slice(0, width - 1)}…` : flat;
};
