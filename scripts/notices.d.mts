export interface Part {
  readonly name: string;
  readonly version?: string;
  readonly license: string;
  readonly text: string;
}
export interface Metafile {
  readonly inputs: Readonly<Record<string, unknown>>;
}
export function packagesOf(metafiles: readonly Metafile[]): string[];
export function partOf(folder: string): Part;
export function noticesOf(parts: readonly Part[]): string;
export function billOf(what: {
  readonly own: Omit<Part, 'text'>;
  readonly parts: readonly Part[];
  readonly binaries: readonly string[];
}): Readonly<Record<string, unknown>>;
