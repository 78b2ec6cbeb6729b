// The command `xconnect sandbox`, and the examples of docs/sandbox.md.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { parseBlocks } from '../support/documents/markdown.ts'
import { describeWithProgram } from '../support/installed-program.ts'
import { startProgram } from '../support/program.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'
import { xconnect } from '../support/xconnect.ts'

const PUBLISHED_URL = 'http://localhost:3001'

/** Starts the command at a free port. */
async function startSandboxCommand(resources: AsyncDisposableStack, words: string[] = []) {
  const program = startProgram('src/cli.ts', {}, ['sandbox', '--port', '0', ...words])
  resources.defer(async () => void (await program.stop()))
  await program.printed('http://localhost:')
  const [url = ''] = program.output().match(/http:\/\/localhost:\d+/) ?? []
  const control = async (method: string, ...args: unknown[]) => {
    const response = await fetch(`${url}/_control`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ method, args }),
    })
    return ((await response.json()) as { result: unknown }).result
  }
  return { program, url, control }
}

test('serves both providers and their control, and ends on SIGTERM with its state in the file', async () => {
  await using resources = new AsyncDisposableStack()
  const directory = resources.use(await makeTemporaryDirectory('sandbox'))
  const state = ['--state', join(directory.path, 'state.json')]
  const first = await startSandboxCommand(resources, [...state, '--x-callback', 'http://127.0.0.1:8080/callback'])
  expect(first.program.output()).toContain('http://127.0.0.1:8080/callback')
  expect((await fetch(`${first.url}/2/users/me`)).status).toBe(401)
  await first.control('addAccount', 'somebody_new')
  expect(await first.program.stop()).toBe(0)
  const second = await startSandboxCommand(resources, state)
  expect(await second.control('accounts')).toContainEqual(expect.objectContaining({ username: 'somebody_new' }))
})

test.each([
  [['--port', 'many'], '--port must be from 0 to 65535.'],
  [['--x-callback', 'somewhere'], 'The callback must be a complete URL, and "somewhere" is not one.'],
  [['--gone'], 'Usage:'],
])('refuses %j with a sentence', async (words, sentence) => {
  const ran = await xconnect({}, 'sandbox', ...words)
  expect(ran).toMatchObject({ code: 2, stdout: '' })
  expect(ran.stderr).toContain(sentence)
})

describeWithProgram('curl', 'the examples of docs/sandbox.md', () => {
  test('authorize, post, plant a fault and look inside', async () => {
    await using resources = new AsyncDisposableStack()
    const { url, control } = await startSandboxCommand(resources)
    const page = await readFile(join(import.meta.dirname, '../../docs/sandbox.md'), 'utf8')
    const examples = parseBlocks(page).filter(({ language, text }) => language === 'sh' && text.includes('curl'))
    // One shell, as a reader has: later examples use what earlier ones have set.
    const script = examples.map(({ text }) => text.replaceAll(PUBLISHED_URL, url)).join('\nprintf "\\n---\\n"\n')
    const directory = resources.use(await makeTemporaryDirectory('sandbox-examples'))
    const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: directory.path,
      env: { PATH: process.env.PATH, no_proxy: 'localhost' },
    })
    const [posted = '', pictured = '', planted = '', inside = ''] = stdout.split('\n---\n')
    expect(JSON.parse(posted)).toMatchObject({ data: { text: 'Posted to nobody' } })
    expect(JSON.parse(pictured).data.text).toMatch(/^With a picture https:\/\/t\.co\//)
    expect(JSON.parse(planted)).toEqual({ result: 'fault-1' })
    expect(inside).toMatch(/^\{"result":2\}\{"result":\[.*"Posted to nobody".*"With a picture".*\]\}$/)
    expect(await control('faults')).toMatchObject([{ kind: 'dropAfter', hits: 0 }])
  })
})
