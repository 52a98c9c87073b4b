export interface Reply {
  readonly text?: string;
  readonly calls?: readonly { readonly name: string; readonly input: Record<string, unknown> }[];
}
export interface Asked {
  readonly body: { readonly messages: unknown[] };
  /** The whole conversation as JSON text. */
  readonly text: string;
  /** Everything since the model's last words, as JSON text. */
  readonly last: string;
}
export function startMessages(script: (asked: Asked) => Reply): Promise<{
  readonly url: string;
  readonly requests: { readonly messages: unknown[] }[];
  close(): Promise<void>;
}>;
