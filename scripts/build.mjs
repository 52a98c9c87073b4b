import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';
import { z } from 'zod';
import { resultSchema } from '../src/review/result.ts';

rmSync('dist', { recursive: true, force: true });
await build({
  entryPoints: ['src/main.ts'],
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  // Dependencies are bundled: one compile-cached program starts in half the time of thirty packages.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
  },
  minifySyntax: true,
  logLevel: 'warning',
});

// The sandbox host is a process of its own; beside it lie the library's own helpers.
await build({
  entryPoints: { 'sandbox-host': 'src/host/main.ts' },
  outdir: 'dist',
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
  },
  minifySyntax: true,
  logLevel: 'warning',
});
const vendor = 'node_modules/@anthropic-ai/sandbox-runtime/vendor';
for (const arch of ['x64', 'arm64'])
  cpSync(`${vendor}/seccomp/${arch}/apply-seccomp`, `dist/sandbox/${arch}/apply-seccomp`);
cpSync(`${vendor}/java-proxy-agent/srt-proxy-agent.jar`, 'dist/sandbox/srt-proxy-agent.jar');

cpSync('node_modules/diff2html/bundles/css/diff2html.min.css', 'dist/diff2html.min.css');

// The hook program stands alone: Claude Code may start it with an older Node, and in front of every prompt.
await build({
  entryPoints: { hook: 'src/hook/main.ts' },
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  // CommonJS, minified: both are a matter of milliseconds, in front of every prompt.
  format: 'cjs',
  platform: 'node',
  target: 'node18',
  minify: true,
  logLevel: 'warning',
});

// The schema of result.json, for readers in other languages.
mkdirSync('schema', { recursive: true });
const schema = z.toJSONSchema(resultSchema, { io: 'input', unrepresentable: 'any' });
writeFileSync('schema/result.schema.json', `${JSON.stringify(schema, null, 2)}\n`);
