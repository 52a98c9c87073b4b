// A verification command: it writes down the tree that it sees, and fails where something is broken.
import { writeFileSync } from 'node:fs';
import { list } from './files.mjs';

const seen = list('.');
writeFileSync(process.argv[2], JSON.stringify(seen));
process.exitCode = Object.values(seen).some((file) => file.includes('broken')) ? 1 : 0;
