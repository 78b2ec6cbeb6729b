// The Dockerfile, carried out in directories: no container engine is needed.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, readFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { buildImage, type Image, parseDockerfile } from '../support/dockerfile.ts'
import { findFreePort } from '../support/free-port.ts'
import { findNpmVariables } from '../support/npm-variables.ts'
import { findServerOwner } from '../support/postgres-cluster.ts'
import { createSandboxSite } from '../support/sandbox-site.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)
const environment = {
  PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
  HOME: process.env.HOME ?? root,
}

const resources = new AsyncDisposableStack()
let image: Image

beforeAll(async () => {
  const directory = resources.use(await makeTemporaryDirectory('container', 'disk')).path
  const instructions = parseDockerfile(await readFile(join(root, 'Dockerfile'), 'utf8'))
  const ignored = (await readFile(join(root, '.dockerignore'), 'utf8')).split('\n').filter(Boolean)
  image = await buildImage(instructions, {
    ...{ directory, context: root, ignored, base: 'node:24-slim' },
    environment: { ...environment, ...findNpmVariables(), npm_config_prefer_offline: 'true' },
  })
  // The root of a container with read_only: nobody may write, and the user of the image reads.
  await run('chmod', ['-R', 'a-w,a+rX', image.root])
  await chmod(directory, 0o755)
  resources.defer(async () => void (await run('chmod', ['-R', 'u+w', image.root])))
}, 600_000)
afterAll(() => resources.disposeAsync())

/** Runs a command of the image as its user, with nothing else to write to than a port. */
async function start(site: AsyncDisposableStack, words: readonly string[], variables: Record<string, string>) {
  const [program = '', ...rest] = words
  const owner = image.user === null ? null : await findServerOwner()
  const child = spawn(program, rest, {
    ...owner,
    cwd: join(image.root, image.workingDirectory),
    env: { PATH: environment.PATH, ...image.environment, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const ended = once(child, 'close').then(() => child.exitCode)
  site.defer(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return { output: () => output, ended, stop: () => child.kill('SIGTERM'), hasEnded: () => child.exitCode !== null }
}

test('has production dependencies only, and neither the embedded database nor GraphiQL', () => {
  const has = (path: string) => existsSync(join(image.root, image.workingDirectory, path))
  expect(['lib/main.js', 'drizzle', 'schema/operations', 'node_modules/hono'].filter((path) => !has(path))).toEqual([])
  const unwanted = ['typescript', 'vitest', '@electric-sql', 'graphiql', 'react', '@types'].map(
    (name) => `node_modules/${name}`,
  )
  expect([...unwanted, 'src', 'test', '.git', '.env'].filter(has)).toEqual([])
})

test('starts as an ordinary user on a read-only root, is healthy, and ends within the grace period', async () => {
  await using site = new AsyncDisposableStack()
  const port = String(await findFreePort())
  const url = `http://127.0.0.1:${port}`
  const { environment: variables } = await createSandboxSite(site, url)
  expect(image.user).not.toBeNull()
  const gateway = await start(site, image.command, { ...variables, PORT: port })
  await vi.waitFor(
    async () => {
      if (gateway.hasEnded()) return
      const { status } = await fetch(`${url}/readyz`)
      expect(status).toBe(200)
    },
    { timeout: 60_000, interval: 100 },
  )
  expect(gateway.hasEnded(), gateway.output()).toBe(false)
  expect(await (await start(site, image.healthCheck, { PORT: port })).ended).toBe(0)
  expect(await (await start(site, image.healthCheck, { PORT: String(await findFreePort()) })).ended).toBe(1)
  expect(gateway.output()).not.toContain('EROFS')
  gateway.stop()
  expect(await gateway.ended).toBe(0)
})

test.each([
  ['The embedded database', { DATABASE_URL: '' }],
  ['GraphiQL', { GRAPHIQL: 'on' }],
])('%s that is asked for and not installed ends the start with exit code 78', async (what, asked) => {
  await using site = new AsyncDisposableStack()
  const data = site.use(await makeTemporaryDirectory('data')).path
  await chmod(data, 0o777)
  const port = String(await findFreePort())
  const { environment: variables } = await createSandboxSite(site, `http://127.0.0.1:${port}`)
  const gateway = await start(site, image.command, { ...variables, DATA_DIR: data, ...asked, PORT: port })
  expect(await gateway.ended).toBe(78)
  expect(gateway.output()).toContain(`${what} is not installed`)
})
