/**
 * Terminal sequences: colours and cursor moves, titles and links, and single characters. Every alternative that begins
 * also ends, so that hostile text is read once.
 */
const SEQUENCE =
  /\u001b(?:\[[0-?]*[ -/]*[@-~]?|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\^_])|\u009b[0-?]*[ -/]*[@-~]?/g;
const LONGEST = 2000;

/** The lines of an output as a person would read them: no terminal sequences, each capped, no trailing blanks. */
export const plainLines = (output: string): string[] =>
  output
    .replace(SEQUENCE, '')
    .replaceAll('\r', '')
    .split('\n')
    .map((line) => line.slice(0, LONGEST).trimEnd());
