// The quicker imports of a start: they must load what Node would load, and keep compiled code where
// nobody else can write.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

const root = join(import.meta.dirname, '../..')
const urlOf = (file: string) => JSON.stringify(pathToFileURL(join(root, file)).href)

test('loads the same files of the same formats as without them', () => {
  const [plain, quick] = [loadGateway(''), loadGateway(`await import(${urlOf('src/process/quick-imports.js')})`)]
  expect(plain.length).toBeGreaterThan(500)
  expect(plain.join('\n')).toContain('/node_modules/drizzle-orm/pg-core/index.js module')
  expect(quick).toEqual(plain)
})

test('keeps compiled code inside the installation, or where NODE_COMPILE_CACHE says', async () => {
  await using elsewhere = await makeTemporaryDirectory('compiled')
  const code = `
    await import(${urlOf('src/process/quick-imports.js')})
    console.log((await import('node:module')).getCompileCacheDir())`
  expect(run(code)).toContain(join(root, 'node_modules/.cache/xconnect-compiled'))
  expect(run(code, { NODE_COMPILE_CACHE: elsewhere.path })).toContain(elsewhere.path)
})

function loadGateway(before: string): string[] {
  const code = `
    ${before}
    const { registerHooks } = await import('node:module')
    const loaded = new Set()
    registerHooks({
      load(url, context, nextLoad) {
        const module = nextLoad(url, context)
        if (!url.startsWith('node:')) loaded.add(url + ' ' + module.format)
        return module
      },
    })
    await import(${urlOf('src/gateway.ts')})
    console.log(JSON.stringify([...loaded].toSorted()))
    process.exit()`
  return JSON.parse(run(code))
}

function run(code: string, environment: Record<string, string> = {}): string {
  const options = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', code]
  const { stdout, stderr, status } = spawnSync(process.execPath, options, {
    cwd: root,
    env: environment,
    encoding: 'utf8',
    maxBuffer: 10_000_000,
  })
  expect(status, stderr).toBe(0)
  return stdout
}
