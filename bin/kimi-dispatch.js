#!/usr/bin/env node
// Plain JavaScript for any Node: it checks the version before anything newer is read.
const parts = process.versions.node.split('.');
if (Number(parts[0]) < 22 || (Number(parts[0]) === 22 && Number(parts[1]) < 19)) {
  process.stderr.write(
    `kimi-dispatch needs Node 22.19 or newer (Kimi does too), and this is Node ${process.versions.node}.\n`,
  );
  process.exitCode = 2;
} else if (process.argv.length === 3 && (process.argv[2] === '--version' || process.argv[2] === '-V')) {
  process.stdout.write(
    `${
      JSON.parse(process.getBuiltinModule('fs').readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
        .version
    }\n`,
  );
} else {
  const nodeModule = process.getBuiltinModule('module');
  if (nodeModule.enableCompileCache) nodeModule.enableCompileCache();
  import('../dist/main.js').then((program) => program.main(process.argv.slice(2)));
}
