export function list(folder: string): Record<string, string>;
