import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { digest } from './digest.ts';

/** What Claude Code's sessions know: approved plans, questions asked, runs started. Imports nothing but Node. */
export class Sessions {
  readonly folder: string;
  readonly #now: () => Date;

  constructor(env: Readonly<Record<string, string | undefined>>, now: () => Date) {
    const state = env.XDG_STATE_HOME ?? join(env.HOME ?? '/tmp', '.local', 'state');
    this.folder = join(state, 'kimi-dispatch', 'claude');
    this.#now = now;
  }

  /** Keeps the text of a plan; returns the id that names it on a command line, safe in any shell. */
  keepPlan(text: string): string {
    const id = planId(text);
    this.#write(join('plans', `${id}.md`), text);
    return id;
  }

  plan(id: string): string | undefined {
    return /^[0-9a-f]{12}$/.test(id) ? this.#read(join('plans', `${id}.md`)) : undefined;
  }

  /** True for the first caller with this key, and for nobody after. */
  once(kind: 'asked' | 'hint' | 'told', key: string, content = ''): boolean {
    const file = join(this.folder, kind, digest(key));
    try {
      mkdirSync(join(file, '..'), { recursive: true, mode: 0o700 });
      writeFileSync(file, content, { flag: 'wx', mode: 0o600 });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  }

  note<T>(kind: Note, key: string, value: T): void {
    this.#write(join(kind, digest(key)), JSON.stringify(value));
  }

  noted<T>(kind: Note, key: string): T | undefined {
    const text = this.#read(join(kind, digest(key)));
    return text === undefined ? undefined : parse<T>(text);
  }

  /** Every note of a kind, whichever session left it. */
  allNoted<T>(kind: Note): T[] {
    const folder = join(this.folder, kind);
    return (existsSync(folder) ? readdirSync(folder) : [])
      .map((name) => this.#read(join(kind, name)))
      .map((text) => (text === undefined ? undefined : parse<T>(text)))
      .filter((value) => value !== undefined);
  }

  forget(kind: Note, key: string): void {
    rmSync(join(this.folder, kind, digest(key)), { force: true });
  }

  /** Remembers that a session started a run; `folder` is the run's folder in the ledger. */
  addRun(session: string, run: SessionRun): void {
    this.#write(join('runs', digest(session), `${run.run}.json`), JSON.stringify(run));
  }

  /** Remembers where Claude Code writes a session's transcript; its tokens are summed by `stats`. */
  addTranscript(session: string, path: string): void {
    this.#write(join('transcripts', digest(session)), path);
  }

  transcriptOf(session: string): string | undefined {
    return this.#read(join('transcripts', digest(session)));
  }

  runsOf(session: string): SessionRun[] {
    const folder = join(this.folder, 'runs', digest(session));
    if (!existsSync(folder)) return [];
    return readdirSync(folder)
      .sort()
      .map((name) => this.#read(join('runs', digest(session), name)))
      .map((text) => (text === undefined ? undefined : parse<SessionRun>(text)))
      .filter((run) => run !== undefined);
  }

  /** Appends one line of what a hook decided and why. The file is halved by renaming, never cut. */
  log(line: Readonly<Record<string, unknown>>): void {
    const file = join(this.folder, 'decisions.ndjson');
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 128 * 1024) renameSync(file, `${file}.old`);
    appendFileSync(file, `${JSON.stringify({ t: this.#now().toISOString(), ...line })}\n`, { mode: 0o600 });
  }

  decisions(): Record<string, unknown>[] {
    const text = `${this.#read('decisions.ndjson.old') ?? ''}${this.#read('decisions.ndjson') ?? ''}`;
    return text
      .split('\n')
      .map((line) => parse<Record<string, unknown>>(line))
      .filter((line) => line !== undefined);
  }

  /** Removes what nobody asked for in thirty days; at most once a day. */
  clean(): void {
    const stamp = join(this.folder, 'cleaned');
    const now = this.#now().getTime();
    const last = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (now - last < DAY) return;
    this.#write('cleaned', '');
    for (const kind of ['plans', 'asked', 'told', 'pending', 'question', 'window', 'runs', 'transcripts'])
      for (const name of existsSync(join(this.folder, kind)) ? readdirSync(join(this.folder, kind)) : []) {
        const file = join(this.folder, kind, name);
        if (now - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? now) > 30 * DAY)
          rmSync(file, { recursive: true, force: true });
      }
  }

  #write(name: string, text: string): void {
    const file = join(this.folder, name);
    mkdirSync(join(file, '..'), { recursive: true, mode: 0o700 });
    const temporary = `${file}.${process.pid}.tmp`;
    writeFileSync(temporary, text, { mode: 0o600 });
    renameSync(temporary, file);
  }

  #read(name: string): string | undefined {
    try {
      return readFileSync(join(this.folder, name), 'utf8');
    } catch {
      return undefined;
    }
  }
}

const DAY = 24 * 60 * 60 * 1000;

/** `window`: the session that a window of the client had before it was cleared, by the client's process. */
type Note = 'pending' | 'question' | 'window';

export interface SessionRun {
  readonly run: string;
  /** The run's folder in the ledger. */
  readonly folder: string;
  /** Its dispatcher. */
  readonly pid: number;
  readonly start?: string;
  readonly ns?: string;
}

/** Twelve hex digits that name a plan by its text. */
export const planId = (text: string): string => digest(text.replace(/\r\n/g, '\n').trim()).slice(0, 12);

function parse<T>(text: string): T | undefined {
  try {
    const value = JSON.parse(text) as T;
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
