export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Waits until something holds, or fails after a while: a machine at work is slow, so no test waits for a fixed time. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end; await pause(50)) if (await holds()) return;
  throw new Error(`It did not come to this: ${what}`);
}
