import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

/** What the wire files of a Kimi home tell about the work, sub-agents included. */
export interface WireState {
  /** Model calls begun since the watch was made. */
  readonly steps: number;
  /** Tool calls that have no result yet. */
  readonly openTools: number;
  /** True once a model has said or called anything. */
  readonly spoke: boolean;
  /** True once the main agent's turn has ended. */
  readonly turnEnded: boolean;
  readonly session: string | undefined;
  readonly tokens: { readonly input: number; readonly cached: number; readonly output: number };
}

interface Position {
  offset: number;
  rest: string;
  main: boolean;
}

const PIECE = 256 * 1024;
/** Longer lines hold whole prompts or tool results; nothing that is counted here is that long. */
const LONGEST = 1024 * 1024;

/**
 * Follows `sessions/<folder>/<session>/agents/<agent>/wire.jsonl` (kimi-code 2.1.0). The stream on stdout says nothing
 * about sub-agents, and nothing while a tool runs; these files do. What was there before is not counted again.
 */
export class WireWatch {
  readonly #home: string;
  readonly #files = new Map<string, Position>();
  readonly #open = new Set<string>();
  #steps = 0;
  #spoke = false;
  #turnEnded = false;
  #session: string | undefined;
  readonly #tokens = { input: 0, cached: 0, output: 0 };

  constructor(home: string) {
    this.#home = home;
    for (const file of this.#find()) this.#files.set(file, { offset: sizeOf(file), rest: '', main: isMain(file) });
  }

  /** Reads on; true when any file has grown. */
  poll(): boolean {
    let grown = false;
    for (const file of this.#find()) {
      const position = this.#files.get(file) ?? { offset: 0, rest: '', main: isMain(file) };
      this.#files.set(file, position);
      if (this.#read(file, position)) grown = true;
    }
    return grown;
  }

  get state(): WireState {
    return {
      steps: this.#steps,
      openTools: this.#open.size,
      spoke: this.#spoke,
      turnEnded: this.#turnEnded,
      session: this.#session,
      tokens: { ...this.#tokens },
    };
  }

  #find(): string[] {
    const sessions = join(this.#home, 'sessions');
    const found: string[] = [];
    for (const folder of list(sessions))
      for (const session of list(join(sessions, folder))) {
        const agents = join(sessions, folder, session, 'agents');
        if (session.startsWith('session_')) this.#session = session;
        for (const agent of list(agents)) found.push(join(agents, agent, 'wire.jsonl'));
      }
    return found.filter((file) => existsSync(file));
  }

  #read(file: string, position: Position): boolean {
    const handle = openSync(file, 'r');
    try {
      const end = fstatSync(handle).size;
      const grown = end > position.offset;
      while (position.offset < end) {
        const piece = Buffer.alloc(Math.min(PIECE, end - position.offset));
        const size = readSync(handle, piece, 0, piece.length, position.offset);
        if (size === 0) break;
        position.offset += size;
        this.#take(piece.subarray(0, size).toString('utf8'), position);
      }
      return grown;
    } finally {
      closeSync(handle);
    }
  }

  #take(text: string, position: Position): void {
    const lines = `${position.rest}${text}`.split('\n');
    position.rest = (lines.pop() ?? '').slice(-LONGEST);
    for (const line of lines) if (line.length < LONGEST) this.#line(line, position.main);
  }

  #line(line: string, main: boolean): void {
    // Most lines are not counted: a look at the text spares parsing them.
    if (!/"type":"(?:context\.append_loop_event|usage\.record|agent\.turn\.(?:started|ended))"/.test(line)) return;
    let record: Wire;
    try {
      record = JSON.parse(line) as Wire;
    } catch {
      return;
    }
    if (record.type === 'agent.turn.started') this.#turnEnded = false;
    if (record.type === 'agent.turn.ended' && main) this.#turnEnded = true;
    if (record.type === 'usage.record') {
      this.#tokens.input += record.usage?.inputOther ?? 0;
      this.#tokens.cached += record.usage?.inputCacheRead ?? 0;
      this.#tokens.output += record.usage?.output ?? 0;
    }
    const { type, toolCallId = '' } = record.event ?? {};
    if (type === 'step.begin') this.#steps += 1;
    if (type === 'tool.call') this.#open.add(toolCallId);
    if (type === 'tool.result') this.#open.delete(toolCallId);
    if (type === 'tool.call' || type === 'content.part') this.#spoke = true;
  }
}

interface Wire {
  readonly type?: string;
  readonly event?: { readonly type?: string; readonly toolCallId?: string };
  readonly usage?: { readonly inputOther?: number; readonly inputCacheRead?: number; readonly output?: number };
}

const isMain = (file: string): boolean => /[/\\]agents[/\\]main[/\\]wire\.jsonl$/.test(file);

function sizeOf(file: string): number {
  const handle = openSync(file, 'r');
  try {
    return fstatSync(handle).size;
  } finally {
    closeSync(handle);
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
