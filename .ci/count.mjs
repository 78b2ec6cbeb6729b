// node .ci/count.mjs <vitest's JSON report> <exit status of npm test>: prints "N passed, N failed, N skipped", after the name of each
// test that passed only when it was repeated.
import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'

const [reportFile = '', exitStatus = '0'] = process.argv.slice(2)

// Without a report no test was started, because types or lint were wrong.
const files = existsSync(reportFile) ? JSON.parse(readFileSync(reportFile, 'utf8')).testResults : []
const statuses = files.flatMap((file) => file.assertionResults.map((test) => test.status))
const passed = statuses.filter((status) => status === 'passed').length
const failedTests = statuses.filter((status) => status === 'failed').length
// A file that could not be loaded, or whose set-up failed, has no failed test in it: it counts as one itself.
const brokenFiles = files.filter(
  (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
).length
const counted = failedTests + brokenFiles
// What went wrong outside any test (lint, an unhandled rejection) still is a failure and must not read as none.
const failed = counted === 0 && exitStatus !== '0' ? 1 : counted
const skipped = statuses.length - passed - failedTests

// The report keeps the failures of the earlier attempts of a test that passed in the end.
for (const file of files)
  for (const test of file.assertionResults)
    if (test.status === 'passed' && (test.failureMessages ?? []).length > 0)
      console.log(`Passed only when repeated: ${relative(process.cwd(), file.name)} > ${test.fullName}`)

console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
