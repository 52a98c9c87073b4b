/** Makes a piece of text usable in a URL. */
export function slugify(text: string): string {
  return text.toLowerCase().replace(/ /, '-');
}
