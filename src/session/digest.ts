/**
 * Twenty-four hex digits that name a text. Not cryptographic: it names files in the user's own state folder, and
 * loading node:crypto would cost the hooks a tenth of their time. Two rounds of cyrb53 (public domain, bryc).
 */
export const digest = (text: string): string => `${round(text, 0)}${round(text, 0x9e3779b9)}`.slice(0, 24);

function round(text: string, seed: number): string {
  let [high, low] = [0xdeadbeef ^ seed, 0x41c6ce57 ^ seed];
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return [high, low].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
}
