/** Files in a home that nothing inside may read. */
export const SECRET_FILES: readonly string[];
/** Ways whose success inside is memory, and is nowhere on the host. */
export const MEMORY: readonly string[];
/** Every way out, by its name. */
export function ways(at: object): Record<string, () => unknown>;
