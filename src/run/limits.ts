import type { AgentEvent } from '../flavour/flavour.ts';
import { WireWatch } from '../flavour/wire.ts';
import { guarded, type Stop } from '../process/run.ts';

/** All limits of one attempt. Times in milliseconds, sizes in bytes. */
export interface AttemptLimits {
  readonly wallMs: number;
  /** Until the first record that the model produced. */
  readonly firstOutputMs: number;
  /** Without any sign of life, while no tool runs. */
  readonly idleMs: number;
  /** Without any sign of life, while a tool runs. */
  readonly toolMs: number;
  readonly steps: number;
  readonly outputBytes: number;
  readonly diskBytes: number;
  /** The longest wait before another attempt of one model call. */
  readonly retryMs: number;
}

const LOOK_MS = 500;
/** Bytes of wire files that are read once Kimi has ended. */
const LAST_LOOK = 64 * 1024 * 1024;
const DISK_MS = 3000;
/** Kimi may stay for background tasks after its last word; it is given this long. */
const FAREWELL_MS = 5000;

/**
 * Watches one attempt and stops it at the first limit that it passes. Life is the stream and every wire file. Time is
 * the monotonic clock's: a clock that is set changes no limit.
 */
export class Watchdog {
  readonly #limits: AttemptLimits;
  readonly #wire: WireWatch;
  readonly #size: () => Promise<number>;
  readonly #started = performance.now();
  #lastLife = performance.now();
  #spoke = false;
  #farewell: number | undefined;
  #bytes = 0;
  #atStart: number | undefined;
  #stop: Stop = () => {};
  #timer: NodeJS.Timeout | undefined;
  #diskTimer: NodeJS.Timeout | undefined;

  constructor(limits: AttemptLimits, home: string, size: () => Promise<number>) {
    this.#limits = limits;
    this.#wire = new WireWatch(home);
    this.#size = size;
  }

  start(stop: Stop): void {
    this.#stop = stop;
    this.#timer = setInterval(() => guarded(stop, () => this.#look()), LOOK_MS);
    const weigh = (): void => void this.#weigh().catch((error: unknown) => stop('failed', error));
    weigh();
    this.#diskTimer = setInterval(weigh, DISK_MS);
  }

  /** Ends the watching, however the attempt ended. */
  close(): void {
    clearInterval(this.#timer);
    clearInterval(this.#diskTimer);
  }

  /** What the wire files say at the end. */
  get seen(): WireWatch['state'] {
    this.#wire.poll(LAST_LOOK);
    return this.#wire.state;
  }

  /** Bytes came from the stream. */
  output(bytes: number): void {
    this.#lastLife = performance.now();
    this.#bytes += bytes;
    if (this.#bytes > this.#limits.outputBytes) this.#stop('output');
  }

  event(event: AgentEvent): void {
    if (event.kind === 'text' || event.kind === 'tool-call') this.#spoke = true;
    if (event.kind === 'session') this.#farewell ??= performance.now();
    if (event.kind === 'retry' && event.delayMs > this.#limits.retryMs) this.#stop('retry');
    // A wait that the service asked for, and that is not too long, is no silence.
    if (event.kind === 'retry') this.#lastLife = performance.now() + event.delayMs;
  }

  #look(): void {
    if (this.#wire.poll()) this.#lastLife = Math.max(this.#lastLife, performance.now());
    const { steps, openTools, spoke, turnEnded } = this.#wire.state;
    const now = performance.now();
    this.#spoke ||= spoke;
    if (turnEnded) this.#farewell ??= now;
    if (this.#farewell !== undefined && now - this.#farewell > FAREWELL_MS) return this.#stop('finished');
    if (steps > this.#limits.steps) return this.#stop('steps');
    if (!this.#spoke && now - this.#started > this.#limits.firstOutputMs) return this.#stop('first-output');
    const silence = now - this.#lastLife;
    if (silence > (openTools > 0 ? this.#limits.toolMs : this.#limits.idleMs)) this.#stop('idle');
  }

  async #weigh(): Promise<void> {
    const size = await this.#size();
    this.#atStart ??= size;
    if (size - this.#atStart > this.#limits.diskBytes) this.#stop('disk');
  }
}
