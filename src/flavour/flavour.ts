/** What a Kimi client says while it works, in our words. */
export type AgentEvent =
  | { readonly kind: 'version'; readonly version: string }
  | { readonly kind: 'tool-call'; readonly tool: string; readonly detail: string }
  | { readonly kind: 'tool-result' }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'retry'; readonly attempt: number; readonly delayMs: number; readonly reason: string }
  | { readonly kind: 'session'; readonly id: string }
  | { readonly kind: 'unreadable'; readonly bytes: number };

/** How services say that what is paid for is used up, also behind the 429 of a rate limit. */
export const QUOTA =
  /usage limit|\bquota|_quota|insufficient[_ ](?:balance|credit)|account balance|billing|access_terminated/i;

/** Why an attempt failed, told apart because each has another remedy. */
export type FailureKind =
  | 'step-limit'
  | 'auth'
  | 'quota'
  | 'rate-limit'
  | 'network'
  | 'server'
  | 'refused'
  | 'context'
  | 'crashed';

export interface Failure {
  readonly kind: FailureKind;
  readonly text: string;
}

export interface InvocationInput {
  readonly run: string;
  /** The file that holds what Kimi is told. */
  readonly brief: string;
  readonly home: string;
  readonly steps: number;
  readonly attempts: number;
  readonly model?: string;
  readonly session?: string;
  /** Node's compile cache of the program, to read. */
  readonly compileCache?: string;
}

export interface Invocation {
  readonly args: readonly string[];
  /** Read by the program as its stdin. */
  readonly stdinFile?: string;
  /** The session, where the caller may name it. */
  readonly session?: string;
  readonly env: Readonly<Record<string, string>>;
}

export type FlavourName = 'kimi-code' | 'kimi-cli';

/** One kind of Kimi client: pure functions; how to find it and start it is somebody else's. */
export interface Flavour {
  readonly name: FlavourName;
  /** What ends it in good order. */
  readonly stopSignal: 'SIGTERM' | 'SIGINT';
  build(input: InvocationInput): Invocation;
  readLine(line: string): AgentEvent[];
  failure(stdoutTail: string, stderrTail: string, code: number): Failure;
}

/** What `kimi --version` says of itself: a bare version is kimi-code, `kimi, version X` is the older kimi-cli. */
export function flavourOf(versionOutput: string): { flavour: FlavourName; version: string } | undefined {
  const text = versionOutput.trim();
  const code = /^(\d+\.\d+\.\d+\S*)$/.exec(text);
  if (code !== null) return { flavour: 'kimi-code', version: code[1] ?? '' };
  const cli = /^kimi, version (\S+)$/.exec(text);
  return cli === null ? undefined : { flavour: 'kimi-cli', version: cli[1] ?? '' };
}
