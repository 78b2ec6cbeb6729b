/** The first steps after cloning the repository, in a new shell: `npm ci`, `npm start`. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, readFileSync } from 'node:fs'
import { delimiter, join, relative, sep } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { findFreePort } from '../support/free-port.ts'
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts'

const repository = join(import.meta.dirname, '../..')

// As in .gitignore. Without git, so that it also works where the sources have no history.
const NOT_IN_A_CLONE = new Set(['.git', 'node_modules', '.data', '.env'])

// npm installs some 600 MB here, from its cache if possible. The limit leaves time for a busy
// machine.
const INSTALL_LIMIT_MILLISECONDS = 900_000

let clone: TemporaryDirectory
let installed: { stdout: string; stderr: string }

beforeAll(async () => {
  // On a disk: npm installs a Node, which a RAM disk may not be allowed to run.
  clone = await makeTemporaryDirectory('clone', 'disk')
  cpSync(repository, clone.path, {
    recursive: true,
    filter: (path) => !NOT_IN_A_CLONE.has(relative(repository, path).split(sep)[0] ?? ''),
  })
  installed = await promisify(execFile)('npm', ['ci', '--prefer-offline'], { cwd: clone.path, env: shellEnvironment() })
}, INSTALL_LIMIT_MILLISECONDS)

afterAll(() => clone.remove())

test('npm ci reports nothing about install scripts', () => {
  expect(`${installed.stdout}${installed.stderr}`).not.toMatch(/install.?scripts?|allow.?scripts?/i)
})

test('npm start runs without configuration, prints the URL, and ends on request', async () => {
  const port = await findFreePort()
  const sandboxPort = await findFreePort()
  // The two ports are the only settings: the usual ones may be in use on this machine.
  const npm = spawn('npm', ['start'], {
    cwd: clone.path,
    env: { ...shellEnvironment(), PORT: String(port), SANDBOX_PORT: String(sandboxPort) },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  try {
    const output = collect(npm)
    const origin = `http://127.0.0.1:${port}`
    await vi
      .waitFor(
        async () => {
          if (npm.exitCode !== null) throw new Error(`npm start ended with ${npm.exitCode}.`)
          expect((await fetch(`${origin}/readyz`)).status).toBe(200)
        },
        // The disk may still be writing what npm has installed.
        { timeout: 200_000, interval: 100 },
      )
      .catch((error: unknown) => {
        throw new Error(`npm start did not become ready. It printed:\n${output()}`, { cause: error })
      })

    expect((await fetch(`${origin}/healthz`)).status).toBe(200)
    const page = await fetch(origin)
    expect(page.status).toBe(200)
    expect(page.headers.get('content-type')).toContain('text/html')
    expect(output()).toMatch(new RegExp(`http://(localhost|127\\.0\\.0\\.1):${port}/`))
    expect(output()).toMatch(/pglite/i)
    expect(output()).toMatch(/sandbox/i)
    expect(existsSync(join(clone.path, '.data'))).toBe(true)

    const ended = once(npm, 'exit')
    npm.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
    await expect(fetch(`${origin}/healthz`)).rejects.toThrow()
  } finally {
    killGroup(npm)
  }
})

/** Returns a new shell's environment: without the variables of npm, vitest and the tests. */
function shellEnvironment(): NodeJS.ProcessEnv {
  const example = readFileSync(join(repository, '.env.example'), 'utf8')
  const ours = new Set([...example.matchAll(/^#?\s*([A-Z][A-Z0-9_]+)=/gm)].map((match) => match[1]))
  const added =
    /^(npm_(?!config_)|npm_config_local_prefix$|VITEST|VITE_|NODE_|TEST$|DEV$|PROD$|MODE$|SSR$|BASE_URL$|INIT_CWD$)/
  const left = Object.entries(process.env).filter(
    ([name]) => !ours.has(name) && !ours.has(name.replace(/_FILE$/, '')) && !added.test(name),
  )
  const path = (process.env.PATH ?? '').split(delimiter).filter((directory) => !directory.includes('node_modules'))
  return { ...Object.fromEntries(left), PATH: path.join(delimiter) }
}

function collect(child: ChildProcess): () => string {
  const chunks: string[] = []
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk))
  return () => chunks.join('')
}

/** Kills every process that npm has started, if the test has failed. */
function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // All of them have ended already.
  }
}
