import { closeSync, fstatSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { listStranger, openStranger } from '../files.ts';

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
/** What one look reads at most, so that nothing else waits for it; the next one reads on. */
const LOOK = 8 * 1024 * 1024;
/** A larger file is none that a client wrote, and is not read. */
const LARGEST = 1024 * 1024 * 1024;
/** Entries of one folder, and files in all, that are looked at. */
const MOST = 300;

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
  #left = 0;
  readonly #tokens = { input: 0, cached: 0, output: 0 };

  constructor(home: string) {
    this.#home = home;
    for (const file of this.#find())
      this.#files.set(file, { offset: this.#sizeOf(file), rest: '', main: isMain(file) });
  }

  /** Reads on, so many bytes at most; true when any file has grown. */
  poll(budget = LOOK): boolean {
    let grown = false;
    this.#left = budget;
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

  #sizeOf(file: string): number {
    const handle = openStranger(file, this.#home);
    if (handle === undefined) return 0;
    try {
      return fstatSync(handle).size;
    } finally {
      closeSync(handle);
    }
  }

  #find(): string[] {
    const sessions = join(this.#home, 'sessions');
    const found: string[] = [];
    for (const folder of folders(sessions))
      for (const session of folders(join(sessions, folder))) {
        const agents = join(sessions, folder, session, 'agents');
        if (SESSION.test(session)) this.#session = session;
        for (const agent of folders(agents)) found.push(join(agents, agent, 'wire.jsonl'));
        if (found.length > MOST) return found;
      }
    return found;
  }

  #read(file: string, position: Position): boolean {
    const handle = openStranger(file, this.#home);
    if (handle === undefined) return false;
    try {
      const end = fstatSync(handle).size;
      if (end > LARGEST) return false;
      const grown = end > position.offset;
      while (position.offset < end && this.#left > 0) {
        const piece = Buffer.alloc(Math.min(PIECE, end - position.offset));
        this.#left -= piece.length;
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
    const record = readRecord(line);
    if (record === undefined) return;
    if (record.type === 'agent.turn.started') this.#turnEnded = false;
    if (record.type === 'agent.turn.ended' && main) this.#turnEnded = true;
    if (record.type === 'usage.record') {
      this.#tokens.input += count(record.usage?.inputOther);
      this.#tokens.cached += count(record.usage?.inputCacheRead);
      this.#tokens.output += count(record.usage?.output);
    }
    const { type } = record.event ?? {};
    const toolCallId = String(record.event?.toolCallId).slice(0, 200);
    if (type === 'step.begin') this.#steps += 1;
    if (type === 'tool.call') this.#open.add(toolCallId);
    if (type === 'tool.result') this.#open.delete(toolCallId);
    if (type === 'tool.call' || type === 'content.part') this.#spoke = true;
  }
}

const wireSchema = z.looseObject({
  type: z.string(),
  event: z.looseObject({ type: z.string().optional(), toolCallId: z.string().optional() }).optional(),
  usage: z
    .looseObject({ inputOther: z.unknown(), inputCacheRead: z.unknown(), output: z.unknown() })
    .partial()
    .optional(),
});

function readRecord(line: string): z.infer<typeof wireSchema> | undefined {
  try {
    return wireSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

/** A number of tokens; what is none counts as none. */
const count = (value: unknown): number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;

/** The name becomes an argument of the program. */
const SESSION = /^session_[\w-]{1,100}$/;

const isMain = (file: string): boolean => /[/\\]agents[/\\]main[/\\]wire\.jsonl$/.test(file);

const folders = (folder: string): string[] =>
  listStranger(folder, MOST)
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
