export function startModel(
  script: (request: never) => object,
): Promise<{ url: string; requests: object[]; close(): Promise<void> }>;
export function kimiConfig(url: string): string;
