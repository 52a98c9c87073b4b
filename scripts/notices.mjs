import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** No code: some packages have a module of that name. */
const LICENSE = /^(?:licen[cs]e|copying|notice)(?:[.-](?!.*\.[cm]?[jt]s$).*)?$/i;

/** The folders of the packages that a bundle was made of, from esbuild's metafiles. */
export function packagesOf(metafiles) {
  const found = metafiles
    .flatMap((metafile) => Object.keys(metafile.inputs))
    .map((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]);
  return [...new Set(found.filter((path) => path !== undefined))].sort();
}

/** A package with the texts of its licence. Throws when it names none or ships none: it may not be passed on so. */
export function partOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const files = readdirSync(folder).filter((file) => LICENSE.test(file));
  const text = files.map((file) => readFileSync(join(folder, file), 'utf8').trim()).join('\n\n');
  if (typeof license !== 'string' || text === '')
    throw new Error(`${name}@${version} in ${folder} has no licence text and cannot be bundled.`);
  return { name, version, license, text };
}

/** Every part once, by name and version. */
const distinct = (parts) => [...new Map(parts.map((part) => [titleOf(part), part])).values()];

const titleOf = ({ name, version }) => (version === undefined ? name : `${name}@${version}`);

/** The texts that have to go along with the parts. */
export const noticesOf = (parts) =>
  [
    'kimi-dispatch contains the following parts under their own licences.\n',
    ...distinct(parts).map(
      (part) => `${'='.repeat(80)}\n${titleOf(part)}\n${part.license}\n${'='.repeat(80)}\n\n${part.text}\n`,
    ),
  ].join('\n');

/** The parts and the shipped binaries as CycloneDX 1.6. The same build gives the same bytes: it has no time in it. */
export function billOf({ own, parts, binaries }) {
  const components = [
    ...distinct(parts).map(libraryOf),
    ...binaries.map((file) => ({
      type: 'file',
      'bom-ref': file,
      name: file,
      hashes: [{ alg: 'SHA-256', content: sha256(readFileSync(file)) }],
    })),
  ];
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify([own.version, components]))}`,
    version: 1,
    metadata: { component: { ...libraryOf(own), type: 'application' } },
    components,
  };
}

function libraryOf(part) {
  const { name, version, license } = part;
  const scope = name.startsWith('@') ? name.slice(0, name.indexOf('/')) : undefined;
  const purl = version === undefined ? `pkg:generic/${name}` : `pkg:npm/${name.replace('@', '%40')}@${version}`;
  return {
    type: 'library',
    'bom-ref': purl,
    ...(scope === undefined ? {} : { group: scope }),
    name: basename(name),
    ...(version === undefined ? {} : { version }),
    licenses: [/\s/.test(license) ? { expression: license } : { license: { id: license } }],
    purl,
  };
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** An id of version 8 (made by a rule of one's own), from what is listed. */
const uuidOf = (text) => sha256(text).replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, '$1-$2-8$3-8$4-$5');
