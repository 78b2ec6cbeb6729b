// The package that `npm run build` and `npm pack` make, installed as its users do.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openBrowser } from '../support/browser.ts'
import { findFreePort } from '../support/free-port.ts'
import { findNpmVariables } from '../support/npm-variables.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)
const INSTALL_MILLISECONDS = 200_000

// npm and npx start Node by its name.
const environment = {
  PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
  HOME: process.env.HOME ?? root,
  NO_UPDATE_NOTIFIER: '1',
}

const resources = new AsyncDisposableStack()
let project = ''
let packed: string[] = []

beforeAll(async () => {
  const directory = resources.use(await makeTemporaryDirectory('package', 'disk')).path
  const built = join(directory, 'built')
  const inRoot = { cwd: root, env: { ...environment, PATH: `${join(root, 'node_modules/.bin')}:${environment.PATH}` } }
  await run(process.execPath, ['test/tools/build.ts', built], inRoot)
  const { stdout } = await run('npm', ['pack', built, '--json'], { cwd: directory, env: environment })
  const [tarball]: { filename: string; files: { path: string }[] }[] = JSON.parse(stdout)
  packed = tarball?.files.map(({ path }) => path) ?? []
  project = join(directory, 'an empty project')
  await mkdir(project)
  await writeFile(join(project, 'package.json'), '{ "private": true }')
  await run(
    'npm',
    ['install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', `../${tarball?.filename}`],
    { cwd: project, env: { ...environment, ...findNpmVariables() }, timeout: INSTALL_MILLISECONDS },
  )
})
afterAll(() => resources.disposeAsync())

/** Starts a command of the package in the project, as `npx` does. */
function npx(command: string, words: string[], variables: Record<string, string>) {
  const child = spawn('npx', ['--no-install', command, ...words], {
    cwd: project,
    env: { ...environment, ...variables },
    // npx passes no signal on to the command when it gets one from a program.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const ended = once(child, 'close')
  const stop = async () => {
    if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGTERM')
    await ended
  }
  return { output: () => output, stop, hasEnded: () => child.exitCode !== null }
}

test('has the compiled files and what they read, and nothing else', () => {
  const folders = new Set(packed.map((file) => file.split('/').slice(0, -1)[0] ?? file))
  expect([...folders].sort()).toEqual(
    ['.env.example', 'CHANGELOG.md', 'LICENSE', 'README.md', 'drizzle', 'lib', 'package.json', 'schema'].sort(),
  )
  expect(packed.filter((file) => /\.(?:ts|map)$|snapshot|tsconfig|\.test\./.test(file))).toEqual([])
  expect(packed).toEqual(expect.arrayContaining(['lib/main.js', 'lib/db/patches/1-lost-connection.patch']))
})

test('starts by npx in a path with spaces, and a user posts a tweet', async () => {
  const port = await findFreePort()
  const url = `http://127.0.0.1:${port}`
  const gateway = npx('xconnect-gateway', [], { PORT: String(port), SANDBOX_PORT: String(await findFreePort()) })
  await using stopped = new AsyncDisposableStack()
  stopped.defer(gateway.stop)
  const isReady = async () => {
    if (gateway.hasEnded()) return
    const response = await fetch(`${url}/readyz`).catch(() => null)
    expect(response?.status, gateway.output()).toBe(200)
  }
  await vi.waitFor(isReady, { timeout: 120_000, interval: 100 })
  expect(gateway.output()).toContain('xconnect-gateway is ready')

  const person = openBrowser(url)
  stopped.defer(() => person.close())
  await person.signIn('mara-holt')
  expect(await person.connect('maraholt')).toMatchObject({ outcome: 'connected' })
  expect(await person.api('post-tweet', { input: { text: 'From an installed package' } })).toMatchObject({
    postTweet: { tweet: { status: 'POSTED' }, userErrors: [] },
  })

  // Every module that the console's page preloads is served as JavaScript without types.
  const page = await (await person.request('/')).text()
  const modules = [...page.matchAll(/modulepreload" href="([^"]+)"/g)].map(([, path = '']) => path)
  expect(modules.length).toBeGreaterThan(10)
  for (const path of modules) {
    const response = await person.request(path)
    expect(response.status, path).toBe(200)
    expect(await response.text(), path).not.toMatch(/\.ts['"]|^(?:import )?type /m)
  }
  expect((await person.request('/graphql', { headers: { accept: 'text/html' } })).status).toBe(200)
})

test('runs the sandbox alone', async () => {
  const sandbox = npx('xconnect', ['sandbox', '--port', '0'], {})
  await using stopped = new AsyncDisposableStack()
  stopped.defer(sandbox.stop)
  await vi.waitFor(() => expect(sandbox.output()).toMatch(/^http:/m), { timeout: 60_000, interval: 50 })
  const [url = ''] = sandbox.output().match(/^http:.+$/m) ?? []
  const response = await fetch(`${url}/2/users/me`)
  expect(response.status).toBe(401)
  expect(await response.json()).toMatchObject({ title: 'Unauthorized' })
})

test('has the command xconnect', async () => {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const { stdout } = await run('npx', ['--no-install', 'xconnect', 'version'], { cwd: project, env: environment })
  expect(stdout.trim()).toBe(version)
  expect(existsSync(join(project, 'node_modules/xconnect-gateway/lib/cli.js'))).toBe(true)
})
