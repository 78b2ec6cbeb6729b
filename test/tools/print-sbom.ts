// `npm run sbom`: prints a bill of materials (CycloneDX 1.6) of the packages that the gateway runs
// on, from the lock file alone. The same lock file gives the same output. npm's own command leaves packages out under
// `--omit dev`, GraphQL's among them, and refuses without it for an optional peer.
import { readFileSync } from 'node:fs'

type LockedPackage = { version: string; integrity: string; license?: string; dev?: boolean; devOptional?: boolean }

const { '': own, ...others } = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8'))
  .packages as Record<string, LockedPackage>

function describeComponent(path: string, { version, integrity, license }: LockedPackage) {
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
  // The lock file may list one version of a package in several places.
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`
  return {
    type: 'library',
    'bom-ref': `${path}@${version}`,
    name,
    version,
    purl,
    hashes: [{ alg: 'SHA-512', content: Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex') }],
    // The licence as the package declares it: one SPDX identifier, or an SPDX expression.
    ...(license !== undefined && { licenses: [{ expression: license }] }),
  }
}

const bill = {
  $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
  bomFormat: 'CycloneDX',
  specVersion: '1.6',
  version: 1,
  metadata: { component: { type: 'application', name: 'xconnect-gateway', version: own?.version } },
  components: Object.entries(others)
    .filter(([, { dev, devOptional }]) => !dev && !devOptional)
    .map(([path, locked]) => describeComponent(path, locked)),
}
console.log(JSON.stringify(bill, null, 2))
