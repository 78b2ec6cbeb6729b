import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

const root = join(import.meta.dirname, '../..')

type File = { status: 'passed' | 'failed'; tests: string[] }

test.each<[string, File[] | null, number, string]>([
  ['all passed', [{ status: 'passed', tests: ['passed', 'passed'] }], 0, '2 passed, 0 failed, 0 skipped'],
  [
    'skipped in every way',
    [{ status: 'passed', tests: ['passed', 'skipped', 'pending', 'todo'] }],
    0,
    '1 passed, 0 failed, 3 skipped',
  ],
  ['a failed test', [{ status: 'failed', tests: ['passed', 'failed'] }], 1, '1 passed, 1 failed, 0 skipped'],
  ['a file that could not be loaded', [{ status: 'failed', tests: [] }], 1, '0 passed, 1 failed, 0 skipped'],
  ['a file whose set-up failed', [{ status: 'failed', tests: ['skipped'] }], 1, '0 passed, 1 failed, 1 skipped'],
  ['an error outside any test', [{ status: 'passed', tests: ['passed'] }], 1, '1 passed, 1 failed, 0 skipped'],
  ['no report, because lint failed', null, 1, '0 passed, 1 failed, 0 skipped'],
])('the last line of .ci/run counts %s', async (_what, files, exitStatus, line) => {
  const testResults = files?.map(({ status, tests }) => ({
    status,
    assertionResults: tests.map((test) => ({ status: test })),
  }))
  expect(await count(testResults ?? null, exitStatus)).toBe(`${line}\n`)
})

test('.ci/run names each test that passed only when it was repeated', async () => {
  const failureMessages = ['AssertionError: expected 1 to be 2']
  const printed = await count([
    {
      name: join(root, 'test/stories/a.test.ts'),
      status: 'failed',
      assertionResults: [
        { fullName: 'connects at once', status: 'passed', failureMessages: [] },
        { fullName: 'connects at last', status: 'passed', failureMessages },
        { fullName: 'never connects', status: 'failed', failureMessages },
      ],
    },
  ])
  expect(printed).toBe(
    'Passed only when repeated: test/stories/a.test.ts > connects at last\n2 passed, 1 failed, 0 skipped\n',
  )
})

/** What it prints for this report; for none when null. */
async function count(testResults: object[] | null, exitStatus = 1): Promise<string> {
  await using directory = await makeTemporaryDirectory('report')
  const reportFile = join(directory.path, 'report.json')
  if (testResults !== null) await writeFile(reportFile, JSON.stringify({ testResults }))
  const words = ['.ci/count.mjs', reportFile, String(exitStatus)]
  const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: root })
  return stdout
}
