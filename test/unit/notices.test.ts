import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { billOf, noticesOf, packagesOf, partOf } from '../../scripts/notices.mjs';

const ROOT = join(import.meta.dirname, '..', '..');
const dist = (name: string): string => readFileSync(join(ROOT, 'dist', name), 'utf8');

/** What the schema of CycloneDX 1.6 requires of the parts of it that are used. */
const license = z.union([
  z.strictObject({ license: z.strictObject({ id: z.string().regex(/^[\w.-]+$/) }) }),
  z.strictObject({ expression: z.string() }),
]);
const component = z.strictObject({
  type: z.enum(['application', 'library', 'file']),
  'bom-ref': z.string().min(1),
  group: z.string().optional(),
  name: z.string().min(1),
  version: z.string().optional(),
  licenses: z.array(license).length(1).optional(),
  purl: z
    .string()
    .regex(/^pkg:(?:npm\/(?:%40[\w.-]+\/)?[\w.-]+@[\w.+-]+|generic\/[\w.-]+)$/)
    .optional(),
  hashes: z
    .array(z.strictObject({ alg: z.literal('SHA-256'), content: z.string().regex(/^[0-9a-f]{64}$/) }))
    .optional(),
});
const bill = z.strictObject({
  $schema: z.literal('http://cyclonedx.org/schema/bom-1.6.schema.json'),
  bomFormat: z.literal('CycloneDX'),
  specVersion: z.literal('1.6'),
  serialNumber: z.string().regex(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/),
  version: z.int().min(1),
  metadata: z.strictObject({ component }),
  components: z.array(component),
});

describe('what is shipped with the package', () => {
  const shipped = bill.parse(JSON.parse(dist('sbom.cdx.json')));
  /** The packages whose code stands in the bundles, as the bundler marks it there. */
  const bundled = readdirSync(join(ROOT, 'dist'))
    .filter((name) => name.endsWith('.js'))
    .flatMap((name) => [...dist(name).matchAll(/^\/\/ ((?:node_modules\/(?:@[^/\n]+\/)?[^/\n]+\/)+)/gm)])
    .map((match) => JSON.parse(readFileSync(join(ROOT, match[1] ?? '', 'package.json'), 'utf8')))
    .map(({ name, version }) => `${name}@${version}`);

  it('its bill of materials is CycloneDX 1.6, with references that are unique', () => {
    const refs = shipped.components.map((part) => part['bom-ref']);
    expect(new Set(refs).size).toBe(refs.length);
    const own = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(shipped.metadata.component).toMatchObject({ type: 'application', name: own.name, version: own.version });
  });

  it('names every package whose code is in a bundle, with the text of its licence', () => {
    const listed = shipped.components.map(
      ({ group, name, version }) => `${group === undefined ? '' : `${group}/`}${name}@${version}`,
    );
    const notices = dist('THIRD-PARTY-NOTICES.txt');
    expect(bundled.length).toBeGreaterThan(50);
    expect(bundled.filter((name) => !listed.includes(name))).toEqual([]);
    expect(bundled.filter((name) => !notices.includes(`\n${name}\n`))).toEqual([]);
    expect(notices).toContain('Permission is hereby granted, free of charge');
  });

  it('names every binary by its digest, and what it was linked with', () => {
    const binaries = shipped.components.filter(({ type }) => type === 'file');
    const files = readdirSync(join(ROOT, 'dist', 'sandbox'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1));
    expect(binaries.map(({ name }) => name).sort()).toEqual(files.sort());
    for (const { name, hashes } of binaries)
      expect(hashes?.[0]?.content).toBe(
        createHash('sha256')
          .update(readFileSync(join(ROOT, name)))
          .digest('hex'),
      );
    expect(dist('THIRD-PARTY-NOTICES.txt')).toContain('GNU LESSER GENERAL PUBLIC LICENSE');
  });
});

describe('a package that is bundled', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kd-part-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const write = (manifest: object, files: Record<string, string> = {}): void => {
    for (const [name, text] of Object.entries({ ...files, 'package.json': JSON.stringify(manifest) }))
      writeFileSync(join(folder, name), text);
  };

  it('is found by its folder, also inside of another one', () => {
    const inputs = { 'src/a.ts': 0, 'node_modules/a/b.js': 0, 'node_modules/a/node_modules/@s/c/d/e.js': 0 };
    expect(packagesOf([{ inputs }, { inputs }])).toEqual(['node_modules/a', 'node_modules/a/node_modules/@s/c']);
  });

  it('ends the build without a licence text, and without a licence', () => {
    write({ name: 'a', version: '1.0.0', license: 'MIT' }, { 'README.md': 'MIT', 'license-checker.js': 'code' });
    expect(() => partOf(folder)).toThrow('a@1.0.0');
    write({ name: 'a', version: '1.0.0' }, { LICENSE: 'text' });
    expect(() => partOf(folder)).toThrow('a@1.0.0');
  });

  it('is named with all its texts, once', () => {
    write({ name: '@s/a', version: '1.0.0', license: '(MIT OR ISC)' }, { LICENSE: 'the text', NOTICE: 'the notice' });
    const part = partOf(folder);
    expect(noticesOf([part, part]).match(/@s\/a@1\.0\.0\n[\s\S]*the text\n\nthe notice/g)).toHaveLength(1);
    const made = bill.parse(billOf({ own: part, parts: [part, part], binaries: [] }));
    expect(made.components).toMatchObject([
      { group: '@s', name: 'a', purl: 'pkg:npm/%40s/a@1.0.0', licenses: [{ expression: '(MIT OR ISC)' }] },
    ]);
  });
});
