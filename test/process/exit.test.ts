import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startProgram } from '../support/program.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

test('SIGTERM ends the process although one of its threads is blocked, and the log is complete', async () => {
  await using directory = await makeTemporaryDirectory('exit')
  const pipe = path.join(directory.path, 'pipe')
  execFileSync('mkfifo', [pipe])
  const program = startProgram('test/support/blocked-thread.ts', {}, [pipe])
  onTestFinished(async () => void (await program.kill()))
  await program.printed('Started')
  program.signal('SIGTERM')
  // process.exit would wait for the thread.
  expect(await program.ended).toBe('SIGKILL')
  expect(program.output()).toContain('"Stopped"')
})
