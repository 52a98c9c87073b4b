const LF = 10;

/**
 * Splits bytes into lines at LF only (Node's readline also splits at CR, and on some versions at U+2028).
 * A line longer than `longest` bytes is handed over as undefined, once, and its bytes are dropped.
 */
export class LineSplitter {
  #parts: Buffer[] = [];
  #size = 0;
  #dropping = false;
  readonly #longest: number;
  readonly #onLine: (line: Buffer | undefined) => void;

  constructor(onLine: (line: Buffer | undefined) => void, longest = 32 * 1024 * 1024) {
    this.#onLine = onLine;
    this.#longest = longest;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, from)) {
      this.#add(chunk.subarray(from, at));
      this.#flush();
      from = at + 1;
    }
    if (from < chunk.length) this.#add(chunk.subarray(from));
  }

  /** Hands over a last line without LF. */
  end(): void {
    if (this.#size > 0 || this.#dropping) this.#flush();
  }

  #add(part: Buffer): void {
    if (this.#dropping) return;
    this.#size += part.length;
    this.#parts.push(part);
    if (this.#size <= this.#longest) return;
    this.#dropping = true;
    this.#parts = [];
  }

  #flush(): void {
    const line = this.#dropping ? undefined : this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#size = 0;
    this.#dropping = false;
    if (line === undefined || line.length > 0) this.#onLine(line);
  }
}

/** Keeps the last `limit` bytes of what is pushed. */
export class Tail {
  #chunks: Buffer[] = [];
  #size = 0;
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    while (this.#size - (this.#chunks[0]?.length ?? 0) >= this.#limit) this.#size -= this.#chunks.shift()?.length ?? 0;
  }

  toString(): string {
    return Buffer.concat(this.#chunks).subarray(-this.#limit).toString('utf8');
  }
}
