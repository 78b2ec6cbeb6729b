// node .ci/count.mjs <vitest's JSON report> <exit status of npm test>: prints "N passed, N failed, N skipped", after the name of each
// test that passed only when it was repeated.
import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'

const [reportFile = '', exitStatus = '0'] = process.argv.slice(2)

// There is no report if types or lint failed before the tests started.
const files = existsSync(reportFile) ? JSON.parse(readFileSync(reportFile, 'utf8')).testResults : []
const statuses = files.flatMap((file) => file.assertionResults.map((test) => test.status))
const passed = statuses.filter((status) => status === 'passed').length
const failedTests = statuses.filter((status) => status === 'failed').length
// A file that could not be loaded or set up contains no failed test, so it counts as one.
const brokenFiles = files.filter(
  (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
).length
const counted = failedTests + brokenFiles
// A failure outside the tests (lint, an unhandled rejection) must not be counted as none.
const failed = counted === 0 && exitStatus !== '0' ? 1 : counted
const skipped = statuses.length - passed - failedTests

// For a test that passed after a retry, the report contains the failures of the earlier attempts.
for (const file of files)
  for (const test of file.assertionResults)
    if (test.status === 'passed' && (test.failureMessages ?? []).length > 0)
      console.log(`Passed only when repeated: ${relative(process.cwd(), file.name)} > ${test.fullName}`)

console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
