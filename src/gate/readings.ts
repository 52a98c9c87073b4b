/**
 * The texts that bytes may be read as, never empty: UTF-16 with its mark as it reads, all else as UTF-8. Where there are
 * NUL bytes, once with line ends in their place (strings of a binary), and last without them (UTF-16 without its mark).
 */
export function readings(bytes: Buffer): string[] {
  const text = decode(bytes);
  return text.includes('\0') ? [text.replaceAll('\0', '\n'), text.replaceAll('\0', '')] : [text];
}

function decode(bytes: Buffer): string {
  const mark = bytes.length >= 2 ? bytes.readUInt16BE(0) : 0;
  if (mark === 0xfffe) return new TextDecoder('utf-16le').decode(bytes);
  if (mark === 0xfeff)
    return new TextDecoder('utf-16le').decode(Buffer.from(bytes.subarray(0, bytes.length & ~1)).swap16());
  return new TextDecoder().decode(bytes);
}
