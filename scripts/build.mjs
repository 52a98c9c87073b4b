import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';
import { z } from 'zod';
import { resultSchema } from '../src/review/result.ts';
import { billOf, noticesOf, packagesOf, partOf } from './notices.mjs';

rmSync('dist', { recursive: true, force: true });
const program = await build({
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
  metafile: true,
});

// The sandbox host is a process of its own; beside it lie the library's own helpers.
const host = await build({
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
  metafile: true,
});
const vendor = 'node_modules/@anthropic-ai/sandbox-runtime/vendor';
const binaries = {
  'dist/sandbox/x64/apply-seccomp': `${vendor}/seccomp/x64/apply-seccomp`,
  'dist/sandbox/arm64/apply-seccomp': `${vendor}/seccomp/arm64/apply-seccomp`,
  'dist/sandbox/srt-proxy-agent.jar': `${vendor}/java-proxy-agent/srt-proxy-agent.jar`,
};
for (const [to, from] of Object.entries(binaries)) cpSync(from, to);

cpSync('node_modules/diff2html/bundles/css/diff2html.min.css', 'dist/diff2html.min.css');

// The hook program stands alone: Claude Code may start it with an older Node, and in front of every prompt.
const hook = await build({
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
  metafile: true,
});

// What goes along with the parts, and what they are. A part without a licence text ends the build here.
const glibc = {
  name: 'glibc',
  license: 'LGPL-2.1-or-later',
  text: `dist/sandbox/*/apply-seccomp is linked with it statically. Its source: https://sourceware.org/glibc/. To link it
anew: the source of apply-seccomp, https://github.com/anthropic-experimental/sandbox-runtime.

${readFileSync('scripts/licenses/LGPL-2.1.txt', 'utf8')}`,
};
const folders = packagesOf([program.metafile, host.metafile, hook.metafile]);
const parts = [...folders.map(partOf), partOf('node_modules/diff2html'), glibc];
const own = JSON.parse(readFileSync('package.json', 'utf8'));
writeFileSync('dist/THIRD-PARTY-NOTICES.txt', noticesOf(parts));
const bill = billOf({ own, parts, binaries: Object.keys(binaries) });
writeFileSync('dist/sbom.cdx.json', `${JSON.stringify(bill, null, 2)}\n`);

// The schema of result.json, for readers in other languages.
mkdirSync('schema', { recursive: true });
const schema = z.toJSONSchema(resultSchema, { io: 'input', unrepresentable: 'any' });
writeFileSync('schema/result.schema.json', `${JSON.stringify(schema, null, 2)}\n`);
