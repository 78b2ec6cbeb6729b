// A Node that is too old gets one sentence, also where `npm ci --omit=dev` has left out the Node that
// the scripts use.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

const root = path.join(import.meta.dirname, '../..')
const SENTENCE =
  /^xconnect-gateway needs Node 24 or newer, and this is Node [\d.]+ \(.+\)\. Install Node 24 .+ npm start and npx xconnect\.\n$/

const commands: [string, string][] = [
  ['npm start', packageJson.scripts.start],
  ['npm run xconnect', `${packageJson.scripts.xconnect} doctor`],
  ['npx xconnect', `./${packageJson.bin.xconnect} version`],
]

test.each(commands)('says with one sentence which Node it needs: %s', async (_name, command) => {
  await using directory = await makeTemporaryDirectory('old-node')
  // This Node with the version of an older one, so that what it runs is the command itself.
  const disguise = path.join(directory.path, 'disguise.cjs')
  writeFileSync(
    disguise,
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })",
  )
  expect(run(command, directory.path, process.execPath, `--require=${disguise}`)).toEqual({
    status: 78,
    stdout: '',
    stderr: expect.stringMatching(SENTENCE),
  })
  // The machine's own, if it is older: whether it can parse the files is seen there alone.
  for (const node of ['/usr/bin/node', '/usr/local/bin/node'].filter(isOld))
    expect(run(command, path.join(directory.path, 'own'), node, '')).toMatchObject({
      status: 78,
      stderr: expect.stringMatching(SENTENCE),
    })
})

function isOld(node: string): boolean {
  if (!existsSync(node)) return false
  return Number(spawnSync(node, ['-p', 'parseInt(process.versions.node)'], { encoding: 'utf8' }).stdout) < 24
}

/** Runs the command in a shell whose `node` is the given one. */
function run(command: string, directory: string, node: string, options: string) {
  mkdirSync(path.join(directory, 'bin'), { recursive: true })
  symlinkSync(node, path.join(directory, 'bin/node'))
  const { status, stdout, stderr } = spawnSync('/bin/sh', ['-c', command], {
    cwd: root,
    env: { PATH: `${path.join(directory, 'bin')}:/usr/bin:/bin`, NODE_OPTIONS: options, DATA_DIR: directory },
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}
